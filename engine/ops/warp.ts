import { WARP_VEC4S, warpKernel } from '../../shaders/warp.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape, product, type Triple } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** Words of a sample's row in `WarpSource.params`. */
export const WARP_PARAMS = 4 * WARP_VEC4S;

/** A box of a volume: first voxel and extent along z, y, x. */
export interface Box {
  readonly origin: Triple;
  readonly extent: Triple;
}

/** What warp reads, all persistent: the host uploads other contents before each step. */
export interface WarpSource {
  /** Dense f32 [n]: boxes of volumes, planar [C][z][y][x] each, wherever params say. */
  readonly image: Tensor;
  /** Dense u32 [m]: the classes of the same boxes [z][y][x], four 8-bit classes a word, lowest byte first; or null. */
  readonly labels: Tensor | null;
  /** Dense u32 [B, 32], packed by packWarp. */
  readonly params: Tensor;
  readonly elastic?: {
    /** [B, ...controlShape(patch, spacing), 3]: displacements (z, y, x) in voxels of the volume. */
    readonly control: Tensor;
    /** Voxels of the patch between control points. */
    readonly spacing: Triple;
  };
}

/** How one sample is read. */
export interface WarpSample {
  /** M of q = M (v - (patch - 1) / 2) + centre (+ displacement(v)), row-major, for [z, y, x] in voxels. */
  readonly matrix: readonly number[];
  /** In voxels of the volume. */
  readonly centre: Triple;
  /** Extent of the whole volume; positions outside are clamped to its edge. */
  readonly volume: Triple;
  /** What of the volume is on the device. */
  readonly box: Box;
  /** Where the box begins: its first value in `WarpSource.image`, its first class in `labels` (four a word). */
  readonly at: { readonly image: number; readonly labels: number };
  /** Whether the sample's control points count. */
  readonly elastic: boolean;
}

/** Writes a sample's row of the params tensor. */
export function packWarp(
  params: Uint32Array<ArrayBuffer>,
  row: number,
  { matrix, centre, volume, box, at, elastic }: WarpSample,
): void {
  const words = params.subarray(row * WARP_PARAMS, (row + 1) * WARP_PARAMS);
  const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
  words.fill(0);
  for (let axis = 0; axis < 3; axis++) {
    floats.set([...matrix.slice(3 * axis, 3 * axis + 3), centre[axis]], 4 * axis);
  }
  floats.set([...box.origin, elastic ? 1 : 0, ...box.extent, 0, ...volume], 12);
  words.set([at.image, at.labels], 24);
}

/** Control points along z, y, x whose cubic B-spline covers a patch; the second one lies on the first voxel. */
export function controlShape(patch: Triple, spacing: Triple): Triple {
  return patch.map((n, axis) => Math.floor((n - 1) / spacing[axis]) + 4) as unknown as Triple;
}

/**
 * Cuts a patch out of each sample's volume, rotated, scaled, mirrored and deformed in one resampling: image [B, D, H, W, C]
 * trilinear, labels dense u32 [B, D, H, W] nearest. torch.nn.functional.grid_sample(padding_mode='border',
 * align_corners=False) with the grid of WarpSample. Backward: none, nothing before it is learned.
 */
export function warp(
  rec: Recording,
  source: WarpSource,
  { batch, channels, patch }: { batch: number; channels: number; patch: Triple },
): { image: Tensor; labels: Tensor | null } {
  const { labels, elastic } = source;
  expect('params', source.params, [batch, WARP_PARAMS]);
  if (elastic) expect('control', elastic.control, [batch, ...controlShape(patch, elastic.spacing), 3]);

  const image = rec.tensor([batch, ...patch, channels], 'patch');
  const classes = labels && rec.tensor([batch, ...patch], 'patch_labels', { dtype: 'u32', dense: true });
  const [d, h, w] = patch;
  const count = batch * product(patch);
  const sizes = { count, d, h, w };
  rec.dispatch(
    warpKernel({ channels, labels: !!labels, elastic: !!elastic }),
    {
      image: source.image,
      params: source.params,
      y: image,
      ...(labels && classes && { labels, label_out: classes }),
      ...(elastic && { control: elastic.control }),
    },
    elastic ? { ...sizes, ...controlParams(elastic.control, elastic.spacing) } : sizes,
    count,
  );
  return { image, labels: classes };
}

function controlParams({ shape }: Tensor, spacing: Triple): Record<string, number> {
  const [, gz, gy, gx] = shape;
  return { gz, gy, gx, spacing_z: spacing[0], spacing_y: spacing[1], spacing_x: spacing[2] };
}

function expect(name: string, t: Tensor, leading: readonly number[]): void {
  if (leading.every((n, axis) => t.shape[axis] === n)) return;
  throw new ShapeError(`warp: ${name} '${t.label}' ${formatShape(t.shape)} must begin with ${formatShape(leading)}`);
}
