import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, repeat, wgsl } from './shared/wgsl.ts';

/** vec4s of one sample's row in the params tensor (engine/ops/warp.ts packs them). */
export const WARP_VEC4S = 8;

export interface WarpForm {
  channels: number;
  labels: boolean;
  elastic: boolean;
}

/**
 * warp: crop, rotation, scaling, mirroring and elastic deformation as one resampling. Output voxel v of a sample reads
 * its volume at q = M (v - (patch - 1) / 2) + c + displacement(v), clamped to the volume: the image trilinearly, the label
 * at round(q). The device holds only a box of the volume; q is computed in the volume's own voxels, so that the result does
 * not depend on the box.
 *
 * layout   image f32: boxes, planar [C][z][y][x] each; labels u32: the same boxes, four classes a word; params [B, 8 vec4]:
 *          as f32 rows of M with c behind them (z, y, x), origin of the box, elastic or not, extent of the box, extent of the
 *          volume; as u32 where the sample's box begins in image and in labels; control [B, gz, gy, gx, 1 vec4]:
 *          displacements in voxels, their uniform cubic B-spline is the field (Rueckert et al. 1999), control point
 *          (1, 1, 1) at voxel 0
 *          y [B, D, H, W, C], label_out u32 [B, D, H, W]
 * owns     one voxel: all channels and the label
 * cost     8 C + 1 loads from cached rows and the store, memory bound; 64 vec4 more where the sample is elastic
 * mirror   test/reference/warp.ts
 */
export function warpKernel({ channels, labels, elastic }: WarpForm): Kernel {
  const units = Math.ceil(channels / 4);
  const lane = (c: number) => (c < channels ? `trilinear(base + ${c}u * plane, cell)` : '0.0');
  return kernel(
    `warp${labels ? '_labels' : ''}${elastic ? '_elastic' : ''}`,
    wgsl`
struct Params {
  count: u32, d: u32, h: u32, w: u32,
#if ${elastic}
  gz: u32, gy: u32, gx: u32, spacing_z: f32, spacing_y: f32, spacing_x: f32,
#endif
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> image: array<f32>;
@group(0) @binding(2) var<storage, read> params: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
#if ${labels}
@group(0) @binding(4) var<storage, read> labels: array<u32>;
@group(0) @binding(5) var<storage, read_write> label_out: array<u32>;
#endif
#if ${elastic}
@group(0) @binding(6) var<storage, read> control: array<vec4f>;

fn b_spline(f: f32) -> vec4f {
  let g = 1.0 - f;
  let f2 = f * f;
  let f3 = f2 * f;
  return vec4f(g * g * g, 3.0 * f3 - 6.0 * f2 + 4.0, -3.0 * f3 + 3.0 * f2 + 3.0 * f + 1.0, f3) / 6.0;
}
fn displacement(n: u32, at: vec3f) -> vec3f {
  let knot = at / vec3f(p.spacing_z, p.spacing_y, p.spacing_x);
  let first = min(vec3u(knot), vec3u(p.gz, p.gy, p.gx) - 4u);
  let f = knot - vec3f(first);
  let wz = b_spline(f.x);
  let wy = b_spline(f.y);
  let wx = b_spline(f.z);
  var sum = vec3f(0.0);
  for (var i = 0u; i < 4u; i++) {
    var plane = vec3f(0.0);
    for (var j = 0u; j < 4u; j++) {
      let row = ((n * p.gz + first.x + i) * p.gy + first.y + j) * p.gx + first.z;
      plane += wy[j] * (wx.x * control[row].xyz + wx.y * control[row + 1u].xyz
        + wx.z * control[row + 2u].xyz + wx.w * control[row + 3u].xyz);
    }
    sum += wz[i] * plane;
  }
  return sum;
}
#endif

fn floats(row: u32) -> vec4f { return bitcast<vec4f>(params[row]); }

/** Offsets in a box of the eight voxels around a position, and where it lies between them. */
struct Cell { low: vec4u, high: vec4u, f: vec3f }
fn trilinear(base: u32, cell: Cell) -> f32 {
  let low = vec4f(image[base + cell.low.x], image[base + cell.low.y], image[base + cell.low.z], image[base + cell.low.w]);
  let high = vec4f(image[base + cell.high.x], image[base + cell.high.y], image[base + cell.high.z], image[base + cell.high.w]);
  let rows = low + cell.f.z * (high - low);
  let planes = rows.xz + cell.f.y * (rows.yw - rows.xz);
  return planes.x + cell.f.x * (planes.y - planes.x);
}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let row = i / p.w;
  let slice = row / p.h;
  let n = slice / p.d;
  let v = vec3f(vec3u(slice % p.d, row % p.h, i % p.w));
  let t = n * ${WARP_VEC4S}u;
  let at = v - (vec3f(vec3u(p.d, p.h, p.w)) - 1.0) * 0.5;
  let m = mat3x4f(floats(t), floats(t + 1u), floats(t + 2u));
  var q = vec3f(dot(m[0].xyz, at), dot(m[1].xyz, at), dot(m[2].xyz, at)) + vec3f(m[0].w, m[1].w, m[2].w);
#if ${elastic}
  if (floats(t + 3u).w > 0.0) { q += displacement(n, v); }
#endif
  let last = floats(t + 5u).xyz - 1.0;
  q = clamp(q, vec3f(0.0), last);
  let origin = floats(t + 3u).xyz;
  let box = vec3u(floats(t + 4u).xyz);
  let floored = floor(q);
  let a = min(vec3u(max(floored - origin, vec3f(0.0))), box - 1u);
  let b = min(vec3u(max(min(floored + 1.0, last) - origin, vec3f(0.0))), box - 1u);
  let y0 = vec4u(a.x * box.y + a.y, a.x * box.y + b.y, b.x * box.y + a.y, b.x * box.y + b.y) * box.z;
  let cell = Cell(y0 + a.z, y0 + b.z, q - floored);
  let base = params[t + 6u].x;
  let plane = box.x * box.y * box.z;
  ${repeat(units, (u) => `y[i * ${units}u + ${u}u] = vec4f(${[0, 1, 2, 3].map((l) => lane(4 * u + l)).join(', ')});`)}
#if ${labels}
  let near = min(vec3u(max(round(q) - origin, vec3f(0.0))), box - 1u);
  let byte = params[t + 6u].y + (near.x * box.y + near.y) * box.z + near.z;
  label_out[i] = (labels[byte / 4u] >> (byte % 4u * 8u)) & 255u;
#endif
}
`,
  );
}
