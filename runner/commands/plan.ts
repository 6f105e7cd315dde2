/** `action3d plan DATASET`: what a training would look like and take, without training. */
import { describeParts } from '../data/check.ts';
import { trainingRate } from '../train/probe.ts';
import { planText } from './plan_text.ts';
import { type Choice, chooseRun, openSetup, type Setup, type SetupOptions } from './training_setup.ts';

/** What `plan --json` prints. Triples are [z, y, x]. */
export interface PlanReport extends Pick<Choice, 'fingerprint' | 'config'> {
  readonly dataset: { readonly name: string; readonly root: string; readonly parts: string };
  readonly adapter: { readonly name: string; readonly backend: string; readonly software: boolean };
  /** One sentence a decision. */
  readonly reasons: readonly string[];
  /** GPU bytes, exactly. */
  readonly memory: Choice['plan']['forecast']['memory'];
  /** GPU bytes beside those while a volume is predicted. */
  readonly predictionBytes: number;
  /** Of prepared images: in memory, or beyond --memory in a file. */
  readonly imageBytes: number;
  /** Of the probabilities of whole unlabelled volumes, in memory. */
  readonly labelBytes: number;
  /** Of convolutions, measured on one block of the network on this adapter. Times are estimates made with it. */
  readonly flopsPerSecond: number;
  readonly stages: readonly {
    readonly name: string;
    readonly steps: number;
    readonly commands: number;
    readonly flops: number;
    readonly secondsPerStep: number;
  }[];
}

/**
 * Reads the data set, chooses patch, network and spacing, predicts GPU bytes and the time of a step, and prints that.
 * @returns exit code 0
 * @throws FitError where no plan fits the adapter or --vram
 */
export async function plan(directory: string, options: SetupOptions): Promise<number> {
  const setup = await openSetup(directory, options);
  try {
    const report = await makeReport(setup, options);
    process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : `${planText(report)}\n`);
    return 0;
  } finally {
    setup.close();
  }
}

async function makeReport(setup: Setup, options: SetupOptions): Promise<PlanReport> {
  const { dataset, opened, device } = setup;
  const { config, fingerprint, plan } = await chooseRun(setup, options);
  const { memory, predictionBytes, stages, imageBytes, labelBytes } = plan.forecast;
  const flopsPerSecond = await trainingRate(device, config.network.channels[0], config.patch);
  return {
    dataset: { name: dataset.name, root: dataset.root, parts: describeParts(dataset) },
    adapter: { name: opened.name, backend: opened.backend, software: opened.software },
    fingerprint,
    config,
    reasons: plan.reasons,
    memory,
    ...{ predictionBytes, imageBytes, labelBytes },
    flopsPerSecond,
    stages: stages.map(({ name, steps, commands, flops }) => ({
      ...{ name, steps, commands, flops },
      secondsPerStep: flops / flopsPerSecond,
    })),
  };
}
