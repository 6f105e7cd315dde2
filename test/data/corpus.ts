import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { writeNifti } from '../../runner/data/nifti.ts';
import { canonicalAxes } from '../../runner/data/orientation.ts';
import type { SourceGeometry } from '../../runner/data/volume.ts';
import { writeFileAtomic } from '../../runner/host/files.ts';

/** Runs `body` in a new folder of the system's temporary folder, and removes that afterwards. */
export async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'action3d-'));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

export interface Sample {
  /** Voxels along i, j, k. */
  readonly dim?: readonly [number, number, number];
  /** Millimetres along i, j, k. */
  readonly spacing?: readonly [number, number, number];
  readonly shift?: number;
  /** Reverses i and j: LPS instead of RAS. */
  readonly lps?: boolean;
  readonly channels?: number;
}

const DIM = [6, 5, 4] as const;

export function geometry({ dim = DIM, spacing = [1, 1, 1], shift = 0, lps = false }: Sample): SourceGeometry {
  const [x, y, z] = spacing;
  const sign = lps ? -1 : 1;
  const affine = [sign * x, 0, 0, shift, 0, sign * y, 0, 0, 0, 0, z, 0, 0, 0, 0, 1];
  return { dim, affine, axes: canonicalAxes(affine)!, code: 1 };
}

/** A gzipped NIfTI file with a value for each voxel, in the file's order for an RAS geometry. */
export function nifti(
  value: (voxel: number) => number,
  sample: Sample = {},
  type: 'uint8' | 'float32' = 'float32',
): Promise<Uint8Array> {
  const [ni, nj, nk] = sample.dim ?? DIM;
  const length = ni * nj * nk * (sample.channels ?? 1);
  const data = type === 'uint8' ? new Uint8Array(length) : new Float32Array(length);
  for (let i = 0; i < length; i++) data[i] = value(i);
  return writeNifti(data, geometry(sample), { channels: sample.channels });
}

/** An image that differs from case to case. */
export function image(seed: number, sample: Sample = {}): Promise<Uint8Array> {
  return nifti((voxel) => ((voxel * 7919 + seed * 104729) % 1009) / 10, sample);
}

/** A label with the given values, repeated over the voxels. */
export function label(values: readonly number[] = [0, 1, 2], sample: Sample = {}): Promise<Uint8Array> {
  return nifti((voxel) => values[voxel % values.length], sample, 'uint8');
}

/** The same file with bytes of its NIfTI-1 header changed. */
export function edited(file: Uint8Array, edit: (header: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(gunzipSync(file));
  edit(new DataView(bytes.buffer));
  return gzipSync(bytes);
}

export type Files = Record<string, Uint8Array | string>;

/** A sound nnU-Net data set: cases a and b labelled, u unlabelled, t for testing. */
export async function soundFiles(): Promise<Files> {
  return {
    'dataset.json': JSON.stringify({
      name: 'Sample',
      channel_names: { 0: 'MRI' },
      labels: { background: 0, organ: 1, lesion: 2 },
      numTraining: 2,
      file_ending: '.nii.gz',
    }),
    'imagesTr/a_0000.nii.gz': await image(1),
    'labelsTr/a.nii.gz': await label(),
    'imagesTr/b_0000.nii.gz': await image(2),
    'labelsTr/b.nii.gz': await label(),
    'imagesUn/u_0000.nii.gz': await image(3),
    'imagesTs/t_0000.nii.gz': await image(4),
    'labelsTs/t.nii.gz': await label(),
  };
}

export async function writeFiles(folder: string, files: Files): Promise<void> {
  for (const [path, bytes] of Object.entries(files)) await writeFileAtomic(join(folder, path), bytes);
}

/** The dataset.json of `soundFiles` with keys replaced; undefined removes one. */
export function withJson(files: Files, changes: Record<string, unknown>): Files {
  const json = { ...JSON.parse(files['dataset.json'] as string), ...changes };
  return { ...files, 'dataset.json': JSON.stringify(json) };
}
