import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { NoGpuError } from '../engine/errors.ts';
import { listAdapters, type OpenedGpu, openGpu } from '../runner/host/node.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** y[i] = 3 i + 7 computed by a shader: something that the null backend cannot answer. */
async function compute({ device }: OpenedGpu): Promise<number[]> {
  const code =
    '@group(0) @binding(0) var<storage, read_write> y: array<u32>;' +
    '@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) i: vec3u) { y[i.x] = 3u * i.x + 7u; }';
  const y = device.createBuffer({ size: 256, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
  const back = device.createBuffer({ size: 256, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const pipeline = device.createComputePipeline({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code }) },
  });
  const layout = pipeline.getBindGroupLayout(0);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: y } }] }));
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(y, 0, back, 0, 256);
  device.queue.submit([encoder.finish()]);
  await back.mapAsync(GPUMapMode.READ);
  return [...new Uint32Array(back.getMappedRange())];
}

const EXPECTED = Array.from({ length: 64 }, (_, i) => 3 * i + 7);

interface Ended {
  code: number | null;
  signal: string | null;
  output: string;
}

/** Runs a module's text in a process of its own, in the repository's root, with `gpu` opened. */
function inChild(text: string, environment: Record<string, string> = {}): Promise<Ended> {
  const opening = `import { openGpu, exit } from './runner/host/node.ts'; const gpu = await openGpu({ gpu: process.env.ACTION3D_GPU });`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', `${opening} ${text}`], {
    cwd: ROOT,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: 60_000,
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (part) => (output += part));
  return new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, output })));
}

const { adapters, auto, refusals } = await listAdapters();

test('there is an adapter, and auto is one of them', () => {
  assert.ok(adapters.length > 0);
  assert.is(adapters[auto as number].index, auto);
});

for (const { index, name, backend, limits } of adapters) {
  test(`${name} (${backend}) computes, with its limits granted`, async () => {
    const before = JSON.stringify(process.env);
    const gpu = await openGpu({ gpu: String(index) });
    assert.is(gpu.name, name);
    assert.equal(await compute(gpu), EXPECTED);
    for (const key of ['maxStorageBufferBindingSize', 'maxBufferSize', 'maxComputeInvocationsPerWorkgroup'] as const)
      assert.is(gpu.device.limits[key], limits[key], key);
    gpu.close();
    gpu.close();
    assert.is((await gpu.device.lost).reason, 'destroyed');
    assert.is(JSON.stringify(process.env), before, 'the environment is left as it was');
  });
}

test('without bounds clamping it computes the same', async () => {
  const gpu = await openGpu({ gpu: process.env.ACTION3D_GPU, unsafe: true });
  assert.equal(await compute(gpu), EXPECTED);
  gpu.close();
});

for (const kind of ['llvmpipe', 'swiftshader'] as const) {
  test(`--gpu ${kind} opens ${kind}, or says that there is none`, async () => {
    if (adapters.some((adapter) => adapter.kind === kind)) {
      const gpu = await openGpu({ gpu: kind });
      assert.equal([gpu.kind, gpu.software, gpu.notes.length], [kind, true, 1]);
      assert.equal(await compute(gpu), EXPECTED);
      gpu.close();
    } else {
      const error = await openGpu({ gpu: kind }).catch((e) => e);
      assert.instance(error, NoGpuError);
      assert.ok(error.hints.length > 0);
    }
  });
}

for (const absent of ['Voodoo 2', 'null', '99']) {
  test(`--gpu ${absent} is an error that names the adapters there are`, async () => {
    const error = await openGpu({ gpu: absent }).catch((e) => e);
    assert.instance(error, NoGpuError);
    assert.is(error.exitCode, 3);
    assert.ok(error.message.includes(`"${absent}"`) && error.message.includes(adapters[0].name), error.message);
    const others = refusals.length > 0 ? ['action3d doctor tells why others are not available'] : [];
    assert.equal(error.hints, others, 'no advice on drivers');
  });
}

test("Dawn's own variable cannot bring the null backend in", async () => {
  const { code, output } = await inChild('console.log(gpu.backend)', { DAWNNODE_BACKEND: 'null' });
  assert.equal([code, output.trim() === 'null', output.length > 1], [0, false, true]);
});

const work =
  'gpu.device.createBuffer({ size: 1024, usage: GPUBufferUsage.STORAGE }); const done = gpu.device.queue.onSubmittedWorkDone();';

test('a process that used the GPU ends by itself with code 0', async () => {
  assert.equal(await inChild(`${work} await done; console.log('done')`), { code: 0, signal: null, output: 'done\n' });
});

test('a process ends with work in flight, and after close()', async () => {
  assert.equal((await inChild(work)).code, 0);
  assert.equal((await inChild(`${work} gpu.close(); await done.catch(() => {})`)).code, 0);
});

test('exit() keeps the code and everything that was printed', async () => {
  const { code, output } = await inChild(`${work} process.stdout.write('x'.repeat(1 << 20)); await exit(75)`);
  assert.equal([code, output.length], [75, 1 << 20]);
});

test('an uncaught error ends the process with code 1, not with a signal', async () => {
  const { code, signal } = await inChild(`${work} throw new Error('on purpose')`);
  assert.equal([code, signal], [1, null]);
});

if (adapters.some(({ kind }) => kind === 'swiftshader')) {
  test('processes started together unpack SwiftShader without harm', async () => {
    const cache = mkdtempSync(join(tmpdir(), 'action3d-test-'));
    const environment = { XDG_CACHE_HOME: cache, ACTION3D_GPU: 'swiftshader' };
    const ended = await Promise.all([1, 2, 3].map(() => inChild('console.log(gpu.kind)', environment)));
    assert.equal(
      ended.map(({ code, output }) => [code, output]),
      [1, 2, 3].map(() => [0, 'swiftshader\n']),
    );
    assert.is(readdirSync(join(cache, 'action3d')).filter((name) => name.startsWith('swiftshader')).length, 1);
    rmSync(cache, { recursive: true });
  });
}

test.run();
