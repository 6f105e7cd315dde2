import type { Triple } from '../../engine/shape.ts';
import type { Case, Dataset, FileSource } from '../data/dataset.ts';
import { loadCase } from '../data/load_case.ts';
import { canonicalAxes, orientationCode } from '../data/orientation.ts';

/** What the plan knows of a data set. Triples are [z, y, x]. */
export interface Fingerprint {
  /** Cases looked at, of how many there are. */
  readonly cases: number;
  readonly ofCases: number;
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

/** Reads up to 24 training cases, the labelled ones first, and summarises them. Errors: DataError of the first unusable file. */
export async function fingerprint(
  dataset: Dataset,
  labelled: readonly Case[],
  unlabelled: readonly Case[],
  source: FileSource,
): Promise<Fingerprint> {
  const all = [...labelled, ...unlabelled];
  const chosen =
    all.length <= MOST_CASES
      ? all
      : all.filter((_, i) => i < labelled.length || i % Math.ceil(all.length / MOST_CASES) === 0);
  const shapes: Triple[] = [];
  const spacings: Triple[] = [];
  const orientations: Record<string, number> = {};
  const moments = dataset.channels.map(() => ({ n: 0, sum: 0, squares: 0, low: Infinity, high: -Infinity }));
  const voxels = new Array<number>(dataset.labels.length).fill(0);
  for (const item of chosen.slice(0, MOST_CASES)) {
    const { image, label } = await loadCase(dataset, item, source);
    shapes.push(image.shape);
    spacings.push(image.spacing);
    const axes = canonicalAxes(image.source.affine);
    const code = axes ? orientationCode(axes) : 'unknown';
    orientations[code] = (orientations[code] ?? 0) + 1;
    const size = image.data.length / image.channels;
    moments.forEach((m, c) => {
      for (let i = c * size; i < (c + 1) * size; i++) {
        const value = image.data[i];
        m.sum += value;
        m.squares += value * value;
        if (value < m.low) m.low = value;
        if (value > m.high) m.high = value;
      }
      m.n += size;
    });
    if (label) for (const value of label.data) voxels[value]++;
  }
  const labelledVoxels = voxels.reduce((a, b) => a + b, 0);
  return {
    cases: shapes.length,
    ofCases: all.length,
    medianShape: perAxis(shapes, median).map(Math.round) as unknown as Triple,
    smallestShape: perAxis(shapes, (v) => Math.min(...v)),
    largestShape: perAxis(shapes, (v) => Math.max(...v)),
    medianSpacing: perAxis(spacings, median),
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

function perAxis(triples: readonly Triple[], f: (values: number[]) => number): Triple {
  return [0, 1, 2].map((a) => f(triples.map((t) => t[a]))) as unknown as Triple;
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
