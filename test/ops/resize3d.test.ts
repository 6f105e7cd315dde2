import * as assert from 'uvu/assert';
import { resize3d } from '../../engine/ops/resize3d.ts';
import { compute } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { assertClose } from '../compare.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { checkPadding } from '../padding.ts';
import { dense, random, type Triple } from '../reference/dense.ts';
import * as reference from '../reference/resize3d.ts';

/** Twice, down and up by odd ratios, to and from a single voxel, unchanged, far apart. */
const cases: [number[], Triple][] = [
  [
    [2, 3, 4, 5, 4],
    [6, 8, 10],
  ],
  [
    [1, 5, 6, 7, 3],
    [3, 11, 4],
  ],
  [
    [2, 3, 2, 5, 9],
    [1, 1, 1],
  ],
  [
    [1, 1, 3, 1, 2],
    [4, 1, 5],
  ],
  [
    [1, 4, 3, 5, 1],
    [4, 3, 5],
  ],
  [
    [1, 2, 37, 3, 5],
    [23, 2, 1],
  ],
  [
    [1, 31, 2, 3, 2],
    [2, 29, 64],
  ],
];

for (const alignCorners of [false, true])
  for (const [shape, size] of cases)
    gpuTest(`resize3d [${shape}] to ${size}, align corners ${alignCorners}, both ways`, (device) => {
      const x = random(shape, 1);
      return checkOp(device, 'resize3d', {
        inputs: { x },
        op: (rec, t) => resize3d(rec, t.x, size, { alignCorners }),
        expected: reference.resize3d(x, size, alignCorners),
        gradients: (dy) => ({ x: reference.resize3dGrad(dy, shape, alignCorners) }),
        gradientTolerance: { terms: 64 },
      });
    });

for (const alignCorners of [false, true])
  gpuTest(`every pair of extents up to 9 along one axis, align corners ${alignCorners}`, async (device) => {
    const pairs = Array.from({ length: 81 }, (_, i) => [1 + (i % 9), 1 + Math.floor(i / 9)]);
    const problems = pairs.map(([from, to]) => ({
      x: random([1, 1, 1, from, 2], from),
      dy: random([1, 1, 1, to, 2], 10 + to),
      size: [1, 1, to] as Triple,
    }));
    const results = await compute(device, (rec) => {
      const out: Record<string, ReturnType<typeof resize3d>> = {};
      for (const [i, { x, dy, size }] of problems.entries()) {
        const leaf = { ...upload(device, x, 'x'), grad: device.tensor(x.shape, 'dx') };
        out[`y${i}`] = resize3d(rec, leaf, size, { alignCorners });
        rec.backward(out[`y${i}`], { seed: upload(device, dy, 'dy', { grad: false }) });
        out[`dx${i}`] = leaf.grad;
      }
      return out;
    });
    for (const [i, { x, dy, size }] of problems.entries()) {
      assertClose(`${pairs[i]}`, results[`y${i}`], reference.resize3d(x, size, alignCorners));
      assertClose(`${pairs[i]} gradient`, results[`dx${i}`], reference.resize3dGrad(dy, x.shape, alignCorners));
    }
  });

gpuTest('a volume of ones stays ones: the weights of an output sum to one', async (device) => {
  const ones = dense([1, 7, 6, 5, 3], new Array(630).fill(1));
  const { y } = await compute(device, (rec) => ({ y: resize3d(rec, upload(device, ones, 'ones'), [9, 13, 4]) }));
  assertClose(
    'y',
    y,
    { shape: [9 * 13 * 4 * 3], data: new Float64Array(9 * 13 * 4 * 3).fill(1) },
    { absolute: 0, terms: 2 },
  );
});

gpuTest('padding stays zero', async (device) => {
  await checkPadding(device, { x: random([2, 5, 4, 3, 3], 1) }, (rec, t) => resize3d(rec, t.x, [3, 8, 6]));
  await checkPadding(device, { x: random([2, 9, 4, 3, 5], 1) }, (rec, t) => resize3d(rec, t.x, [2, 1, 6]));
});

gpuTest('an impossible size is refused', async (device) => {
  const rec = new Recording(device, 'refused');
  const x = device.tensor([1, 2, 4, 4, 2], 'x');
  assert.throws(() => resize3d(rec, x, [4, 0, 2]), /resize3d: 'x' to \[4, 0, 2\]; give three positive whole extents/);
  assert.throws(() => resize3d(rec, device.tensor([4, 4], 'flat'), [4, 4, 4]), /must be \[N, D, H, W, C\]/);
});

run();
