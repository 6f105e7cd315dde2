import type { Stream } from '../../engine/random.ts';
import { canonicalAxes } from './orientation.ts';
import { type Point, rotation } from './phantom_shapes.ts';
import type { SourceGeometry } from './volume.ts';

/** Three letters: the direction in which each axis i, j, k of the file grows. */
const ORIENTATIONS = ['RAS', 'LPS', 'LAS', 'RPI', 'PIR', 'ASL', 'SLP'];

/** Millimetres a voxel has on average; a volume of `size` voxels spans `size * NOMINAL` mm. */
export const NOMINAL = 1.5;

/** Where a phantom's voxels lie. */
export interface Grid {
  /** Voxels along canonical x, y, z. */
  readonly voxels: Point;
  readonly source: SourceGeometry;
  /** Millimetres from the middle of the grid to canonical voxel (x, y, z). */
  readonly place: (x: number, y: number, z: number) => Point;
  /** The longest voxel edge, millimetres. */
  readonly edge: number;
}

/** A slightly oblique grid around a random point, stored along random axes. */
export function randomGrid(stream: Stream, size: number): Grid {
  const inPlane = stream.uniform(0.85, 1.2) * NOMINAL;
  const spacing = [inPlane, inPlane, stream.uniform(0.85, 1.6) * NOMINAL];
  const [nx, ny, nz] = spacing.map((s) => Math.max(8, Math.round((size * NOMINAL * stream.uniform(0.94, 1.06)) / s)));
  const voxels: Point = [nx, ny, nz];
  const turn = rotation(stream.uniform(-0.1, 0.1), stream.uniform(-0.1, 0.1), stream.uniform(-0.1, 0.1));
  const step = turn.map((value, i) => value * spacing[i % 3]);
  const middle = [stream.uniform(-40, 40), stream.uniform(-40, 40), stream.uniform(-200, 200)];
  const place = (x: number, y: number, z: number): Point => {
    const [u, v, w] = [x - (nx - 1) / 2, y - (ny - 1) / 2, z - (nz - 1) / 2];
    return [
      step[0] * u + step[1] * v + step[2] * w,
      step[3] * u + step[4] * v + step[5] * w,
      step[6] * u + step[7] * v + step[8] * w,
    ];
  };
  const letters = [...ORIENTATIONS[stream.integer(ORIENTATIONS.length)]];
  const along = letters.map((letter) => 'RLAPSI'.indexOf(letter) >> 1);
  const sign = letters.map((letter) => ('RAS'.includes(letter) ? 1 : -1));
  const corner = [0, 1, 2].map((axis) => (sign[along.indexOf(axis)] > 0 ? 0 : voxels[axis] - 1));
  const origin = place(corner[0], corner[1], corner[2]);
  const affine = [0, 1, 2].flatMap((row) => [
    ...along.map((axis, i) => sign[i] * step[row * 3 + axis]),
    origin[row] + middle[row],
  ]);
  affine.push(0, 0, 0, 1);
  const source = {
    dim: [voxels[along[0]], voxels[along[1]], voxels[along[2]]] as const,
    affine,
    axes: canonicalAxes(affine)!,
    code: 1,
  };
  return { voxels, source, place, edge: Math.max(...spacing) };
}

/** A sum of `waves` random plane waves with wavelengths in [shortest, longest] mm, of unit variance. */
export function smoothField(stream: Stream, waves: number, shortest: number, longest: number) {
  const parts = Array.from({ length: waves }, () => {
    const direction = [stream.normal(), stream.normal(), stream.normal()];
    const scale = (2 * Math.PI) / (stream.uniform(shortest, longest) * (Math.hypot(...direction) || 1));
    return [...direction.map((d) => d * scale), stream.uniform(0, 2 * Math.PI)];
  });
  const amplitude = Math.sqrt(2 / waves);
  return (x: number, y: number, z: number) =>
    amplitude * parts.reduce((sum, [u, v, w, phase]) => sum + Math.sin(u * x + v * y + w * z + phase), 0);
}

/** The scanner: blur along each axis, Rician noise (Gudbjartsson and Patz, 1995), a gain, rounding to whole numbers. */
export function acquire(stream: Stream, intensity: Float32Array, grid: Grid, half: number): Uint16Array {
  const [nx, ny, nz] = grid.voxels;
  const sigma = stream.uniform(0.45, 0.8) * (half / (20 * NOMINAL));
  const alongX = blur(intensity, nx, 1, sigma);
  const blurred = blur(blur(alongX, ny, nx, sigma), nz, nx * ny, sigma);
  const noise = stream.uniform(0.02, 0.04);
  const gain = stream.uniform(500, 1500);
  return Uint16Array.from(blurred, (value) => {
    const real = value + noise * stream.normal();
    const imaginary = noise * stream.normal();
    return Math.round(gain * Math.sqrt(real * real + imaginary * imaginary));
  });
}

/** A Gaussian of `sigma` voxels along one axis, edges repeated. */
function blur(data: Float32Array, length: number, stride: number, sigma: number): Float32Array {
  const radius = Math.ceil(3 * sigma);
  const weights = Array.from({ length: 2 * radius + 1 }, (_, t) =>
    Math.exp(-((t - radius) ** 2) / (2 * sigma * sigma)),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return data.map((_, at) => {
    const position = Math.floor(at / stride) % length;
    let sum = 0;
    for (let t = -radius; t <= radius; t++) {
      const neighbour = Math.min(length - 1, Math.max(0, position + t));
      sum += weights[t + radius] * data[at + (neighbour - position) * stride];
    }
    return sum / total;
  });
}
