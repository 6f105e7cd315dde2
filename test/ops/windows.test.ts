import * as assert from 'uvu/assert';
import { windowCounts, windows } from '../../engine/ops/windows.ts';
import { compute } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { checkPadding } from '../padding.ts';
import { dense, random, type Triple } from '../reference/dense.ts';
import { windows as reference, windowsGrad } from '../reference/windows.ts';

const cases: [shape: number[], size: Triple, stride: Triple][] = [
  [
    [2, 8, 12, 8, 3],
    [4, 4, 4],
    [2, 2, 2],
  ],
  [
    [1, 5, 4, 7, 2],
    [2, 3, 4],
    [1, 1, 3],
  ],
  [
    [2, 5, 6, 5, 4],
    [3, 2, 3],
    [1, 2, 2],
  ],
  [
    [3, 4, 4, 4, 8],
    [2, 2, 2],
    [2, 2, 2],
  ],
  // Stride beyond the window: cells between windows belong to none.
  [
    [1, 7, 5, 6, 3],
    [2, 1, 2],
    [3, 2, 4],
  ],
  // One window over everything: flattening.
  [
    [2, 2, 3, 2, 5],
    [2, 3, 2],
    [1, 1, 1],
  ],
  [
    [1, 1, 1, 1, 1],
    [1, 1, 1],
    [1, 1, 1],
  ],
];
for (const [shape, size, stride] of cases) {
  const x = random(shape, 1);
  gpuTest(`windows of [${size}] every [${stride}] of [${shape}] equal the reference, both ways`, (device) =>
    checkOp(device, 'windows', {
      inputs: { x },
      op: (rec, t) => windows(rec, t.x, size, stride),
      expected: reference(x, size, stride),
      gradients: (dy) => ({ x: windowsGrad(dy, shape, size, stride) }),
    }),
  );
}

gpuTest('four cells in windows of two, by hand', async (device) => {
  const x = upload(device, dense([1, 1, 1, 4, 1], [10, 20, 30, 40]), 'x');
  const dy = upload(device, dense([1, 3, 2], [1, 2, 4, 8, 16, 32]), 'dy');
  const grad = device.tensor([1, 1, 1, 4, 1], 'dx');
  const { y, dx } = await compute(device, (rec) => {
    const y = windows(rec, { ...x, grad }, [1, 1, 2], 1);
    rec.backward(y, { seed: dy });
    return { y, dx: grad };
  });
  assert.equal(Array.from(y), [10, 20, 20, 30, 30, 40]);
  assert.equal(Array.from(dx), [1, 2 + 4, 8 + 16, 32]);
});

for (const channels of [3, 4]) {
  gpuTest(`padding behind windows of ${channels} channels and behind their gradient is zero`, (device) =>
    checkPadding(device, { x: random([2, 3, 3, 4, channels], 2) }, (rec, t) => windows(rec, t.x, [3, 1, 3], [1, 2, 1])),
  );
}

gpuTest('the published geometry has 700 windows, the reference run 45', async () => {
  assert.equal(windowCounts([22, 22, 16], [4, 4, 4], [2, 2, 2]), [10, 10, 7]);
  assert.equal(windowCounts([8, 12, 8], [4, 4, 4], [2, 2, 2]), [3, 5, 3]);
  assert.equal(windowCounts([3, 4, 5], [4, 4, 4], [2, 2, 2]), [0, 1, 1]);
});

gpuTest('a window larger than the grid is an error that shows both', async (device) => {
  const x = device.tensor([1, 3, 8, 8, 3], 'cells');
  assert.throws(
    () => windows(new Recording(device, 'errors'), x, 4, 2),
    /no window of \[4, 4, 4\] cells at stride \[2, 2, 2\] fits into 'cells' \[1, 3, 8, 8, 3\]/,
  );
  assert.throws(() => windows(new Recording(device, 'errors'), x, 2, 0), /at stride \[0, 0, 0\]/);
});

run();
