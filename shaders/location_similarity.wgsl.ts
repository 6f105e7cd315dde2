import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, repeat, wgsl } from './shared/wgsl.ts';

/**
 * location_similarity: y[b, n, k] = sum over d of query[b, n, d] bank[k, n, d]; every location n has a bank of its own.
 *
 * layout   query [B, N, D], bank [K, N, D], y [B, N, K], last axes in vec4 units
 * owns     one vec4 of y: one query against four keys, a load of the query for four of the bank
 * cost     2 B N K D; a key is read once a sample, neighbours share the query
 * mirror   test/reference/location_similarity.ts
 */
export function locationSimilarityKernel(): Kernel {
  return kernel(
    'location_similarity',
    wgsl`
struct Params { count: u32, locations: u32, keys: u32, pitch: u32, y_pitch: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> query: array<vec4f>;
@group(0) @binding(2) var<storage, read> bank: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let row = i / p.y_pitch;
  let key = vec4u((i % p.y_pitch) * 4u) + vec4u(0u, 1u, 2u, 3u);
  let key_at = (min(key, vec4u(p.keys - 1u)) * p.locations + row % p.locations) * p.pitch;
  var sum = vec4f(0.0);
  for (var d = 0u; d < p.pitch; d++) {
    let q = query[row * p.pitch + d];
    sum += vec4f(${['x', 'y', 'z', 'w'].map((lane) => `dot(q, bank[key_at.${lane} + d])`).join(', ')});
  }
  y[i] = select(vec4f(0.0), sum, key < vec4u(p.keys));
}
`,
  );
}

/**
 * location_similarity_grad: dquery[b, n, d] = sum over k of dy[b, n, k] bank[k, n, d].
 *
 * owns     one vec4 of dquery; neighbours read neighbouring units of a key
 */
export function locationSimilarityGradKernel(): Kernel {
  return kernel(
    'location_similarity_grad',
    wgsl`
struct Params { count: u32, locations: u32, keys: u32, pitch: u32, y_pitch: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read> bank: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dquery: array<vec4f>;
${flatIndex}
fn term(key: u32, at: u32, share: f32) -> vec4f {
  if (key >= p.keys) { return vec4f(0.0); }
  return share * bank[key * p.locations * p.pitch + at];
}
${flatMain}
  if (i >= p.count) { return; }
  let row = i / p.pitch;
  let at = row % p.locations * p.pitch + i % p.pitch;
  ${repeat(4, (lane) => `var s${lane} = vec4f(0.0);`)}
  for (var unit = 0u; unit < p.y_pitch; unit++) {
    let g = dy[row * p.y_pitch + unit];
    ${repeat(4, (lane) => `s${lane} += term(unit * 4u + ${lane}u, at, g[${lane}]);`)}
  }
  dquery[i] = (s0 + s1) + (s2 + s3);
}
`,
  );
}
