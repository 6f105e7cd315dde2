/** What is to be trained, in which order, and on which cases it is scored. */
import { join } from 'node:path';
import { UsageError } from '../../engine/errors.ts';
import type { Dataset } from '../../runner/data/dataset.ts';
import { METHOD_NAMES, type MethodName } from './methods.ts';

export interface Job {
  readonly method: MethodName;
  /** Labelled cases, the first of the training list. */
  readonly labelled: number;
  readonly seed: number;
}

export interface JobOptions {
  readonly methods: readonly MethodName[];
  readonly labels: readonly number[];
  readonly seeds: readonly number[];
  /** Cases that full supervision may learn from. */
  readonly all: number;
}

/**
 * Method x labelled cases x seed, so ordered that a stopped benchmark leaves the most useful table: the first seed of everything first,
 * within a seed METHOD_NAMES. Full supervision is trained once a seed.
 */
export function jobsOf({ methods, labels, seeds, all }: JobOptions): Job[] {
  const jobs: Job[] = [];
  for (const seed of seeds) {
    for (const method of METHOD_NAMES.filter((name) => methods.includes(name))) {
      const counts = method === 'fully-supervised' ? [all] : labels;
      for (const labelled of counts) jobs.push({ method, labelled, seed });
    }
  }
  return jobs;
}

export function jobName({ method, labelled, seed }: Job): string {
  return `${method}-k${labelled}-s${seed}`;
}

/** Entries of the training list that are labelled in one of the published runs, and so are none of the validation cases. */
const MOST_LABELLED = 4;

/**
 * Training cases for choosing constants, so that this is never done on test cases: of those after the first four of the list,
 * by name, every eighth, at most 20 (VAL in the PyTorch runs' data.py). Their images are among the unlabelled ones; their labels
 * score and do nothing else.
 */
export function validationIds(training: readonly string[]): string[] {
  return training
    .slice(MOST_LABELLED)
    .sort()
    .filter((_, i) => i % 8 === 0)
    .slice(0, 20);
}

/** The cases that runs are scored on. */
export interface Scored {
  readonly name: 'test' | 'validation';
  /** Volumes, or the folder of them. */
  readonly images: readonly string[];
  /** Folder of the references. */
  readonly references: string;
  /** Training cases that full supervision must not see. */
  readonly held: readonly string[];
}

/** The test cases, or with `select` the validation cases. @throws UsageError where one of these would be labelled */
export function scoredCases(data: string, dataset: Dataset, labels: readonly number[], select: boolean): Scored {
  if (!select) return { name: 'test', images: [join(data, 'imagesTs')], references: join(data, 'labelsTs'), held: [] };
  const most = Math.max(...labels);
  if (most > MOST_LABELLED) {
    throw new UsageError(
      `--select scores on training cases after the first ${MOST_LABELLED}, but --labels asks for ${most} labelled ones; give at most ${MOST_LABELLED}`,
    );
  }
  const held = validationIds(dataset.labelled.map(({ id }) => id));
  const images = dataset.labelled.filter(({ id }) => held.includes(id)).flatMap((item) => item.images);
  const references = join(data, 'labelsTr');
  return { name: 'validation', images: images.map((image) => join(data, image)), references, held };
}
