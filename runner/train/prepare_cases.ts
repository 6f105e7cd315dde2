import { DataError } from '../../engine/errors.ts';
import type { Case, Dataset, FileSource } from '../data/dataset.ts';
import { loadCase } from '../data/load_case.ts';
import { type Prepared, preprocess } from '../data/preprocess.ts';
import type { Split } from '../data/splits.ts';
import { bytesHash, type TrainConfig } from './config.ts';
import { usesUnlabelled } from './methods.ts';

export interface CaseSource {
  readonly dataset: Dataset;
  readonly source: FileSource;
  readonly split: Split;
  readonly config: TrainConfig;
}

/** The cases of a run as patches are cut from them, in memory. */
export interface PreparedCases {
  readonly labelled: readonly Prepared[];
  /** Empty for a method that learns from none; never with a label. */
  readonly unlabelled: readonly Prepared[];
  readonly validation: readonly Prepared[];
}

/** Reads and prepares every case that the method uses. Errors: DataError for an unusable file or a class without a voxel. */
export async function prepareCases(of: CaseSource): Promise<PreparedCases> {
  const labelled = await prepare(of, of.split.labelled);
  assertForeground(labelled, of.dataset);
  return {
    labelled,
    unlabelled: usesUnlabelled(of.config) ? await prepare(of, of.split.unlabelled) : [],
    validation: await prepare(of, of.split.validation),
  };
}

async function prepare({ dataset, source, config }: CaseSource, cases: readonly Case[]): Promise<Prepared[]> {
  const prepared: Prepared[] = [];
  for (const item of cases) {
    const { id, image, label } = await loadCase(dataset, item, source);
    prepared.push(preprocess(image, label ?? null, config.preprocessing, id));
  }
  return prepared;
}

/** A class without a voxel would train to an empty prediction without a word. */
function assertForeground(cases: readonly Prepared[], dataset: Dataset): void {
  const found = new Set<number>();
  for (const { label } of cases) for (const value of label!) found.add(value);
  const absent = dataset.labels.filter((_, c) => c > 0 && !found.has(c));
  if (absent.length === 0) return;
  throw new DataError(
    `no voxel of the ${cases.length} labelled cases is ${absent.map(({ name, value }) => `'${name}' (${value})`).join(' or ')}; label it in a case, choose other cases with --labelled FILE, or take the class out of dataset.json`,
  );
}

/** SHA-256 over every voxel and label of the cases, 16 hexadecimal digits: notices files that changed under the same names. */
export async function casesHash({ labelled, unlabelled, validation }: PreparedCases): Promise<string> {
  const digests: number[] = [];
  for (const { image, label } of [...labelled, ...unlabelled, ...validation]) {
    for (const part of label ? [image, label] : [image])
      digests.push(...new Uint8Array(await crypto.subtle.digest('SHA-256', part)));
  }
  return bytesHash(Uint8Array.from(digests));
}
