import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * class_presence: which classes occur in each sample, as bits; bit c % 32 of word c / 32. `first` reads labels, later
 * stages combine the words of earlier lanes until one lane a sample is left. Labels of `classes` and above set no bit.
 *
 * layout   x u32 [samples, rows] labels, or [samples, rows, words] bits; y u32 [samples, lanes, words]
 * owns     one lane's rows lane, lane + lanes, ... and all its words
 * cost     labels read once, memory bound; integers, so the order does not matter
 * mirror   test/reference/mix.ts
 */
export function classPresenceKernel(classes: number, first: boolean): Kernel {
  const words = Math.ceil(classes / 32);
  return kernel(
    first ? 'class_presence' : 'class_presence_merge',
    wgsl`
struct Params { count: u32, rows: u32, lanes: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let begin = i / p.lanes * p.rows;
  var bits: array<u32, ${words}>;
  for (var row = i % p.lanes; row < p.rows; row += p.lanes) {
#if ${first}
    let label = x[begin + row];
    if (label < ${classes}u) { bits[label / 32u] |= 1u << (label % 32u); }
#else
    for (var word = 0u; word < ${words}u; word++) { bits[word] |= x[(begin + row) * ${words}u + word]; }
#endif
  }
  for (var word = 0u; word < ${words}u; word++) { y[i * ${words}u + word] = bits[word]; }
}
`,
  );
}
