import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { dropout, dropout3d } from '../../engine/ops/dropout.ts';
import { compute, Program } from '../../engine/program.ts';
import { pcg4d, unit } from '../../engine/random.ts';
import { Recording } from '../../engine/recording.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { random } from '../reference/dense.ts';
import { dropout as dropoutReference } from '../reference/dropout.ts';

const SEED = 0x9e3779b9;
const STEP = 41;
const counters = (device: Device, step = STEP) =>
  device.tensor([2], 'counters', { dtype: 'u32', dense: true, data: [SEED, step] });

/** The mask by the host's random numbers: one word an element, or one a sample and channel. */
function hostMask(shape: number[], p: number, stream: number, whole: boolean): number[] {
  const channels = shape[shape.length - 1];
  const units = Math.ceil(channels / 4);
  const size = shape.reduce((a, b) => a * b, 1);
  const rows = size / channels / shape[0];
  return Array.from({ length: size }, (_, i) => {
    const [row, c] = [Math.floor(i / channels), i % channels];
    const draw = (whole ? Math.floor(row / rows) : row) * units + (c >> 2);
    return unit(pcg4d(SEED, STEP, stream, draw)[c & 3]) >= p ? 1 : 0;
  });
}

for (const shape of [
  [2, 3, 4, 5, 3],
  [3, 2, 2, 2, 8],
  [9, 6],
]) {
  const x = random(shape, 1);
  for (const [p, stream] of [
    [0.3, 0],
    [0.5, 17],
    [0, 2],
  ]) {
    for (const [name, op, whole] of [
      ['dropout', dropout, false],
      ['dropout3d', dropout3d, true],
    ] as const) {
      gpuTest(`${name} of [${shape}], p ${p}, drops what the host draws, both ways`, (device) => {
        const mask = hostMask(shape, p, stream, whole);
        return checkOp(device, name, {
          inputs: { x },
          op: (rec, t) => op(rec, t.x, p, { counters: counters(device), stream }),
          expected: dropoutReference(x, mask, p),
          gradients: (dy) => ({ x: dropoutReference(dy, mask, p) }),
        });
      });
    }
  }
}

const ones = { shape: [40, 500], data: new Float64Array(20000).fill(1) };
gpuTest('the share of zeros is the probability, and streams differ', async (device) => {
  const x = upload(device, ones, 'x');
  const { a, b } = await compute(device, (rec) => ({
    a: dropout(rec, x, 0.2, { counters: counters(device), stream: 0 }),
    b: dropout(rec, x, 0.2, { counters: counters(device), stream: 1 }),
  }));
  const share = a.filter((v) => v === 0).length / a.length;
  // Four standard errors of a share of 0.2 in 20,000 draws.
  assert.ok(Math.abs(share - 0.2) < 0.0114, `${share}`);
  const both = a.filter((v, i) => v === 0 && b[i] === 0).length / a.length;
  assert.ok(Math.abs(both - 0.04) < 0.0056, `${both}`);
});

gpuTest('a replay draws a new mask when the step counter moved, the same one when not', async (device) => {
  const x = upload(device, ones, 'x');
  const state = counters(device);
  const rec = new Recording(device, 'dropout');
  const y = rec.keep(dropout(rec, x, 0.5, { counters: state, stream: 3 }));
  const program = await Program.create(rec);
  const replay = async (step: number) => {
    device.write(state, [SEED, step]);
    program.run();
    return (await program.read(y)).join();
  };
  const [first, second, again] = [await replay(1), await replay(2), await replay(1)];
  assert.is.not(first, second);
  assert.is(first, again);
});

gpuTest('a probability of 1 is an error that shows it', async (device) => {
  const rec = new Recording(device, 'errors');
  assert.throws(() => dropout(rec, device.tensor([4], 'x'), 1, { counters: counters(device), stream: 0 }), /is 1;/);
});

run();
