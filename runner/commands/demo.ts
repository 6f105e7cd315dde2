/** `action3d demo`: the whole way on phantoms, from making a data set to a picture of its predictions. */
import { join } from 'node:path';
import { parseDataset } from '../data/dataset.ts';
import { loadCase } from '../data/load_case.ts';
import { readNifti } from '../data/nifti.ts';
import { directorySource, exists, writeFileAtomic } from '../host/files.ts';
import { foregroundDice, type Summary } from '../predict/evaluate_cases.ts';
import { fixed } from '../report/format.ts';
import { type OverlayCase, overlayPng } from '../report/overlay.ts';
import { caseName, summaryText } from '../report/summary.ts';
import { evaluateFolders } from './evaluate_folders.ts';
import { predict } from './predict.ts';
import { synth } from './synth.ts';
import { train } from './train.ts';

export interface DemoOptions {
  readonly steps?: number;
  /** Begin again where the folder holds an earlier demo. */
  readonly force?: boolean;
  readonly gpu?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const PHANTOMS = { cases: 8, labelled: 4, test: 4, size: 32 };
const STEPS = 360;
/** Small enough for two cores and a few minutes; patches that mostly hold a structure, since the phantoms' are small. */
const PATCH = [24, 24, 24] as const;
const RECIPE = [
  'network.channels=[8,16,32]',
  'augmentation.foreground=0.5',
  'optimiser.rate=0.3',
  'optimiser.nesterov=true',
];

/**
 * Makes phantoms, trains, predicts the test volumes, scores them and draws them. Each part takes over what an earlier demo in
 * the folder has finished. @returns 0, or 75 where it was asked to stop
 */
export async function demo(directory: string, options: DemoOptions = {}): Promise<number> {
  const { steps = STEPS, force = false, gpu, json = false, quiet = false } = options;
  const [data, run, predictions] = ['data', 'run', 'predictions'].map((name) => join(directory, name));
  const silent = quiet || json;
  // force: what a demo cut short while it made the phantoms has left is replaced, never anything else
  if (force || !(await exists(join(data, 'dataset.json'))))
    await synth(data, { ...PHANTOMS, force: true, quiet: silent });
  const trained = await train(data, { output: run, steps, patch: PATCH, set: RECIPE, force, gpu, quiet: silent });
  if (trained !== 0) return trained;
  const predicted = await predict(run, [data], { output: predictions, force: true, gpu, quiet: silent });
  if (predicted !== 0) return predicted;
  const summary = await evaluateFolders(predictions, join(data, 'labelsTs'));
  const picture = join(directory, 'predictions.png');
  await writeFileAtomic(join(directory, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`, { overwrite: true });
  await writeFileAtomic(picture, await draw(data, predictions, summary), { overwrite: true });
  const text = json
    ? JSON.stringify({ picture, ...summary }, null, 2)
    : `\n${summaryText(summary)}\n\npicture: ${picture}`;
  process.stdout.write(`${text}\n`);
  return 0;
}

async function draw(data: string, predictions: string, summary: Summary): Promise<Uint8Array> {
  const source = directorySource(data);
  const dataset = await parseDataset(source);
  const dice = new Map(summary.metric_per_case.map((item) => [caseName(item.prediction_file), foregroundDice(item)]));
  const cases: OverlayCase[] = [];
  for (const item of dataset.test) {
    const { image, label } = await loadCase(dataset, item, source);
    const file = `${item.id}.nii.gz`;
    const prediction = await readNifti(await directorySource(predictions).read(file), file, { role: 'label' });
    cases.push({
      name: item.id,
      note: `Dice ${fixed(dice.get(item.id) ?? null)}`,
      image: image.data,
      shape: image.shape,
      spacing: image.spacing,
      prediction: prediction.data,
      reference: label?.data,
    });
  }
  return overlayPng(cases, { title: 'Phantoms: prediction and reference', labelNames: summary.label_names });
}
