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
}

export interface FileAxis {
  readonly axis: 0 | 1 | 2;
  readonly flip: boolean;
}
