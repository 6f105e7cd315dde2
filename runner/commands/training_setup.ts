import { readFile } from 'node:fs/promises';
import { Device } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import { UsageError } from '../../engine/errors.ts';
import type { Triple } from '../../engine/shape.ts';
import { type Dataset, type FileSource, parseDataset } from '../data/dataset.ts';
import { makeSplit, parseCaseList, type Split } from '../data/splits.ts';
import { directorySource, readFailure } from '../host/files.ts';
import { type OpenedGpu, openGpu } from '../host/node.ts';
import { applySettings, mergeConfig, type TrainConfig, type TrainConfigInput, trainConfig } from '../train/config.ts';
import { type Fingerprint, fingerprint } from '../train/fingerprint.ts';
import { type FittedPlan, fitPlan } from '../train/fit.ts';
import { forecastTraining } from '../train/forecast.ts';

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
  /** GPU bytes to stay within. */
  vram?: number;
  quiet?: boolean;
  json?: boolean;
}

export interface Setup {
  readonly opened: OpenedGpu;
  readonly device: Device;
  readonly dataset: Dataset;
  readonly source: FileSource;
  /** Gives the adapter back. */
  close(): void;
}

/** Opens the data set, then the adapter (its notes go to stderr). */
export async function openSetup(directory: string, options: SetupOptions): Promise<Setup> {
  const source = directorySource(directory);
  const dataset = await parseDataset(source);
  const opened = await openGpu({ gpu: options.gpu, unsafe: true });
  if (!options.quiet) for (const note of opened.notes) process.stderr.write(`${note}\n`);
  const device = new Device(opened.device, opened);
  const close = () => {
    device.destroy();
    opened.close();
  };
  return { opened, device, dataset, source, close };
}

/** What a run is: its cases and its configuration. */
export interface Choice {
  readonly split: Split;
  readonly config: TrainConfig;
  readonly plan: FittedPlan;
  readonly fingerprint: Fingerprint;
}

/**
 * The configuration is the plan's, then the file of --config, then flags, then --set, each over the one before, with the plan
 * made to suit the others.
 *
 * @throws UsageError for what cannot be an option or a split, FitError where nothing fits the adapter or --vram
 */
export async function chooseRun(setup: Setup, options: SetupOptions): Promise<Choice> {
  const { dataset, device, opened, source } = setup;
  const wanted = await wantedConfig(options);
  const { patch, batch, network, preprocessing, validation, seed } = wanted;
  const split = await chooseSplit(dataset, options, trainConfig({ validation, seed }));
  const found = await fingerprint(dataset, split.labelled, split.unlabelled, source);
  const dry = new Device(dryGpu(device.limits), opened);
  const grids = found.grids.slice(0, split.labelled.length);
  const plan = await fitPlan(
    found,
    {
      ...{ patch, batch, channels: options.channels, spacing: preprocessing?.spacing, software: opened.software },
      levels: network?.channels?.length ?? options.levels,
    },
    (config) => forecastTraining(dry, trainConfig(mergeConfig(config, wanted)), dataset, grids),
    options.vram,
  );
  return { split, config: trainConfig(mergeConfig(plan.config, wanted)), plan, fingerprint: found };
}

/** What file, flags and --set say, known to be valid. */
async function wantedConfig(options: SetupOptions): Promise<TrainConfigInput> {
  const { config, method, seed, steps, batch, patch } = options;
  const validation = typeof options.validation === 'number' ? options.validation : undefined;
  const file = config ? await readJson(config) : {};
  trainConfig(file, config);
  const flags = Object.fromEntries(
    Object.entries({ method, seed, steps, batch, patch, validation }).filter(([, value]) => value !== undefined),
  );
  const wanted = applySettings(mergeConfig(file, flags), options.set ?? []);
  trainConfig(wanted);
  return wanted as TrainConfigInput;
}

/** Which cases train, which validate. `--labelled` and `--validation` are a count or the path of a list. */
async function chooseSplit(dataset: Dataset, options: SetupOptions, config: TrainConfig): Promise<Split> {
  const labelled = await caseChoice(options.labelled);
  const listed = await caseChoice(options.validation);
  const chosen = typeof labelled === 'number' ? labelled : (labelled?.length ?? dataset.labelled.length);
  const fifth = chosen >= 5 && dataset.validation.length === 0 ? Math.floor(chosen / 5) : undefined;
  const validation = Array.isArray(listed) ? listed : config.validation === 'auto' ? fifth : config.validation;
  return makeSplit(dataset, { labelled, validation, seed: config.seed });
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
