import { readFile } from 'node:fs/promises';
import { Device } from '../../engine/device.ts';
import { UsageError } from '../../engine/errors.ts';
import type { Triple } from '../../engine/shape.ts';
import { type Dataset, type FileSource, parseDataset } from '../data/dataset.ts';
import { makeSplit, parseCaseList, type Split } from '../data/splits.ts';
import { directorySource, readFailure } from '../host/files.ts';
import { type OpenedGpu, openGpu } from '../host/node.ts';
import { applySettings, mergeConfig, type TrainConfig, trainConfig } from '../train/config.ts';
import { type Fingerprint, fingerprint } from '../train/fingerprint.ts';
import { type Plan, planRun } from '../train/plan.ts';

/** The options that `plan` and `train` share. Triples are [z, y, x]. */
export interface SetupOptions {
  gpu?: string;
  labelled?: number | string;
  validation?: number | string;
  seed?: number;
  steps?: number;
  batch?: number;
  patch?: Triple;
  channels?: number;
  levels?: number;
  method?: string;
  config?: string;
  set?: readonly string[];
  quiet?: boolean;
  json?: boolean;
}

export interface Setup {
  readonly opened: OpenedGpu;
  readonly device: Device;
  readonly dataset: Dataset;
  readonly source: FileSource;
}

/** Opens the data set, then the adapter (its notes go to stderr). */
export async function openSetup(directory: string, options: SetupOptions): Promise<Setup> {
  const source = directorySource(directory);
  const dataset = await parseDataset(source);
  const opened = await openGpu({ gpu: options.gpu, unsafe: true });
  if (!options.quiet) for (const note of opened.notes) process.stderr.write(`${note}\n`);
  return { opened, device: new Device(opened.device, opened), dataset, source };
}

/** Which cases train, which validate. `--labelled` and `--validation` are a count or the path of a list. */
export async function chooseSplit(
  dataset: Dataset,
  options: SetupOptions,
  validation: TrainConfig['validation'] = 'auto',
): Promise<Split> {
  const labelled = await caseChoice(options.labelled);
  const chosen = typeof labelled === 'number' ? labelled : (labelled?.length ?? dataset.labelled.length);
  const asked = (await caseChoice(options.validation)) ?? (validation === 'auto' ? undefined : validation);
  const fifth = chosen >= 5 && dataset.validation.length === 0 ? Math.floor(chosen / 5) : undefined;
  return makeSplit(dataset, { labelled, validation: asked ?? fifth, seed: options.seed });
}

/** Plan, then the file of --config, then flags, then --set; each over the one before. */
export async function chooseConfig(
  setup: Setup,
  split: Split,
  options: SetupOptions,
): Promise<{ config: TrainConfig; plan: Plan; fingerprint: Fingerprint }> {
  const found = await fingerprint(setup.dataset, split.labelled, split.unlabelled, setup.source);
  const { patch, channels, levels } = options;
  const plan = planRun(found, { patch, channels, levels, software: setup.opened.software });
  const { method, seed, steps, batch } = options;
  const flags = Object.fromEntries(
    Object.entries({ method, seed, steps, batch, patch }).filter(([, value]) => value !== undefined),
  );
  const file = options.config ? await readJson(options.config) : {};
  const merged = applySettings(mergeConfig(mergeConfig(plan.config, file), flags), options.set ?? []);
  return { config: trainConfig(merged), plan, fingerprint: found };
}

async function caseChoice(choice: number | string | undefined): Promise<number | string[] | undefined> {
  if (typeof choice !== 'string') return choice;
  return parseCaseList(await readText(choice));
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (failure) {
    throw readFailure(path, failure);
  }
}

async function readJson(path: string): Promise<unknown> {
  const text = await readText(path);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new UsageError(`${path} is not JSON (${(cause as Error).message}); correct it or leave --config out`, {
      cause,
    });
  }
}
