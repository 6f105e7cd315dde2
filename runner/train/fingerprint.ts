import type { Triple } from '../../engine/shape.ts';
import type { Case, Dataset, FileSource } from '../data/dataset.ts';
import { loadCase } from '../data/load_case.ts';
import { readNiftiHeader } from '../data/nifti.ts';
import { orientationCode } from '../data/orientation.ts';
import type { Grid } from '../data/resample.ts';
import type { Volume } from '../data/volume.ts';

/** A case's voxels as its file has them. */
export interface CaseGrid extends Grid {
  readonly id: string;
  /** Of the file's axes, as three letters. */
  readonly orientation: string;
}

/** What the plan knows of a data set. Triples are [z, y, x]. */
export interface Fingerprint {
  /** Cases whose voxels were looked at, of how many there are. */
  readonly cases: number;
  readonly ofCases: number;
  /** Of every training case, the labelled ones first. */
  readonly grids: readonly CaseGrid[];
  readonly medianShape: Triple;
  readonly smallestShape: Triple;
  readonly largestShape: Triple;
  /** Millimetres. */
  readonly medianSpacing: Triple;
  readonly smallestSpacing: Triple;
  readonly largestSpacing: Triple;
  /** How many cases were stored in each orientation, as three letters. */
  readonly orientations: Readonly<Record<string, number>>;
  readonly channels: readonly {
    readonly name: string;
    /** Over all voxels of the cases looked at. */
    readonly mean: number;
    readonly sd: number;
    readonly low: number;
    readonly high: number;
  }[];
  /** Share of the labelled voxels of each class, background included. */
  readonly classes: readonly { readonly name: string; readonly share: number }[];
}

/** Cases read at most: enough for medians, quick on large sets. */
const MOST_CASES = 24;

/**
 * Reads the voxels of up to 24 training cases, the labelled ones first, and the grid of every one, and summarises them. @throws DataError of the first unusable file
 */
export async function fingerprint(
  dataset: Dataset,
  labelled: readonly Case[],
  unlabelled: readonly Case[],
  source: FileSource,
): Promise<Fingerprint> {
  const chosen = new Set([
    ...spread(labelled, MOST_CASES),
    ...spread(unlabelled, MOST_CASES - Math.min(MOST_CASES, labelled.length)),
  ]);
  const grids: CaseGrid[] = [];
  const moments = dataset.channels.map(() => ({ n: 0, sum: 0, squares: 0, low: Infinity, high: -Infinity }));
  const voxels = new Array<number>(dataset.labels.length).fill(0);
  for (const item of [...labelled, ...unlabelled]) {
    if (!chosen.has(item)) {
      grids.push(gridOf(item, await readGrid(dataset, item, source)));
      continue;
    }
    const { image, label } = await loadCase(dataset, item, source);
    grids.push(gridOf(item, image));
    const size = image.data.length / image.channels;
    moments.forEach((m, c) => {
      addVoxels(m, image.data.subarray(c * size, (c + 1) * size));
    });
    if (label) for (const value of label.data) voxels[value]++;
  }
  const labelledVoxels = voxels.reduce((a, b) => a + b, 0);
  const shapes = grids.map(({ shape }) => shape);
  const spacings = grids.map(({ spacing }) => spacing);
  const orientations: Record<string, number> = {};
  for (const { orientation } of grids) orientations[orientation] = (orientations[orientation] ?? 0) + 1;
  return {
    cases: chosen.size,
    ofCases: labelled.length + unlabelled.length,
    grids,
    medianShape: medians(shapes).map(Math.round) as unknown as Triple,
    smallestShape: perAxis(shapes, (v) => Math.min(...v)),
    largestShape: perAxis(shapes, (v) => Math.max(...v)),
    medianSpacing: medians(spacings),
    smallestSpacing: perAxis(spacings, (v) => Math.min(...v)),
    largestSpacing: perAxis(spacings, (v) => Math.max(...v)),
    orientations,
    channels: moments.map(({ n, sum, squares, low, high }, c) => {
      const mean = sum / n;
      return { name: dataset.channels[c].name, mean, sd: Math.sqrt(Math.max(0, squares / n - mean * mean)), low, high };
    }),
    classes: dataset.labels.map(({ name }, c) => ({
      name,
      share: labelledVoxels > 0 ? voxels[c] / labelledVoxels : 0,
    })),
  };
}

/** Median along each axis. */
export function medians(triples: readonly Triple[]): Triple {
  return perAxis(triples, (values) => {
    const sorted = values.sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  });
}

function perAxis(triples: readonly Triple[], f: (values: number[]) => number): Triple {
  return [0, 1, 2].map((a) => f(triples.map((t) => t[a]))) as unknown as Triple;
}

/** At most `most` of the items, evenly spread. */
function spread<T>(items: readonly T[], most: number): T[] {
  if (items.length <= most) return [...items];
  return Array.from({ length: most }, (_, i) => items[Math.floor((i * items.length) / most)]);
}

/** The grids of cases, without inflating voxels where the format allows that. @throws DataError of the first unusable file */
export async function readGrids(dataset: Dataset, cases: readonly Case[], source: FileSource): Promise<CaseGrid[]> {
  const grids: CaseGrid[] = [];
  for (const item of cases) grids.push(gridOf(item, await readGrid(dataset, item, source)));
  return grids;
}

async function readGrid(
  dataset: Dataset,
  item: Case,
  source: FileSource,
): Promise<Pick<Volume, 'shape' | 'spacing' | 'source'>> {
  const [file] = item.images;
  if (!/\.(nii|hdr)(\.gz)?$/i.test(file)) return (await loadCase(dataset, item, source)).image;
  return readNiftiHeader(await source.read(file), `${source.root}/${file}`);
}

function gridOf({ id }: Case, { shape, spacing, source }: Pick<Volume, 'shape' | 'spacing' | 'source'>): CaseGrid {
  return { id, shape, spacing, orientation: orientationCode(source.axes) };
}

interface Moments {
  n: number;
  sum: number;
  squares: number;
  low: number;
  high: number;
}

function addVoxels(m: Moments, values: Float32Array): void {
  for (const value of values) {
    m.sum += value;
    m.squares += value * value;
    if (value < m.low) m.low = value;
    if (value > m.high) m.high = value;
  }
  m.n += values.length;
}
