/**
 * A volume in canonical orientation, and what is needed to write a result back where the file had it.
 *
 * Voxels are float32, x fastest: `data[((c * nz + z) * ny + y) * nx + x]`, one channel after the other. The canonical
 * orientation is RAS+: x grows to the patient's right, y to the front, z upwards, as near as the axes allow.
 */
export interface Volume {
  readonly data: Float32Array;
  /** Voxels along z, y, x. */
  readonly shape: readonly [number, number, number];
  readonly channels: number;
  /** Millimetres between voxel centres along z, y, x. */
  readonly spacing: readonly [number, number, number];
  /** 4x4, row-major, takes canonical voxel indices (x, y, z, 1) to RAS millimetres. */
  readonly affine: readonly number[];
  /** How the file stored it; `writeNifti` puts a result back into exactly this geometry. */
  readonly source: SourceGeometry;
}

/** The geometry of the file a volume came from. */
export interface SourceGeometry {
  /** Voxels along the file's own i, j, k (fastest first). */
  readonly dim: readonly [number, number, number];
  /** 4x4, row-major, takes the file's (i, j, k, 1) to RAS millimetres. */
  readonly affine: readonly number[];
  /** For each canonical axis x, y, z: the file axis (0, 1 or 2) that runs along it, and whether it is reversed. */
  readonly axes: readonly [FileAxis, FileAxis, FileAxis];
  /** NIfTI xform code of that affine (1 scanner, 2 aligned, 4 MNI, ...); absent or 0 where it is not known. */
  readonly code?: number;
}

export interface FileAxis {
  readonly axis: 0 | 1 | 2;
  readonly flip: boolean;
}

/** How many voxels are NaN or infinite, and the first of them. */
export interface NonFinite {
  readonly count: number;
  readonly channel: number;
  /** z, y, x of the first one. */
  readonly voxel: readonly [number, number, number];
  readonly value: number;
}

/** NaN and infinite voxels; undefined where there are none. */
export function findNonFinite(volume: Pick<Volume, 'data' | 'shape'>): NonFinite | undefined {
  const { data } = volume;
  const [nz, ny, nx] = volume.shape;
  let count = 0;
  let first = -1;
  for (let i = 0; i < data.length; i++) {
    // v - v is 0 for every finite v, NaN otherwise
    if (data[i] - data[i] !== 0) {
      if (count === 0) first = i;
      count++;
    }
  }
  if (count === 0) return undefined;
  const row = Math.floor(first / nx);
  const plane = Math.floor(row / ny);
  return {
    count,
    channel: Math.floor(plane / nz),
    voxel: [plane % nz, row % ny, first % nx],
    value: data[first],
  };
}

/**
 * What keeps two volumes from lying on the same voxels, as the middle of a sentence ("shape [z, y, x] 90,320,320
 * against 88,320,320"), or undefined. Affines may differ as float32 headers do: spacing by 0.1 %, position by 0.1
 * voxel at the farthest corner.
 */
export function geometryDifference(
  a: Pick<Volume, 'shape' | 'spacing' | 'affine'>,
  b: Pick<Volume, 'shape' | 'spacing' | 'affine'>,
): string | undefined {
  if (a.shape.some((size, axis) => size !== b.shape[axis])) return `shape [z, y, x] ${a.shape} against ${b.shape}`;
  if (a.spacing.some((size, axis) => a.shape[axis] > 1 && !(Math.abs(b.spacing[axis] / size - 1) <= 1e-3))) {
    return `spacing [z, y, x] ${millimetres(a.spacing)} mm against ${millimetres(b.spacing)} mm`;
  }
  const [nz, ny, nx] = a.shape;
  const distance = cornerDistance(a.affine, b.affine, [nx, ny, nz]);
  if (distance <= 0.1 * Math.min(...a.spacing)) return undefined;
  return `position or direction: corners are up to ${distance.toPrecision(3)} mm apart`;
}

/**
 * The farthest apart, in millimetres, that two affines put the same corner of a volume of `dim` voxels along the
 * affines' own axes.
 */
export function cornerDistance(
  a: readonly number[],
  b: readonly number[],
  dim: readonly [number, number, number],
): number {
  let worst = 0;
  for (let corner = 0; corner < 8; corner++) {
    const at = [0, 1, 2].map((axis) => ((corner >> axis) & 1) * (dim[axis] - 1));
    const gap = [0, 4, 8].map((row) => {
      const along = [0, 1, 2].map((axis) => (a[row + axis] - b[row + axis]) * at[axis]);
      return along[0] + along[1] + along[2] + a[row + 3] - b[row + 3];
    });
    worst = Math.max(worst, Math.hypot(...gap));
  }
  return worst;
}

function millimetres(values: readonly number[]): string {
  return values.map((value) => Number(value.toPrecision(6))).join(',');
}
