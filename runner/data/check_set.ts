import type { Dataset } from './dataset.ts';
import { orientationCode } from './orientation.ts';
import { error, type Problem, warning } from './problem.ts';
import type { Volume } from './volume.ts';

/** What is kept of a case once its voxels are gone. */
export interface Examined {
  readonly part: 'labelled' | 'unlabelled' | 'validation' | 'test';
  readonly file: string;
  /** Absent where the image cannot be read. */
  readonly image?: {
    readonly axes: Volume['source']['axes'];
    readonly spacing: Volume['spacing'];
    /** The same for equal images; absent for constant ones. */
    readonly fingerprint?: string;
  };
  /** Voxels of each label value; absent where there is no label or it cannot be read. */
  readonly counts?: ReadonlyMap<number, number>;
}

/** A spacing this many times the median, or this part of it, is worth a look. */
const ODD_SPACING = 1.5;

/** The problems that only show when all cases are seen together. */
export function setProblems(dataset: Dataset, cases: readonly Examined[]): Problem[] {
  return [
    ...labelledProblems(dataset, cases),
    ...mixedValues(dataset, cases),
    ...copies(cases),
    ...orientations(cases),
    ...spacings(cases),
  ];
}

function labelledProblems(dataset: Dataset, cases: readonly Examined[]): Problem[] {
  const { labelled, unlabelled, labels, labelsMap } = dataset;
  if (labelled.length === 0) {
    return [
      error(
        'no-labelled',
        '.',
        `No training case has a label (${unlabelled.length} have none); draw at least one and put it beside the image under the same name`,
      ),
    ];
  }
  const seen = new Set<number>();
  const drawn = cases.filter((each) => each.part === 'labelled' && each.counts);
  for (const { counts } of drawn) for (const value of counts!.keys()) seen.add(labelsMap.get(value) ?? value);
  if (drawn.length === 0) return [];
  const absent = labels.filter(({ value }) => value !== 0 && !seen.has(value));
  if ([...seen].every((value) => value === 0)) {
    return [
      error(
        'absent-class',
        '.',
        `None of the ${drawn.length} labels of training cases shows a structure, all voxels are background; check that they are the right files`,
      ),
    ];
  }
  return absent.map(({ value, name }) =>
    warning(
      'absent-class',
      '.',
      `The label ${value} "${name}" occurs in none of the ${drawn.length} labelled training cases and cannot be learnt; add a case that shows it or remove it from "labels"`,
    ),
  );
}

/** Labels found in the files rather than stated: some masks stored as {0, 255} and some as {0, 1} are two structures. */
function mixedValues({ labels, layout }: Dataset, cases: readonly Examined[]): Problem[] {
  const stated =
    (layout !== 'plain' && layout !== 'h5') || labels.some(({ value, name }) => value > 0 && name !== `label ${value}`);
  const masks = cases.filter(({ counts }) => counts && counts.size === 2 && counts.has(0));
  const value = ({ counts }: Examined) => [...counts!.keys()][1];
  const ones = masks.filter((each) => value(each) === 1).length;
  if (stated || ones === 0) return [];
  return masks
    .filter((each) => value(each) === 255)
    .map(({ file }) =>
      error(
        'label-values',
        file,
        `The label of ${file} has the values {0, 255} while ${ones} others have {0, 1}; if they mean the same, write a dataset.json with "labels": {"background": 0, "structure": 1} and "labels_map": {"255": 1}`,
      ),
    );
}

function copies(cases: readonly Examined[]): Problem[] {
  const first = new Map<string, Examined>();
  return cases.flatMap((each): Problem[] => {
    const fingerprint = each.image?.fingerprint;
    if (!fingerprint) return [];
    const same = first.get(fingerprint);
    if (!same) first.set(fingerprint, each);
    if (!same || same.file === each.file) return [];
    return [
      each.part === 'test' && same.part !== 'test'
        ? error(
            'test-in-training',
            each.file,
            `${each.file} is a test image with the same voxels as ${same.file}, so its score would mean nothing; remove it from one of the two`,
          )
        : warning(
            'same-voxels',
            each.file,
            `${each.file} has the same voxels as ${same.file}; remove one of them if they are copies`,
          ),
    ];
  });
}

function orientations(cases: readonly Examined[]): Problem[] {
  const counts = new Map<string, number>();
  for (const { image } of cases) {
    const code = image && orientationCode(image.axes);
    if (code) counts.set(code, (counts.get(code) ?? 0) + 1);
  }
  if (counts.size < 2) return [];
  const list = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).map(([code, n]) => `${code} ${n}`);
  return [
    warning(
      'orientation',
      '.',
      `Images are stored in different orientations (${list.join(', ')}); this is handled automatically`,
    ),
  ];
}

function spacings(cases: readonly Examined[]): Problem[] {
  const read = cases.flatMap(({ file, image }) => (image ? [{ file, spacing: image.spacing }] : []));
  const median = [0, 1, 2].map((axis) => {
    const sorted = read.map(({ spacing }) => spacing[axis]).sort((a, b) => a - b);
    return sorted[sorted.length >> 1];
  });
  const text = (spacing: readonly number[]) => `${spacing.map((s) => Number(s.toPrecision(4))).join(',')} mm`;
  return read
    .filter(({ spacing }) => spacing.some((s, axis) => Math.max(s / median[axis], median[axis] / s) > ODD_SPACING))
    .map(({ file, spacing }) =>
      warning(
        'spacing',
        file,
        `${file} has the spacing [z, y, x] ${text(spacing)} where the median is ${text(median)}; it is resampled for training, so check that it is right`,
      ),
    );
}
