/** Recording and replay: the same bits every time, whatever the memory held; misuse is refused with a sentence. */
import * as assert from 'uvu/assert';
import type { Device } from '../engine/device.ts';
import { ActionError, FitError, GpuValidationError, ShapeError } from '../engine/errors.ts';
import { kernel } from '../engine/kernel.ts';
import { add, mul, scale } from '../engine/ops/elementwise.ts';
import { compute, Program } from '../engine/program.ts';
import { Recording } from '../engine/recording.ts';
import { addKernel, scaleKernel } from '../shaders/elementwise.wgsl.ts';
import { flatIndex, flatMain, wgsl } from '../shaders/shared/wgsl.ts';
import { gpuTest, run, upload } from './harness.ts';
import { smallStep } from './nn/small_step.ts';
import { random } from './reference/dense.ts';

/** Runs `body`; returns every buffer with storage that was made meanwhile. */
async function buffersMade(device: Device, body: () => Promise<unknown>): Promise<GPUBuffer[]> {
  const made: GPUBuffer[] = [];
  const create = device.createBuffer;
  device.createBuffer = (...args) => {
    const buffer = create.apply(device, args);
    if (buffer.usage & 0x80) made.push(buffer);
    return buffer;
  };
  await body();
  device.createBuffer = create;
  return made;
}

const families = [{ software: true, kind: 'llvmpipe' }, { software: true }, { software: false }];

for (const family of families) {
  gpuTest(
    `a step reads nothing but its inputs: over memory full of NaN it gives the same bits (kernels of ${JSON.stringify(family)})`,
    async (device) => {
      let small: Awaited<ReturnType<typeof smallStep>> | undefined;
      const made = await buffersMade(device, async () => {
        small = await smallStep(device, 0);
      });
      const { program, parameters, logits, step } = small as NonNullable<typeof small>;
      const slots = made.filter((buffer) => buffer.label.includes('.slot'));
      assert.is(slots.length, program.plan.slots.length);
      const results = async () => ({
        ...(await step(0)),
        logits: await program.read(logits),
        gradients: await parameters.read(parameters.flatGrad),
      });
      const first = await results();
      assert.ok(first.norm > 0 && Number.isFinite(first.loss));
      assert.equal(await results(), first);
      for (const slot of slots) {
        device.gpu.queue.writeBuffer(slot, 0, new Uint32Array(slot.size / 4).fill(0x7fc00000));
      }
      assert.ok((await program.read(logits)).every(Number.isNaN));
      assert.equal(await results(), first);
    },
    family,
  );
}

gpuTest('a second program of the same trace repeats the run to the bit', async (device) => {
  const losses = async () => {
    const small = await smallStep(device);
    const found: number[] = [];
    for (let i = 0; i < 5; i++) found.push((await small.step(i)).loss);
    const values = await small.parameters.read();
    small.destroy();
    return { found, values };
  };
  const once = await losses();
  assert.is(new Set(once.found).size, 5);
  assert.equal(await losses(), once);
});

gpuTest('a grid of more than 65,535 workgroups folds: every element is computed once', async (device) => {
  const count = 65_535 * 64 + 1_000;
  const countUp = kernel(
    'count_up',
    wgsl`
struct Params { count: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  y[i] += i + 1u;
}
`,
  );
  const y = device.tensor([count], 'y', { dtype: 'u32', dense: true });
  const rec = new Recording(device, 'large');
  rec.dispatch(countUp, { y }, { count }, count);
  const [command] = rec.commands;
  assert.equal(command.kind === 'dispatch' && command.groups, [32_776, 2, 1]);
  const program = await Program.create(rec);
  program.run();
  const values = await device.read(y);
  assert.is(
    values.findIndex((v, i) => v !== i + 1),
    -1,
  );
});

gpuTest('equal parameters are stored once; a printed recording tells kernels, tensors and bytes', async (device) => {
  const x = upload(device, random([2, 3], 1), 'x', { grad: false });
  const rec = new Recording(device, 'print');
  const y = scale(rec, scale(rec, x, 2), 2);
  scale(rec, y, 3);
  assert.is(rec.params.length, 2);
  assert.is(
    rec.toString(),
    [
      '   0 scale <1 1 1> x=x[2, 3] *y=scale[2, 3]',
      '   1 scale <1 1 1> x=scale[2, 3] *y=scale[2, 3]',
      '   2 scale <1 1 1> x=scale[2, 3] *y=scale[2, 3]',
      '64 bytes in 2 buffers (96 unshared)',
    ].join('\n'),
  );
});

/** Asserts type and sentence of what `body` throws. */
function throwsError(body: () => unknown, type: new (message: string) => ActionError, message: string): void {
  try {
    body();
  } catch (error) {
    assert.instance(error, type);
    assert.is((error as Error).message, message);
    return;
  }
  assert.unreachable(`nothing was thrown; expected: ${message}`);
}

gpuTest('errors: what a kernel is given', async (device) => {
  const x = upload(device, random([2, 4], 1), 'x', { grad: false });
  const rec = new Recording(device, 'errors');
  const y = rec.tensor([2, 4], 'y');
  const given = { count: 2, factor: 1 };
  throwsError(
    () => rec.dispatch(scaleKernel(), { x: y, y: rec.like(y, 'z') }, given, 2),
    ActionError,
    "scale: 'y' is read before anything wrote it",
  );
  throwsError(
    () => rec.dispatch(scaleKernel(), { x, y: x }, given, 2),
    ActionError,
    "kernel 'scale' would read and write 'x' at once",
  );
  throwsError(
    () => rec.dispatch(scaleKernel(), { x }, given, 2),
    ActionError,
    "kernel 'scale': nothing is bound to 'y'",
  );
  throwsError(
    () => rec.dispatch(scaleKernel(), { x, y }, { count: 2 }, 2),
    ShapeError,
    "kernel 'scale': parameter 'factor' is undefined; Params wants a f32",
  );
  throwsError(
    () => rec.dispatch(scaleKernel(), { x, y }, { count: 2, factor: Number.NaN }, 2),
    ShapeError,
    "kernel 'scale': parameter 'factor' is NaN; Params wants a f32",
  );
  throwsError(
    () => rec.dispatch(scaleKernel(), { x, y }, { ...given, slope: 2 }, 2),
    ShapeError,
    "kernel 'scale' has no parameter 'slope'; Params holds count, factor",
  );
  throwsError(
    () => rec.dispatch(scaleKernel(), { x, y }, given, [1, 70_000, 1]),
    FitError,
    "kernel 'scale' would need 1 x 70000 x 1 workgroups; one dimension holds 65535",
  );
  // A view of the same storage counts as the same storage.
  throwsError(
    () => rec.dispatch(addKernel(), { a: rec.reshape(x, [8]), b: x, y: x }, { count: 2 }, 2),
    ActionError,
    "kernel 'add' would read and write 'x' at once",
  );
  assert.is(rec.commands.length, 0);
});

gpuTest('errors: shapes', async (device) => {
  const x = upload(device, random([2, 3], 1), 'x');
  const rec = new Recording(device, 'errors');
  throwsError(
    () => rec.tensor([2, 0], 'empty'),
    ShapeError,
    "'empty' would have shape [2, 0]; every extent must be a positive integer",
  );
  throwsError(
    () => rec.tensor([2.5, 4], 'half'),
    ShapeError,
    "'half' would have shape [2.5, 4]; every extent must be a positive integer",
  );
  throwsError(() => rec.reshape(x, [6]), ShapeError, "reshape: 'x' [2, 3] does not lie in memory as [6]");
  throwsError(() => rec.copy(x, rec.tensor([3, 3], 'y')), ShapeError, "copy: 'x' [2, 3] f32 into 'y' [3, 3] f32");
  throwsError(
    () => mul(rec, x, upload(device, random([3, 3], 1), 'z')),
    ShapeError,
    "mul: 'x' [2, 3] and 'z' [3, 3] must have one shape and layout",
  );
  throwsError(() => device.write(x, [1, 2]), ShapeError, "'x': [2, 3] needs 6 values, got 2");
});

gpuTest('errors: differentiation', async (device) => {
  const x = upload(device, random([2, 3], 1), 'x');
  const rec = new Recording(device, 'errors');
  const y = scale(rec, x, 2);
  throwsError(
    () => rec.backward(y, { seed: upload(device, random([3, 3], 1), 'dy') }),
    ShapeError,
    "backward: gradient [3, 3] for 'scale' [2, 3]",
  );
  throwsError(() => rec.backward(rec.detach(y)), ActionError, "backward: nothing with a gradient leads to 'scale'");
  const silent = rec.noGrad(() => add(rec, x, x));
  throwsError(() => rec.backward(silent), ActionError, "backward: nothing with a gradient leads to 'add'");
});

gpuTest('errors: after compilation, and of temporaries', async (device) => {
  const x = upload(device, random([2, 3], 1), 'x');
  const rec = new Recording(device, 'done');
  const y = scale(rec, x, 2);
  const kept = rec.keep(scale(rec, y, 2));
  const program = await Program.create(rec);
  throwsError(() => scale(rec, x, 2), ActionError, "'done' is compiled; nothing can be added to it");
  throwsError(() => rec.keep(y), ActionError, "'done' is compiled; keep 'scale' before that");
  throwsError(
    () => program.bufferOf(y),
    ActionError,
    "'scale' is a temporary of 'done'; keep() it while recording to read it",
  );
  throwsError(
    () => device.write(y, new Float32Array(6)),
    ActionError,
    "'scale' [2, 3] is planned memory of a recording; keep() it and read it there",
  );
  program.run();
  assert.is((await program.read(kept)).length, 6);
  program.destroy();
  throwsError(() => program.run(), ActionError, "'done' was destroyed and cannot run");
});

gpuTest('errors: a kernel that does not compile names its line and shows its source', async (device) => {
  const broken = kernel(
    'broken',
    '@group(0) @binding(0) var<storage, read_write> y: array<f32>;\n@compute @workgroup_size(1) fn main() {\n  y[0] = wrong;\n}',
  );
  const before = device.bytesHeld;
  const failed = compute(device, (rec) => {
    const y = rec.tensor([4], 'y');
    rec.dispatch(broken, { y }, {}, 1);
    return { y };
  });
  await failed.then(
    () => assert.unreachable('it compiled'),
    (error: Error) => {
      assert.instance(error, GpuValidationError);
      assert.match(error.message, /^kernel 'broken' does not compile:\nbroken:3:\d+ .*wrong/);
      assert.match(error.message, /\n {3}3 {3}y\[0\] = wrong;/);
    },
  );
  assert.is(device.bytesHeld, before);
});

run();
