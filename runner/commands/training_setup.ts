import { readFile } from 'node:fs/promises';
import { Device } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import { DataError, UsageError } from '../../engine/errors.ts';
import type { Triple } from '../../engine/shape.ts';
import type { ChooseWay } from '../../engine/ways.ts';
import { type Dataset, type FileSource, parseDataset } from '../data/dataset.ts';
import { makeSplit, parseCaseList, type Split } from '../data/splits.ts';
import { directorySource, readFailure } from '../host/files.ts';
import { type OpenedGpu, openGpu } from '../host/node.ts';
import { applySettings, mergeConfig, type TrainConfig, type TrainConfigInput, trainConfig } from '../train/config.ts';
import { type Fingerprint, fingerprint, readGrids } from '../train/fingerprint.ts';
import { type FittedPlan, fitPlan } from '../train/fit.ts';
import { forecastTraining } from '../train/forecast.ts';
import { assertUnlabelled, usesUnlabelled } from '../train/methods.ts';
import { assertPrecision } from '../train/stage.ts';
import { type StartWeights, startWeights } from './start_weights.ts';

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
  preset?: string;
  precision?: string;
  without?: readonly string[];
  /** Stages of ACTION to run, of 1a, 1b and 2. */
  stage?: readonly string[];
  /** A run folder, a checkpoint or weights to start from. */
  from?: string;
  config?: string;
  set?: readonly string[];
  /** GPU bytes to stay within. */
  vram?: number;
  quiet?: boolean;
  json?: boolean;
}

/** What a run is about, before an adapter is asked. */
export interface Wishes {
  readonly dataset: Dataset;
  readonly source: FileSource;
  readonly split: Split;
  /** What file, flags and --set say, known to be valid. */
  readonly config: TrainConfigInput;
  /** Weights that --from names. */
  readonly from?: StartWeights;
  /** Sentences on what was chosen for the user. */
  readonly reasons: readonly string[];
}

export interface Setup extends Wishes {
  readonly opened: OpenedGpu;
  device: Device;
  /** Gives the adapter back. */
  close(): void;
}

/** Reads the data set and all options, then opens the adapter (its notes go to stderr). */
export async function openSetup(directory: string, options: SetupOptions): Promise<Setup> {
  const wishes = await readWishes(directory, options);
  const opened = await openGpu({ gpu: options.gpu, unsafe: true });
  if (!options.quiet) for (const note of opened.notes) process.stderr.write(`${note}\n`);
  const setup: Setup = {
    ...{ ...wishes, opened, device: new Device(opened.device, opened) },
    close() {
      setup.device.destroy();
      opened.close();
    },
  };
  return setup;
}

/** Takes other ways than the adapter was tuned to; nothing may have been made on the device before. */
export function takeWays(setup: Setup, choose: ChooseWay): void {
  setup.device.destroy();
  setup.opened.choose = choose;
  setup.device = new Device(setup.opened.device, setup.opened);
}

async function readWishes(directory: string, options: SetupOptions): Promise<Wishes> {
  const source = directorySource(directory);
  const dataset = await parseDataset(source);
  const asked = await wantedConfig(options);
  const { validation, seed } = asked;
  const split = await chooseSplit(dataset, options, trainConfig({ validation, seed }));
  const from = options.from === undefined ? undefined : await startWeights(options.from);
  const method = asked.method ?? (split.unlabelled.length > 0 ? 'action' : 'supervised');
  const config = { ...asked, method, ...(from && { from: from.hash }) };
  trainConfig(config);
  assertUnlabelled({ method }, split.unlabelled.length);
  const reasons = asked.method
    ? []
    : [
        `method ${method}: there are ${split.unlabelled.length || 'no'} unlabelled cases to learn from (--method chooses another)`,
      ];
  return { dataset, source, split, config, ...(from && { from }), reasons };
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
  const { dataset, device, opened, source, split, config: wanted } = setup;
  const { patch, network, preprocessing } = wanted;
  const found = await fingerprint(dataset, split.labelled, split.unlabelled, source);
  assertPrecision(device, trainConfig(wanted).precision, opened.name);
  const dry = new Device(dryGpu(device.limits), opened);
  const known = split.labelled.length;
  const grids = {
    labelled: found.grids.slice(0, known),
    unlabelled: usesUnlabelled(trainConfig(wanted)) ? found.grids.slice(known) : [],
    validation: await readGrids(dataset, split.validation, source),
  };
  // ACTION's presets say how many patches a step has, and mixing needs two: only the patch may shrink.
  const batch = wanted.batch ?? (wanted.method === 'action' ? trainConfig(wanted).batch : undefined);
  const complete = ({ batch: planned, ...rest }: FittedPlan['config']) =>
    trainConfig(mergeConfig(wanted.method === 'action' ? rest : { ...rest, batch: planned }, wanted));
  const plan = await fitPlan(
    found,
    {
      ...{ patch, batch, channels: options.channels, spacing: preprocessing?.spacing, software: opened.software },
      levels: network?.channels?.length ?? options.levels,
    },
    (config, volumeBytes) => forecastTraining(dry, complete(config), dataset, grids, volumeBytes),
    options.vram,
  );
  return {
    ...{ split, config: complete(plan.config), fingerprint: found },
    plan: { ...plan, reasons: [...setup.reasons, ...plan.reasons] },
  };
}

/** What file, flags and --set say, known to be valid. @throws UsageError, DataError for the file of --config */
export async function wantedConfig(options: SetupOptions): Promise<TrainConfigInput> {
  const { config, method, preset, without, precision, seed, steps, batch, patch, stage } = options;
  const validation = typeof options.validation === 'number' ? options.validation : undefined;
  const file = config ? await readJson(config) : {};
  const action = stage && { stages: stage };
  const flags = Object.fromEntries(
    Object.entries({ method, preset, without, precision, seed, steps, batch, patch, validation, action }).filter(
      ([, value]) => value !== undefined,
    ),
  );
  assertFile(file, config);
  const wanted = withMethod(applySettings(mergeConfig(file, flags), options.set ?? []));
  trainConfig(wanted);
  return wanted as TrainConfigInput;
}

/** @throws DataError for what no configuration can hold */
function assertFile(file: unknown, path: string | undefined): void {
  try {
    trainConfig(withMethod(file), path);
  } catch (failure) {
    throw failure instanceof UsageError ? new DataError(failure.message, { cause: failure }) : failure;
  }
}

/** Options of ACTION ask for ACTION. */
function withMethod(input: unknown): unknown {
  const { method, preset, without, action } = (input ?? {}) as TrainConfigInput;
  return method === undefined && (preset || without || action) ? mergeConfig(input, { method: 'action' }) : input;
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
    throw new DataError(`${path} is not JSON (${(cause as Error).message}); correct it or leave --config out`, {
      cause,
    });
  }
}
