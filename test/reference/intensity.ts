import { pcg4d, unit } from '../../engine/random.ts';
import { type Dense, zeros } from './dense.ts';

export type IntensitySample = { contrast: number; brightness: number; gamma: number; sigma: number; noise: number };

/** Image [B,D,H,W,C]. `normals` [B,D,H,W,C] are what noise multiplies. */
export function intensity(x: Dense, samples: readonly IntensitySample[], normals: Dense): Dense {
  const y = zeros(x.shape);
  const [B, D, H, W, C] = x.shape;
  const voxels = D * H * W;
  for (let b = 0; b < B; b++)
    for (let c = 0; c < C; c++) {
      const { contrast, brightness, gamma, sigma, noise } = samples[b];
      const at = (v: number) => (b * voxels + v) * C + c;
      let values = Array.from({ length: voxels }, (_, v) => x.data[at(v)] * (1 + contrast) + brightness);
      if (gamma > 0) values = powered(values, gamma);
      if (sigma > 0) values = blurred(values, [D, H, W], sigma);
      for (let v = 0; v < voxels; v++) y.data[at(v)] = values[v] + noise * normals.data[at(v)];
    }
  return y;
}

/** y = ((x - min) / (max - min + 1e-6))^gamma; (y - mean y) / (std y + 1e-6) std x + mean x, std unbiased. */
function powered(x: number[], gamma: number): number[] {
  const low = Math.min(...x);
  const high = Math.max(...x);
  const y = x.map((v) => ((v - low) / (high - low + 1e-6)) ** gamma);
  const [mx, sx] = moments(x);
  const [my, sy] = moments(y);
  return y.map((v) => ((v - my) / (sy + 1e-6)) * sx + mx);
}

function moments(x: number[]): [number, number] {
  const mean = x.reduce((a, b) => a + b, 0) / x.length;
  const squares = x.reduce((a, b) => a + (b - mean) ** 2, 0);
  return [mean, Math.sqrt(squares / Math.max(x.length - 1, 1))];
}

/** Seven taps exp(-r^2 / (2 sigma^2)), normalised, along each axis; positions outside take the edge's value. */
function blurred(x: number[], shape: readonly number[], sigma: number): number[] {
  const taps = [-3, -2, -1, 0, 1, 2, 3].map((r) => Math.exp((-r * r) / (2 * sigma * sigma)));
  const total = taps.reduce((a, b) => a + b, 0);
  let values = x;
  for (let axis = 0; axis < 3; axis++) {
    const stride = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
    const extent = shape[axis];
    const from = values;
    values = from.map((_, v) => {
      const at = Math.floor(v / stride) % extent;
      return taps.reduce((sum, tap, k) => {
        const clamped = Math.min(Math.max(at + k - 3, 0), extent - 1);
        return sum + (tap / total) * from[v + (clamped - at) * stride];
      }, 0);
    });
  }
  return values;
}

/** The normals that a stream names: four channels at a time from pcg4d(seed, step, stream, index of the four), Box and Muller. */
export function streamNormals(shape: readonly number[], seed: number, step: number, stream: number): Dense {
  const y = zeros(shape);
  const C = shape[shape.length - 1];
  const pitch = Math.ceil(C / 4);
  for (let i = 0; i < y.data.length; i++) {
    const voxel = Math.floor(i / C);
    const c = i % C;
    const words = pcg4d(seed, step, stream, voxel * pitch + (c >> 2));
    const pair = c & 2;
    const radius = Math.sqrt(-2 * Math.log(1 - unit(words[pair])));
    const angle = 2 * Math.PI * unit(words[pair + 1]);
    y.data[i] = radius * (c & 1 ? Math.sin(angle) : Math.cos(angle));
  }
  return y;
}
