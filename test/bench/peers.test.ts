/** `bench peers`: what is compared, that a wrong peer is caught, and what is told of peers that are not there. */
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Device } from '../../engine/device.ts';
import { agreement, relativeError } from '../../runner/bench/peers/agreement.ts';
import { compareWork, type Participant, type Preparation } from '../../runner/bench/peers/compare.ts';
import { CHANNELS_FIRST, inverse, permuted, updateOf } from '../../runner/bench/peers/layout.ts';
import { OnnxGraph } from '../../runner/bench/peers/onnx_model.ts';
import { ourSystem } from '../../runner/bench/peers/ours.ts';
import {
  PEER_NAMES,
  PEER_PACKAGES,
  type PeerName,
  type Results,
  type Work,
} from '../../runner/bench/peers/protocol.ts';
import { convolutionWork, networkWork } from '../../runner/bench/peers/works.ts';
import { type BenchOptions, bench } from '../../runner/commands/bench.ts';
import { benchPeersCommand, type PeersReport } from '../../runner/commands/bench_peers.ts';
import { peersText } from '../../runner/commands/bench_peers_text.ts';
import { localParticipant, type OpenedPeers, openPeers } from '../../runner/commands/peer_participants.ts';
import { findPytorch, pythonsToTry } from '../../runner/commands/python.ts';
import { exit, openGpu } from '../../runner/host/node.ts';
import { foundPackage } from '../../runner/host/packages.ts';
import { captured } from '../captured.ts';
import { inFolder, writeFiles } from '../data/corpus.ts';
import { rejects } from '../data/rejects.ts';

const SIZES = { patch: [4, 8, 4], batch: 2, channels: [4, 8] } as const;
const OPTIONS: BenchOptions = { gpu: process.env.ACTION3D_GPU, quiet: true, repeats: 1, ...SIZES };
const TINY: Work = convolutionWork({ op: 'conv3d', name: 'tiny', input: [1, 3, 4, 5, 2], out: 3 }, true);

/** Answers every work with what `results` makes of it, at a speed of `ms`. */
function fake(name: string, ms: number, results: () => Results, ready: Partial<Preparation> = {}): Participant {
  return {
    ...{ name, backend: 'webgpu', precision: 'fp32' },
    prepare: async () => ({ kind: 'ready', results: results(), notes: [], dispatches: 1, ...ready }) as Preparation,
    run: async (times) => ({ wallMs: ms * times, cpuMs: 2 * ms * times }),
    release: async () => undefined,
  };
}

const EFFORT = { sampleMs: 1, samples: 3, budgetMs: 1000 };
const values = (...numbers: number[]): Results => ({ y: Float32Array.from(numbers) });

test('axes go to another order and back', () => {
  const shape = [2, 3, 4, 5, 6];
  const data = Float32Array.from({ length: 720 }, (_, i) => i);
  const first = permuted({ shape, data }, CHANNELS_FIRST);
  assert.equal(first.shape, [2, 6, 3, 4, 5]);
  // [1, 5, 2, 3, 4] there is [1, 2, 3, 4, 5] here
  assert.is(first.data[(((1 * 6 + 5) * 3 + 2) * 4 + 3) * 5 + 4], (((1 * 3 + 2) * 4 + 3) * 5 + 4) * 6 + 5);
  assert.equal(permuted(first, inverse(CHANNELS_FIRST)), { shape, data });
});

test('an update is how far parameters moved, in our layout', () => {
  const work = networkWork(SIZES, true);
  const orders = { convolution: [4, 3, 0, 1, 2], up: [3, 4, 0, 1, 2] };
  const now = work.parameters.map(({ name, shape, data }) => {
    const moved = { shape, data: data.map((value, i) => value + i) };
    const order = name.endsWith('.up.weight') ? orders.up : orders.convolution;
    return shape.length === 5 ? permuted(moved, order).data : moved.data;
  });
  const update = updateOf(work, now, orders);
  let at = 0;
  for (const { data } of work.parameters) {
    for (let i = 0; i < data.length; i++) assert.ok(Math.abs(update[at++] - i) <= 1e-3 * Math.max(1, i));
  }
  assert.is(at, update.length);
});

test('errors are relative to the norm; what is missing or not a number is wrong', () => {
  assert.is(relativeError([3, 4], [3, 4]), 0);
  assert.is(relativeError([3, 4.5], [3, 4]), 0.1);
  assert.is(relativeError([3], [3, 4]), null);
  assert.is(relativeError([Number.NaN, 4], [3, 4]), null);
  const bad = { ...values(3, 4), dw: Float32Array.of(1) };
  assert.equal(agreement(bad, values(3, 4), 'fp32'), { result: 'dw', error: null, tolerance: 1e-5, ok: false });
  assert.equal(agreement(values(3, 4), {}, 'fp32').ok, false);
  const off = { y: Float32Array.of(3, 4.004) };
  assert.equal(agreement(values(3, 4), off, 'fp32').ok, false);
  assert.equal(agreement(values(3, 4), off, 'reduced').ok, true);
  const two = { y: Float32Array.of(1), dw: Float32Array.of(1) };
  assert.is(agreement(two, { ...two, dw: Float32Array.of(2) }, 'fp32').result, 'dw');
});

test('a right peer is timed in turns with ours, a wrong one and one that leaves the adapter alone are not', async () => {
  const ours = fake('ours', 2, () => values(3, 4));
  const peers = [
    fake('right', 8, () => values(3, 4)),
    fake('wrong', 0.1, () => values(3, 4.1)),
    fake('elsewhere', 0.1, () => values(3, 4), { dispatches: 0 }),
    fake('without', 1, () => values(), { kind: 'unsupported', reason: 'it has no gradients' }),
    { ...fake('dying', 1, () => values(3, 4)), run: () => Promise.reject(new Error('the process ended')) },
  ];
  const rows = await compareWork(ours, peers, TINY, EFFORT);
  assert.equal(
    rows.map(({ peer, outcome }) => `${peer} ${outcome}`),
    ['right timed', 'wrong wrong', 'elsewhere failed', 'without unsupported', 'dying failed'],
  );
  const [right, wrong, elsewhere, without, dying] = rows;
  assert.equal(right.faster, { wall: 4, cpu: 4 });
  assert.equal([right.ours?.samples, right.theirs?.cpuMs], [3, 16]);
  assert.ok(rows.slice(1).every(({ theirs, ours, faster }) => !theirs && !ours && !faster));
  assert.is(wrong.check?.ok, false);
  assert.match(elsewhere.notes.join(), /did not use the adapter/);
  assert.equal([without.notes, dying.notes], [['it has no gradients'], ['the process ended']]);
});

test('a slow peer gets fewer samples', async () => {
  const counted = async (ms: number) => {
    const [row] = await compareWork(
      fake('ours', 2, () => values(1)),
      [fake('slow', ms, () => values(1))],
      TINY,
      { ...EFFORT, samples: 20 },
    );
    return row.theirs?.samples;
  };
  assert.equal([await counted(10), await counted(300), await counted(5000)], [20, 4, 1]);
});

test('an ONNX model has its bytes where onnx.proto says', () => {
  const graph = new OnnxGraph();
  const y = graph.node('LeakyRelu', ['x'], { alpha: { float: 0.5 } });
  const bytes = Buffer.from(graph.model([1, 300], y, [1, 300]));
  // ir_version 8; graph; opset_import { domain '', version 17 }
  assert.is(bytes.subarray(0, 3).toString('hex'), '08083a');
  assert.is(bytes.subarray(-6).toString('hex'), '42040a001011');
  // node { input x, output v0, op_type LeakyRelu, attribute { name alpha, f 0.5, type FLOAT } }
  const node = '0a01781202763022094c65616b7952656c752a0f0a05616c706861150000003fa00101';
  assert.ok(bytes.toString('hex').includes(node));
  // x { type { tensor_type { elem_type FLOAT, shape { dim 1, dim 300 } } } }
  assert.ok(bytes.toString('hex').includes('0a0178120f0a0d080112090a0208010a0308ac02'));
});

/** The command with peers that are not processes. */
const withPeers = (opened: Partial<OpenedPeers>, options: BenchOptions) =>
  captured(() =>
    benchPeersCommand(options, async () => ({ peers: [], missing: [], close: () => undefined, ...opened })),
  );

test('a wrong peer and a missing one are told, and the exit code stays 0', async () => {
  const missing = [{ peer: 'tfjs', reason: 'is not installed', remedy: 'npm install --no-save x' }];
  const wrong = fake('wrong 1.0', 1, () => ({ y: new Float32Array(1), logits: new Float32Array(1) }));
  let closed = 0;
  const opened = { peers: [wrong], missing, close: () => closed++ };
  const json = await withPeers(opened, { ...OPTIONS, json: true });
  assert.equal([json.code, closed], [0, 1], String(json.failure));
  const report: PeersReport = JSON.parse(json.text);
  assert.equal([report.subject, report.patch, report.batch, report.channels], ['peers', [4, 8, 4], 2, [4, 8]]);
  assert.equal(
    report.rows.map(({ work, outcome }) => `${work}: ${outcome}`),
    [
      ...['A', 'B'].flatMap((name) => [`conv3d ${name}, forward: wrong`, `conv3d ${name}, forward + gradients: wrong`]),
      ...['U-Net forward: wrong', 'U-Net training step: wrong'],
    ],
  );
  assert.equal(report.missing, missing);
  const text = peersText(report);
  assert.match(text, /\nU-Net forward +wrong 1\.0 +webgpu +.* WRONG /);
  assert.match(text, /\ntfjs is not installed: npm install --no-save x$/);
  const none = await withPeers({ missing }, OPTIONS);
  assert.is(none.code, 0);
  assert.match(none.text, /\nno peer to compare with\ntfjs is not installed: npm install --no-save x\n$/);
});

test('times, what stands for an op and GPU memory are in the table', () => {
  const timing = { samples: 5, gpuBytes: 2 ** 20 };
  const text = peersText({
    ...{ subject: 'peers', ...SIZES, missing: [] },
    place: {
      ...{ date: '2026-01-01T00:00:00Z', adapter: 'Some GPU', backend: 'vulkan', software: false, driver: '' },
      ...{ action3d: '0.1.0', webgpu: '1', node: '20', platform: 'linux-x64' },
    },
    rows: [
      {
        ...{ work: 'U-Net forward', flops: 1e9, peer: 'jax-js 1', backend: 'webgpu', outcome: 'timed', dispatches: 3 },
        notes: ['max pooling by reshape'],
        check: { result: 'logits', error: 1e-6, tolerance: 1e-4, ok: true },
        ours: { ...timing, wallMs: 2, cpuMs: 1 },
        theirs: { ...timing, wallMs: 10, cpuMs: 4, gpuBytes: 2 ** 22 },
        faster: { wall: 5, cpu: 4 },
      },
    ],
  });
  assert.match(text, / 10\.0 +4\.00 +100 +2\.00 +1\.00 +500 +5\.00 +4\.00 +5\n/);
  assert.match(text, /\njax-js 1: max pooling by reshape \[U-Net forward\]\n/);
  assert.match(text, /\nGPU memory of U-Net forward: .*jax-js 1 .* at its peak \(25 %\)/);
});

test('peers that are not installed are told with the command that installs them', async () => {
  const absent = (['tfjs', 'jax-js', 'onnxruntime'] as const).filter(
    (peer) => !PEER_PACKAGES[peer].every(foundPackage),
  );
  await inFolder(async (folder) => {
    await writeFiles(folder, { python3: '#!/bin/sh\nexit 1\n' });
    await chmod(join(folder, 'python3'), 0o755);
    const pythons = pythonsToTry(join(folder, 'python3'));
    const place = { gpu: 'auto', adapter: '', software: true, pythons };
    const { peers, missing, close } = await openPeers([...absent, 'pytorch'], place, () => undefined);
    close();
    assert.equal(peers, []);
    const told = missing.map(({ peer, reason, remedy }) => `${peer} ${reason}: ${remedy}`);
    const commands = absent.map(
      (peer) => `${peer} is not installed: npm install --no-save ${PEER_PACKAGES[peer].join(' ')}`,
    );
    assert.equal(told.slice(0, -1), commands);
    assert.match(told[told.length - 1], /^pytorch is in none of the Pythons here \(.*python3\): pip install torch/);
  });
});

test('what cannot be meant is exit 2', async () => {
  for (const python of ['/no/such/python', '/'])
    await rejects(() => bench('peers', { python }), 2, new RegExp(`--python ${python} is no program`));
  await rejects(() => bench('step', { peers: ['tfjs'] }), 2, /--peers means nothing to bench step/);
  await rejects(() => bench('peers', { size: [8, 8, 8] }), 2, /--size means nothing to bench peers/);
  await rejects(() => bench('peers', { ...OPTIONS, patch: [5, 8, 4] }), 2, /5 voxels along z are no multiple of 2/);
});

test('every peer that is installed computes what we do, in a process of its own', async () => {
  const gpu = process.env.ACTION3D_GPU ?? 'auto';
  const opened = await openGpu({ gpu, unsafe: true });
  const device = new Device(opened.device, opened);
  const installed = (['tfjs', 'jax-js', 'onnxruntime'] as const).filter((peer) =>
    PEER_PACKAGES[peer].every(foundPackage),
  );
  const pythons = pythonsToTry(undefined);
  const names: PeerName[] = [...installed, ...((await findPytorch(pythons)) ? (['pytorch'] as const) : [])];
  const lacking = PEER_NAMES.filter((name) => !names.includes(name));
  if (lacking.length > 0) console.log(`not installed, so not compared: ${lacking.join(', ')}`);
  const place = { gpu, adapter: `${opened.name} (${opened.backend})`, software: opened.software, pythons };
  const { peers, missing, close } = await openPeers(names, place, () => undefined);
  try {
    assert.equal(missing, []);
    const ours = localParticipant('ours', ourSystem(device));
    for (const work of [TINY, networkWork(SIZES, false), networkWork(SIZES, true)]) {
      for (const row of await compareWork(ours, peers, work, { ...EFFORT, samples: 1 })) {
        const without = row.peer.startsWith('onnxruntime') && work.name !== 'U-Net forward';
        assert.is(row.outcome, without ? 'unsupported' : 'timed', JSON.stringify(row));
        if (without) continue;
        assert.ok(row.peer.startsWith('pytorch') || ((row.dispatches ?? 0) > 0 && row.backend.startsWith('webgpu')));
      }
    }
  } finally {
    close();
    device.destroy();
    opened.close();
  }
});

test.after(() => {
  setTimeout(() => exit(Number(process.exitCode ?? 0)), 10);
});
test.run();
