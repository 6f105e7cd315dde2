import { DataError, UsageError } from '../../engine/errors.ts';
import { gunzipPrefix, gunzipRange, isGzip, MAX_EXPANSION } from './gzip.ts';
import { type AffineSource, chooseAffine } from './nifti_affine.ts';
import { decodeLabelNames, type LabelNames } from './nifti_extension.ts';
import {
  HEADER_BYTES,
  type NiftiFields,
  type NiftiLayout,
  parseFields,
  readLayout,
  requireFits,
} from './nifti_header.ts';
import { decodeVoxels } from './nifti_voxels.ts';
import { canonicalAxes, canonicalGeometry, orientationCode } from './orientation.ts';
import type { SourceGeometry, Volume } from './volume.ts';

/** What a file says about itself, without its voxels. Shape, spacing and affine are the canonical volume's. */
export interface NiftiHeader extends Pick<Volume, 'shape' | 'channels' | 'spacing' | 'affine' | 'source'> {
  readonly version: 1 | 2;
  readonly dtype: string;
  /** Value = stored * slope + inter. */
  readonly slope: number;
  readonly inter: number;
  /** Directions of the file's own axes, e.g. 'LPS'. */
  readonly orientation: string;
  readonly affineFrom: AffineSource;
  readonly description: string;
  /** Names from a header extension, as `writeNifti` leaves them. */
  readonly labelNames?: LabelNames;
  /** Sentences about what is odd but readable; they do not repeat the file's name. */
  readonly warnings: readonly string[];
}

export interface ReadNiftiOptions {
  /** Which volume of a 4D file (from 0); without it every volume becomes a channel. */
  readonly volume?: number;
  /** Labels must be 3D and whole numbers. */
  readonly role?: 'image' | 'label';
  /** The .img bytes (gzipped or not) where `bytes` are those of a .hdr. */
  readonly image?: Uint8Array;
  /** Told what is odd but readable, without the file's name. */
  readonly onWarning?: (sentence: string) => void;
}

const MAX_EXTENSIONS = 1 << 20;

/**
 * Reads a NIfTI-1 or -2 file, gzipped or not, into canonical orientation. Geometry is nibabel's (see nifti_affine);
 * scl_slope and scl_inter are applied where the slope is finite and not 0.
 *
 * Throws DataError where the file is truncated, damaged, foreign, holds no plain numbers, or is no label map though
 * `role` says so; UsageError where `volume` does not exist.
 */
export async function readNifti(bytes: Uint8Array, name: string, options: ReadNiftiOptions = {}): Promise<Volume> {
  const { volume, role = 'image', onWarning = () => undefined } = options;
  const { fields, layout, source, header } = await open(bytes, name);
  if (volume !== undefined && !(Number.isInteger(volume) && volume >= 0 && volume < layout.channels)) {
    throw new UsageError(`${name} has volumes 0 to ${layout.channels - 1}; volume ${volume} does not exist`);
  }
  if (role === 'label' && layout.channels > 1 && volume === undefined) {
    throw new DataError(
      `${name} is 4D (${layout.channels} volumes) but a label map is 3D; pick one volume or merge them into one map`,
    );
  }
  const channels = volume === undefined ? layout.channels : 1;
  requireFits(layout, channels, name);
  const raw = await voxelBytes(bytes, fields, layout, volume ?? 0, channels, name, options.image);
  header.warnings.forEach(onWarning);
  const format = { ...layout, littleEndian: fields.littleEndian, role };
  const data = decodeVoxels(raw, format, source, channels, name, onWarning);
  return { data, channels, ...canonicalGeometry(source), source };
}

/**
 * Reads geometry, type and oddities from the start of a file (.nii, .nii.gz or .hdr): cheap, as no voxel is
 * inflated. Throws DataError as `readNifti` does, except for what only the voxels show.
 */
export async function readNiftiHeader(bytes: Uint8Array, name: string): Promise<NiftiHeader> {
  return (await open(bytes, name)).header;
}

interface Opened {
  readonly fields: NiftiFields;
  readonly layout: NiftiLayout;
  readonly source: SourceGeometry;
  readonly header: NiftiHeader;
}

async function open(bytes: Uint8Array, name: string): Promise<Opened> {
  const fields = parseFields(await prefix(bytes, name, HEADER_BYTES), name);
  const warnings: string[] = [];
  const layout = readLayout(fields, name, warnings);
  const { affine, from, code } = chooseAffine(fields, layout.dim, name, warnings);
  const axes = canonicalAxes(affine)!;
  const source: SourceGeometry = { dim: layout.dim, affine, axes, code };
  const header: NiftiHeader = {
    version: fields.version,
    dtype: layout.dtype.name,
    channels: layout.channels,
    ...canonicalGeometry(source),
    source,
    slope: layout.slope,
    inter: layout.inter,
    orientation: orientationCode(axes),
    affineFrom: from,
    description: fields.description,
    labelNames: await labelNames(bytes, fields, layout, name),
    warnings,
  };
  return { fields, layout, source, header };
}

async function prefix(bytes: Uint8Array, name: string, length: number): Promise<Uint8Array> {
  return isGzip(bytes) ? gunzipPrefix(bytes, name, length) : bytes.subarray(0, length);
}

async function labelNames(
  bytes: Uint8Array,
  fields: NiftiFields,
  layout: NiftiLayout,
  name: string,
): Promise<LabelNames | undefined> {
  if (!fields.extended) return undefined;
  const begin = fields.version === 2 ? 544 : 352;
  const end = fields.single ? layout.offset : MAX_EXTENSIONS;
  if (end <= begin) return undefined;
  const start = await prefix(bytes, name, Math.min(end, MAX_EXTENSIONS));
  return decodeLabelNames(start.subarray(begin), fields.littleEndian);
}

/** The bytes of `channels` volumes from `first` on, in a buffer of their own. */
async function voxelBytes(
  bytes: Uint8Array,
  fields: NiftiFields,
  layout: NiftiLayout,
  first: number,
  channels: number,
  name: string,
  image: Uint8Array | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  if (!fields.single && !image) {
    throw new DataError(
      `${name} is the header of a .hdr/.img pair and holds no voxels; put the .img of the same name beside it or convert the pair to .nii.gz`,
    );
  }
  const file = fields.single ? bytes : image!;
  const [ni, nj, nk] = layout.dim;
  const each = ni * nj * nk * layout.dtype.bytes;
  const needed = layout.offset + each * layout.channels;
  const start = layout.offset + first * each;
  const zipped = isGzip(file);
  const requireBytes = (held: number, atMost = '') => {
    if (held >= needed) return;
    const size = `${ni}x${nj}x${nk}${layout.channels > 1 ? `x${layout.channels}` : ''}`;
    throw new DataError(
      `${name} is cut short: its header promises ${needed} bytes (${size} ${layout.dtype.name} voxels from byte ${layout.offset}) and there are ${atMost}${held}; copy, download or export the file again`,
    );
  };
  requireBytes(zipped ? file.length * MAX_EXPANSION : file.length, zipped ? 'at most ' : '');
  // a copy, aligned and free to be changed; not slice(), which on a Node Buffer is a view
  if (!zipped) return new Uint8Array(file.subarray(start, start + each * channels));
  const { data, total } = await gunzipRange(file, name, start, each * channels);
  requireBytes(total);
  return data;
}
