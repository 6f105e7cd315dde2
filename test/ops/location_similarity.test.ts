import * as assert from 'uvu/assert';
import { locationSimilarity } from '../../engine/ops/location_similarity.ts';
import { Recording } from '../../engine/recording.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { checkPadding } from '../padding.ts';
import { random } from '../reference/dense.ts';
import { locationSimilarityGrad, locationSimilarity as reference } from '../reference/location_similarity.ts';

for (const [samples, locations, keys, length] of [
  [4, 45, 36, 192],
  [2, 7, 5, 6],
  [3, 1, 36, 128],
  [1, 2, 1, 3],
  [2, 3, 9, 1],
]) {
  const query = random([samples, locations, length], 1);
  const bank = random([keys, locations, length], 2);
  gpuTest(`similarity of [${query.shape}] with ${keys} keys equals the reference, both ways`, (device) =>
    checkOp(device, 'location_similarity', {
      inputs: { query },
      op: (rec, t) => locationSimilarity(rec, t.query, upload(device, bank, 'bank')),
      expected: reference(query, bank),
      gradients: (dy) => ({ query: locationSimilarityGrad(dy, bank) }),
      tolerance: { terms: length },
      gradientTolerance: { terms: keys },
    }),
  );
}

gpuTest('padding behind keys and behind the gradient is zero', (device) => {
  const bank = upload(device, random([5, 2, 6], 4), 'bank');
  return checkPadding(device, { query: random([3, 2, 6], 3) }, (rec, t) => locationSimilarity(rec, t.query, bank));
});

gpuTest('another number of locations or another length is an error that shows both', async (device) => {
  const rec = new Recording(device, 'errors');
  const query = device.tensor([2, 3, 8], 'query');
  for (const shape of [
    [5, 4, 8],
    [5, 3, 7],
    [5, 24],
  ]) {
    assert.throws(
      () => locationSimilarity(rec, query, device.tensor(shape, 'keys')),
      /'query' \[2, 3, 8\].*'keys' \[5/,
    );
  }
});

run();
