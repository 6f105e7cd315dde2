/** L_glob and L_loc against PyTorch (test/fixtures/torch/action_stage1.py), by hand, and what takes no gradient. */
import * as assert from 'uvu/assert';
import { type BankScalar, bankScalars, createMemoryBank } from '../../engine/action/bank.ts';
import { distillationLoss } from '../../engine/action/distill.ts';
import { type DistillationHead, globalHead, localHead } from '../../engine/action/heads.ts';
import { type DistillationOptions, paper } from '../../engine/action/options.ts';
import type { Device } from '../../engine/device.ts';
import { Parameters, type ParameterValues } from '../../engine/nn/parameters.ts';
import { compute } from '../../engine/program.ts';
import { StepScalars } from '../../engine/step_scalars.ts';
import { assertClose } from '../compare.ts';
import { readFixture } from '../fixtures/torch/fixture.ts';
import { gpuTest, run, upload } from '../harness.ts';
import { type Dense, dense, random } from '../reference/dense.ts';

const { tensors, metadata } = readFixture('action_stage1');
const scalarNames: BankScalar[] = [
  'global_bank_cursor',
  'global_bank_filled',
  'local_bank_cursor',
  'local_bank_filled',
];

function fullBank(device: Device, rows: Dense, name: 'global' | 'local' = 'global') {
  const [K, locations, length] = rows.shape;
  const options = { K, bankStart: 'fill' } as const;
  const bank = createMemoryBank(device, `${name}_bank`, options, [locations, length], 0);
  bank.load(new Map([['keys', { shape: rows.shape, data: Float32Array.from(rows.data) }]]));
  const scalars = StepScalars.create(device, scalarNames);
  scalars.set(bankScalars(`${name}_bank`, options, K));
  return { bank, scalars };
}

for (const [name, json] of Object.entries(metadata).filter(([key]) => /^(global|local)\./.test(key))) {
  gpuTest(`${name}: loss, cosine and every gradient equal PyTorch's`, async (device) => {
    const options = JSON.parse(json);
    const get = (key: string): Dense => tensors.get(`${name}/${key}`) as Dense;
    const [, ...spatial] = get('student').shape;
    const channels = spatial.pop() as number;
    const extents = spatial as unknown as [number, number, number];
    const head: DistillationHead =
      options.kind === 'global'
        ? globalHead({ ...paper.global, ...options }, extents, channels)
        : localHead({ ...paper.local, ...options }, extents, channels);
    const load = (specs: DistillationHead['projector'], prefix: string, trainable: boolean) => {
      const parameters = Parameters.create(device, specs, { trainable });
      const values: ParameterValues = new Map(
        specs.map((spec) => {
          const { shape, data } = get(`${prefix}${spec.name}`);
          return [spec.name, { shape, data: Float32Array.from(data) }];
        }),
      );
      parameters.load(values);
      return parameters;
    };
    const projector = load(head.projector, '', true);
    const predictor = load(head.predictor, '', true);
    const teacher = load(head.projector, 'teacher.', false);
    const { bank, scalars } = fullBank(device, get('bank'), options.kind);
    const x = { ...upload(device, get('student'), 'student'), grad: device.tensor(get('student').shape, 'dstudent') };
    const t = upload(device, get('teacher'), 'teacher', { grad: false });
    const found = await compute(device, (rec) => {
      const queries = head.queries(rec, projector, predictor, x);
      const keys = head.keys(rec, teacher, t);
      assert.equal(keys.shape, [x.shape[0], ...head.shape]);
      const { loss, cosine } = distillationLoss(rec, queries, keys, bank, options, scalars);
      rec.backward(loss, { leaves: [...projector.leaves(), ...predictor.leaves(), x] });
      return { loss, cosine, dstudent: x.grad };
    });
    assertClose('loss', found.loss, dense([1], get('loss').data), { absolute: 1e-5 });
    assertClose('cosine', found.cosine, dense([1], get('cosine').data), { absolute: 1e-5 });
    assertClose('gradient of the output', found.dstudent, get('dstudent'), { absolute: 1e-5 });
    for (const parameters of [projector, predictor]) {
      for (const [parameter, { data }] of await parameters.read(parameters.flatGrad)) {
        const expected = get(`d${parameter}`);
        const largest = Math.max(...expected.data.map(Math.abs));
        assertClose(`gradient of ${parameter}`, data, expected, { absolute: 1e-5 * Math.max(1, largest) });
      }
    }
  });
}

const plain: DistillationOptions = { K: 2, bankStart: 'fill', centre: false, tauS: 1, tauT: 1, weight: 1 };
const one = (rows: number[][]): Dense => dense([rows.length, 1, rows[0].length], rows.flat());

async function lossOf(
  device: Device,
  queries: Dense,
  keys: Dense,
  rows: Dense,
  options: Partial<DistillationOptions> = {},
): Promise<number> {
  const { bank, scalars } = fullBank(device, rows);
  const { loss } = await compute(device, (rec) => {
    const q = upload(device, queries, 'queries', { grad: false });
    const k = upload(device, keys, 'keys', { grad: false });
    return { loss: distillationLoss(rec, q, k, bank, { ...plain, ...options }, scalars).loss };
  });
  return loss[0];
}
const near = (actual: number, expected: number, tolerance = 1e-6) =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual}, expected ${expected}`);

gpuTest('by hand: two keys at a right angle, teacher on the first, student on the second', async (device) => {
  // Cosines (1, 0) and (0, 1): P_t = (e, 1) / (e + 1), P_s the other way round, log P_t - log P_s = (1, -1).
  const loss = await lossOf(
    device,
    one([[0, 2]]),
    one([[3, 0]]),
    one([
      [5, 0],
      [0, 0.1],
    ]),
  );
  near(loss, (Math.E - 1) / (Math.E + 1));
  // Temperatures divide the cosines: P_t = (e^2, 1) / (e^2 + 1), log P_s = -log(e^0.5 + 1) + (0, 0.5).
  const tempered = await lossOf(
    device,
    one([[0, 2]]),
    one([[3, 0]]),
    one([
      [5, 0],
      [0, 0.1],
    ]),
    { tauT: 0.5, tauS: 2 },
  );
  const [p, student] = [Math.exp(2) / (Math.exp(2) + 1), Math.log(Math.exp(0.5) + 1)];
  near(tempered, p * Math.log(p) + (1 - p) * Math.log(1 - p) + student - 0.5 * (1 - p));
});

gpuTest('by hand: centring takes the mean of the bank off queries, keys and bank', async (device) => {
  // Mean (1, 1): the bank becomes (1, 0), (0, 1), (-1, -1), queries and keys the two axes.
  const rows = one([
    [2, 1],
    [1, 2],
    [0, 0],
  ]);
  const centred = await lossOf(device, one([[1, 3]]), one([[4, 1]]), rows, { K: 3, centre: true });
  const plainly = await lossOf(
    device,
    one([[0, 1]]),
    one([[1, 0]]),
    one([
      [1, 0],
      [0, 1],
      [-1, -1],
    ]),
    { K: 3 },
  );
  near(centred, plainly);
});

gpuTest('the loss is zero only for equal distributions, and its direction is teacher to student', async (device) => {
  const [a, b] = [random([3, 4, 6], 1), random([3, 4, 6], 2)];
  const rows = random([5, 4, 6], 3);
  near(await lossOf(device, a, a, rows, { K: 5, tauS: 0.1, tauT: 0.1 }), 0);
  assert.ok((await lossOf(device, a, a, rows, { K: 5, tauS: 0.1, tauT: 0.05 })) > 0.01);
  const forward = await lossOf(device, a, b, rows, { K: 5, tauS: 0.2, tauT: 0.2 });
  const backward = await lossOf(device, b, a, rows, { K: 5, tauS: 0.2, tauT: 0.2 });
  assert.ok(forward > 0.01 && backward > 0.01 && Math.abs(forward - backward) > 0.01, `${forward}, ${backward}`);
  // A teacher sure of one row against a student sure of another costs much; an even teacher far less: it is KL(P_t || P_s).
  const axes = one([
    [1, 0],
    [0, 1],
  ]);
  const sure = await lossOf(device, one([[1, 1]]), one([[1, 0]]), axes, { tauS: 0.05, tauT: 0.05 });
  const unsure = await lossOf(device, one([[1, 0]]), one([[1, 1]]), axes, { tauS: 0.05, tauT: 0.05 });
  near(sure, Math.log(2), 1e-5);
  near(unsure, 10 - Math.log(2), 1e-4);
});

gpuTest('no gradient reaches the keys, even where they could take one', async (device) => {
  const { bank, scalars } = fullBank(device, random([5, 2, 6], 3));
  const leaf = (seed: number, label: string) => ({
    ...upload(device, random([3, 2, 6], seed), label),
    grad: device.tensor([3, 2, 6], `d${label}`, { data: new Float32Array(36).fill(7) }),
  });
  const [queries, keys] = [leaf(1, 'queries'), leaf(2, 'keys')];
  const found = await compute(device, (rec) => {
    const { loss } = distillationLoss(rec, queries, keys, bank, { ...plain, centre: true }, scalars);
    rec.backward(loss, { leaves: [queries, keys] });
    return { queries: queries.grad, keys: keys.grad };
  });
  assert.ok(found.queries.some((v) => v !== 0));
  assert.ok(found.keys.every((v) => v === 0));
});

run();
