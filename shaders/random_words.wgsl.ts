import { type Kernel, kernel } from '../engine/kernel.ts';
import { random } from './shared/random.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * random_words: y[i] = word i % 4 of pcg4d(seed, step, stream, i / 4).
 *
 * layout   counters u32 [seed, step], y u32 [count]
 * owns     the four words of one draw
 * cost     16 bytes written an invocation
 * mirror   Stream of engine/random.ts, whose counters are (seed, stream, substream) in place of (seed, step, stream)
 */
export function randomWordsKernel(): Kernel {
  return kernel(
    'random_words',
    wgsl`
struct Params { count: u32, stream: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> counters: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
${random}
${flatIndex}
${flatMain}
  if (i * 4u >= p.count) { return; }
  let words = pcg4d(vec4u(counters[0], counters[1], p.stream, i));
  for (var lane = 0u; lane < min(4u, p.count - i * 4u); lane++) { y[i * 4u + lane] = words[lane]; }
}
`,
  );
}
