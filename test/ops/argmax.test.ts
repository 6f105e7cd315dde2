import * as assert from 'uvu/assert';
import { argmax } from '../../engine/ops/argmax.ts';
import { compute } from '../../engine/program.ts';
import { assertClose } from '../compare.ts';
import { gpuTest, run, upload } from '../harness.ts';
import { type Dense, dense, random } from '../reference/dense.ts';
import { scale } from '../reference/scale.ts';
import { softmax } from '../reference/softmax.ts';

/** First maximum of each row, and the largest probability. */
function expectedOf(logits: Dense): { labels: number[]; confidence: number[] } {
  const classes = logits.shape[logits.shape.length - 1];
  const rows = Array.from({ length: logits.data.length / classes }, (_, r) => r * classes);
  const p = softmax(logits).data;
  return {
    labels: rows.map((r) => {
      const row = Array.from(logits.data.slice(r, r + classes));
      return row.indexOf(Math.max(...row));
    }),
    confidence: rows.map((r) => Math.max(...p.slice(r, r + classes))),
  };
}

function check(name: string, logits: Dense): void {
  gpuTest(`argmax ${name} gives the class and its probability`, async (device) => {
    const x = upload(device, logits, 'logits');
    const found = await compute(device, (rec) => argmax(rec, x));
    const expected = expectedOf(logits);
    assert.equal(Array.from(found.labels), expected.labels);
    const confidence = dense(logits.shape.slice(0, -1), expected.confidence);
    assertClose('confidence', found.confidence, confidence, { absolute: 2e-6 });
    const p = softmax(logits);
    const given = upload(device, { ...p, data: p.data.map(Math.fround) }, 'probabilities');
    const again = await compute(device, (rec) => argmax(rec, given, 'probabilities'));
    assert.equal(Array.from(again.labels), expected.labels);
    assertClose('confidence as given', again.confidence, confidence, { absolute: 1e-7, terms: 1 });
  });
}

for (const shape of [
  [2, 3, 4, 5, 3],
  [1, 2, 3, 3, 4],
  [3, 1, 5, 7, 2],
  [9, 1],
  [50, 14],
  [20, 130],
]) {
  check(`of [${shape}]`, scale(random(shape, 1), 6));
}
check(
  'takes the lowest of equal classes',
  dense([4, 6], [0, 5, 1, 5, 5, 2, 1, 1, 1, 1, 1, 1, -9, -8, -9, -9, -8, -8, 0, 0, 0, 0, 7, 7]),
);
check('of negative logits is no padding', dense([2, 3], [-50, -40, -60, -1e6, -2e6, -1e6]));

run();
