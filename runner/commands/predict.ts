/** `action3d predict RUN INPUT... -o DIR`: segments volumes, each into a file on its own voxels. */
import { join } from 'node:path';
import { Device } from '../../engine/device.ts';
import { ActionError, DataError, FitError } from '../../engine/errors.ts';
import { count } from '../data/check_volume.ts';
import { writeNifti } from '../data/nifti.ts';
import type { Volume } from '../data/volume.ts';
import { writeFileAtomic } from '../host/files.ts';
import { openGpu } from '../host/node.ts';
import { STOPPED, stopOnSignal } from '../host/stop.ts';
import { statusLine } from '../host/terminal.ts';
import {
  type CasePrediction,
  type LoadedModel,
  labelNamesOf,
  loadModel,
  predictCase,
} from '../predict/predict_case.ts';
import { duration, percent } from '../report/format.ts';
import { findInputs, type InputCase, readInput } from './predict_inputs.ts';
import { findModel } from './predict_model.ts';
import { describeOutputs, labelFile, type OutputOptions, placeOutputs, probabilityFile } from './predict_outputs.ts';

export interface PredictOptions extends OutputOptions {
  /** Share of a window that its neighbour covers too, 0 to below 1. Default 0.5. */
  readonly overlap?: number;
  /** Average over the 8 mirrorings. */
  readonly tta?: boolean;
  /** Also write probabilities/CASE_probabilities.nii.gz, one float32 volume a class. */
  readonly probabilities?: boolean;
  /** Windows in one pass of the network. Default 1. */
  readonly batch?: number;
  readonly gpu?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

interface Outcome {
  readonly predicted: { id: string; file: string; inputs: readonly string[]; seconds: number }[];
  readonly failed: { id: string; inputs: readonly string[]; message: string; exitCode: number }[];
}

/**
 * Predicts every input; one that cannot be read or predicted does not stop the others. The first Ctrl-C stops after the windows
 * in flight: complete files stay, nothing is half-written.
 *
 * @returns 0; 4, or the one exit code of all failures, where inputs failed; 75 where it was asked to stop
 * @throws DataError for the model and for paths without volumes, UsageError for outputs that exist or cannot be written,
 * FitError for a full disk
 */
export async function predict(run: string, paths: readonly string[], options: PredictOptions): Promise<number> {
  const { card, weights, file, note } = await findModel(run);
  const cases = await findInputs(paths, card.channels.length);
  const todo = await placeOutputs(cases, options);
  const description = await describeOutputs(card, options);
  const say = (sentence: string) => {
    if (!options.quiet) process.stderr.write(`${sentence}\n`);
  };
  if (note) say(note);
  const gpu = await openGpu({ gpu: options.gpu, unsafe: true });
  const device = new Device(gpu.device, gpu);
  const stop = stopOnSignal(() => say('Stopping after the windows in flight; Ctrl-C again ends at once.'));
  const outcome: Outcome = { predicted: [], failed: [] };
  try {
    say(`${count(todo.length, 'case')} on ${gpu.name} (${gpu.backend})`);
    gpu.notes.forEach(say);
    const model = loadModel(device, card, weights, file);
    await writeFileAtomic(join(options.output, 'dataset.json'), description, { overwrite: true });
    await predictAll(model, todo, options, { outcome, say, signal: stop.signal });
  } finally {
    stop.dispose();
    device.destroy();
    gpu.close();
  }
  const left = todo.length - outcome.predicted.length - outcome.failed.length;
  report(options, { model: file, ...outcome, kept: cases.length - todo.length, left });
  if (left > 0) return STOPPED;
  const codes = new Set(outcome.failed.map(({ exitCode }) => exitCode));
  return codes.size > 1 ? 4 : ([...codes][0] ?? 0);
}

interface Progress {
  readonly outcome: Outcome;
  readonly say: (sentence: string) => void;
  readonly signal: AbortSignal;
}

/** Adds to `outcome` case by case, until the signal stops it. @throws what concerns more than the case at hand */
async function predictAll(
  model: LoadedModel,
  cases: readonly InputCase[],
  options: PredictOptions,
  progress: Progress,
): Promise<void> {
  const { outcome, say, signal } = progress;
  for (const [index, item] of cases.entries()) {
    const { id, files: inputs } = item;
    const title = `${index + 1}/${cases.length} ${id}`;
    const start = performance.now();
    const segmented = await segment(model, item, title, options, progress);
    if (!segmented) return;
    if (segmented instanceof ActionError) {
      const { message, exitCode } = segmented;
      outcome.failed.push({ id, inputs, message, exitCode });
      say(`${title}  failed`);
    } else {
      await write(model, item, segmented, options);
      const seconds = (performance.now() - start) / 1000;
      outcome.predicted.push({ id, file: labelFile(options.output, item), inputs, seconds });
      say(`${title}  ${segmented.image.shape.join(' x ')} voxels  ${duration(seconds)}`);
    }
    if (signal.aborted) return;
  }
}

interface Segmented {
  readonly image: Volume;
  readonly prediction: CasePrediction;
}

/** The result, what is wrong with the case, or undefined where it was stopped. */
async function segment(
  model: LoadedModel,
  item: InputCase,
  title: string,
  options: PredictOptions,
  { say, signal }: Progress,
): Promise<Segmented | ActionError | undefined> {
  const status = statusLine(!options.quiet);
  try {
    const image = await readInput(item, (warning) => say(`${title}  ${warning}`));
    const onProgress = (share: number) => status.show(`${title}  ${percent(share)}`);
    const prediction = await predictCase(model, image, item.files[0], { ...options, signal, onProgress });
    return { image, prediction };
  } catch (failure) {
    if (signal.aborted) return undefined;
    if (failure instanceof DataError || failure instanceof FitError) return failure;
    throw failure;
  } finally {
    status.clear();
  }
}

/** Labels last: where CASE.nii.gz exists, the case is complete. */
async function write(model: LoadedModel, item: InputCase, { image, prediction }: Segmented, options: PredictOptions) {
  const { labels, probabilities } = prediction;
  const { output } = options;
  if (probabilities) {
    const channels = model.card.labels.length;
    const bytes = await writeNifti(probabilities, image.source, { channels });
    await writeFileAtomic(probabilityFile(output, item), bytes, { overwrite: true });
  }
  const bytes = await writeNifti(labels, image.source, { labelNames: labelNamesOf(model.card) });
  await writeFileAtomic(labelFile(output, item), bytes, { overwrite: options.force });
}

function report(options: PredictOptions, result: Outcome & { model: string; kept: number; left: number }): void {
  const { output, json, quiet } = options;
  const { predicted, failed, kept, left } = result;
  for (const { message } of failed) process.stderr.write(`error: ${message}\n`);
  if (json) {
    process.stdout.write(`${JSON.stringify({ output, ...result }, null, 2)}\n`);
    return;
  }
  if (quiet) return;
  const others = [
    ...(kept > 0 ? [`${kept} kept`] : []),
    ...(failed.length > 0 ? [`${failed.length} failed`] : []),
    ...(left > 0 ? [`${left} not begun`] : []),
  ];
  process.stdout.write(`${output}: ${[count(predicted.length, 'prediction'), ...others].join(', ')}\n`);
}
