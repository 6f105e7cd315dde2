import { type Kernel, kernel } from '../engine/kernel.ts';
import { random } from './shared/random.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * dropout: y = x / (1 - probability) where unit(word) >= probability, else 0; one word an element out of
 * pcg4d(seed, step, stream, vec4 index). `whole`: one word a sample and channel, drawn at sample * pitch + unit.
 * The gradient is the same kernel on dy: the mask is drawn again, never stored.
 *
 * layout   x, y [samples * rows, pitch vec4], counters u32 [seed, step]
 * owns     one vec4; the four words of one draw are its four channels
 * cost     32 bytes an invocation, memory bound
 * mirror   test/reference/dropout.ts with the mask of engine/random.ts
 */
export function dropoutKernel(whole: boolean): Kernel {
  return kernel(
    whole ? 'dropout3d' : 'dropout',
    wgsl`
struct Params { count: u32, rows: u32, pitch: u32, stream: u32, probability: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> counters: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
${random}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
#if ${whole}
  let draw = i / p.pitch / p.rows * p.pitch + i % p.pitch;
#else
  let draw = i;
#endif
  let chance = unit4(pcg4d(vec4u(counters[0], counters[1], p.stream, draw)));
  y[i] = select(vec4f(0.0), x[i] / (1.0 - p.probability), chance >= vec4f(p.probability));
}
`,
  );
}
