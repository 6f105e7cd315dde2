import { type Dense, rowsOf, zeros } from './dense.ts';

/** Joins along the channels (last axis). torch.cat(inputs, dim=-1). The gradient of each input is its slice of dy. */
export function concat(inputs: readonly Dense[]): Dense {
  const widths = inputs.map((x) => rowsOf(x)[1]);
  const total = widths.reduce((a, b) => a + b, 0);
  const [rows] = rowsOf(inputs[0]);
  const y = zeros([...inputs[0].shape.slice(0, -1), total]);
  let start = 0;
  inputs.forEach((x, k) => {
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < widths[k]; c++) y.data[r * total + start + c] = x.data[r * widths[k] + c];
    start += widths[k];
  });
  return y;
}
