import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, repeat, wgsl } from './shared/wgsl.ts';

/** Multiply-adds of one vec4 in a round. */
export const FMA_UNROLL = 16;

export interface FmaLoop {
  /** Independent vec4 accumulators of an invocation: what hides an operation's latency, and takes registers. */
  chains: number;
  /** fma(a, b, c) instead of a * b + c, which an adapter may or may not contract. */
  fused: boolean;
}

/**
 * fma_loop: `rounds` x FMA_UNROLL times a = a factor + summand on every accumulator, their sum to y: what the arithmetic peak
 * is measured with. All accumulators start at their invocation's index / 2^20.
 *
 * layout   flat; one invocation a vec4 of y
 * cost     8 FMA_UNROLL chains rounds operations an invocation and one store, arithmetic bound
 */
export function fmaLoopKernel({ chains, fused }: FmaLoop): Kernel {
  const step = (a: string) => `${a} = ${fused ? `fma(${a}, b, c)` : `${a} * b + c`};`;
  const round = repeat(FMA_UNROLL, () => repeat(chains, (k) => `    ${step(`a${k}`)}`));
  return kernel(
    `fma_loop ${chains}${fused ? ' fused' : ''}`,
    wgsl`
struct Params { count: u32, rounds: u32, factor: f32, summand: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let b = vec4f(p.factor);
  let c = vec4f(p.summand);
${repeat(chains, (k) => `  var a${k} = vec4f(f32(i) / 1048576.0);`)}
  for (var round = 0u; round < p.rounds; round++) {
${round}
  }
  y[i] = ${Array.from({ length: chains }, (_, k) => `a${k}`).join(' + ')};
}
`,
  );
}
