import { type Kernel, kernel } from '../engine/kernel.ts';
import { random } from './shared/random.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * gaussian_noise: y = x + clamp(sd n, -limit, limit), n four normals named by (seed, step, stream, index of the vec4); the
 * padding stays zero.
 *
 * layout   x, y [rows, pitch vec4]; one invocation a vec4
 * cost     32 bytes and four normals an invocation
 * mirror   test/reference/gaussian_noise.ts
 */
export function gaussianNoiseKernel(): Kernel {
  return kernel(
    'gaussian_noise',
    wgsl`
struct Params { count: u32, pitch: u32, channels: u32, stream: u32, sd: f32, limit: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> counters: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
${random}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let normals = normal4(pcg4d(vec4u(counters[0], counters[1], p.stream, i)));
  let noise = clamp(p.sd * normals, vec4f(-p.limit), vec4f(p.limit));
  let channel = vec4u(i % p.pitch * 4u) + vec4u(0u, 1u, 2u, 3u);
  y[i] = x[i] + select(vec4f(0.0), noise, channel < vec4u(p.channels));
}
`,
  );
}
