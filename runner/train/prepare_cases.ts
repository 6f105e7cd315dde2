import { DataError } from '../../engine/errors.ts';
import type { Dataset, FileSource } from '../data/dataset.ts';
import { loadCase } from '../data/load_case.ts';
import { preprocess } from '../data/preprocess.ts';
import type { Split } from '../data/splits.ts';
import type { KeepVoxels, PatchCase } from '../data/voxels.ts';
import { bytesHash, type TrainConfig } from './config.ts';
import { usesUnlabelled } from './methods.ts';

export interface CaseSource {
  readonly dataset: Dataset;
  readonly source: FileSource;
  readonly split: Split;
  readonly config: TrainConfig;
  /** Where the images stay; in memory without it. */
  readonly keep?: KeepVoxels;
}

/** The cases of a run as patches are cut from them. */
export interface PreparedCases {
  readonly labelled: readonly PatchCase[];
  /** Empty for a method that learns from none; never with a label. */
  readonly unlabelled: readonly PatchCase[];
  readonly validation: readonly PatchCase[];
  /** SHA-256 over every voxel and label, 16 hexadecimal digits: notices files that changed under the same names. */
  readonly hash: string;
}

/**
 * Reads and prepares every case that the method uses. Errors: DataError for an unusable file or a class without a voxel, those
 * of `keep`.
 *
 * @param onCase told how many cases are ready, of how many
 */
export async function prepareCases(
  of: CaseSource,
  onCase: (ready: number, of: number) => void,
): Promise<PreparedCases> {
  const { split, config, dataset, source, keep = (values) => values } = of;
  const unlabelled = usesUnlabelled(config) ? split.unlabelled : [];
  const parts = [split.labelled, unlabelled, split.validation];
  const total = parts.reduce((sum, part) => sum + part.length, 0);
  const prepared: PatchCase[][] = [];
  const digests: number[] = [];
  let ready = 0;
  for (const part of parts) {
    const cases: PatchCase[] = [];
    for (const item of part) {
      const loaded = await loadCase(dataset, item, source);
      const { image, label, ...rest } = preprocess(loaded.image, loaded.label ?? null, config.preprocessing, loaded.id);
      for (const voxels of label ? [image, label] : [image])
        digests.push(...new Uint8Array(await crypto.subtle.digest('SHA-256', voxels)));
      cases.push({ ...rest, image: keep(image), label });
      onCase(++ready, total);
    }
    if (part === split.labelled) assertForeground(cases, dataset);
    prepared.push(cases);
  }
  return {
    ...{ labelled: prepared[0], unlabelled: prepared[1], validation: prepared[2] },
    hash: await bytesHash(Uint8Array.from(digests)),
  };
}

/** A class without a voxel would train to an empty prediction without a word. */
function assertForeground(cases: readonly PatchCase[], dataset: Dataset): void {
  const found = new Set<number>();
  for (const { label } of cases) for (const value of label!) found.add(value);
  const absent = dataset.labels.filter((_, c) => c > 0 && !found.has(c));
  if (absent.length === 0) return;
  throw new DataError(
    `no voxel of the ${cases.length} labelled cases is ${absent.map(({ name, value }) => `'${name}' (${value})`).join(' or ')}; label it in a case, choose other cases with --labelled FILE, or take the class out of dataset.json`,
  );
}
