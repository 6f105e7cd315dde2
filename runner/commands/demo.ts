/** `action3d demo`: the whole way on phantoms, from making a data set to a comparison of supervised training with ACTION. */
import { join } from 'node:path';
import { parseDataset } from '../data/dataset.ts';
import { loadCase } from '../data/load_case.ts';
import { readNifti } from '../data/nifti.ts';
import { directorySource, exists, writeFileAtomic } from '../host/files.ts';
import { foregroundDice } from '../predict/evaluate_cases.ts';
import { comparisonText, pairedDice, type Scored } from '../report/comparison.ts';
import { fixed } from '../report/format.ts';
import { type OverlayCase, overlayPng } from '../report/overlay.ts';
import { caseName } from '../report/summary.ts';
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

const PHANTOMS = { cases: 12, labelled: 2, test: 4, size: 32, classes: 3 };
const STEPS = 300;
/** Small enough for some four minutes on two cores; patches that mostly hold a structure, since the phantoms' are small. */
const PATCH = [24, 24, 24] as const;
const RECIPE = ['network.channels=[8,16,32]', 'augmentation.foreground=0.5'];

/** With the settings of each for a run of so many steps. */
const METHODS = [
  { name: 'supervised', method: 'supervised', settings: () => ['optimiser.nesterov=true'] },
  { name: 'ACTION', method: 'action', settings: actionSettings },
] as const;

/** The classes are told apart within some 60 steps of stage 1b; the banks are filled in the first half of stage 1a. */
function actionSettings(steps: number): string[] {
  const [first, second] = [Math.round(steps / 15), Math.round(steps / 3)];
  const keys = Math.min(36, 4 * Math.max(1, Math.floor(first / 2)));
  return [
    `action.global.K=${keys}`,
    `action.local.K=${keys}`,
    `action.stage1a.steps=${first}`,
    `action.stage1b.steps=${second}`,
    `action.stage2.steps=${steps - first - second}`,
    'action.stage1b.nesterov=true',
  ];
}

/**
 * Makes phantoms, trains both methods on them, predicts the test volumes, scores and draws them. Each part takes over what an
 * earlier demo in the folder has finished. @returns 0, or 75 where it was asked to stop
 */
export async function demo(directory: string, options: DemoOptions = {}): Promise<number> {
  const { steps = STEPS, force = false, gpu, json = false, quiet = false } = options;
  const data = join(directory, 'data');
  const silent = quiet || json;
  // force: what a demo cut short while it made the phantoms has left is replaced, never anything else
  if (force || !(await exists(join(data, 'dataset.json'))))
    await synth(data, { ...PHANTOMS, force: true, quiet: silent });
  const scored: Scored[] = [];
  for (const { name, method, settings } of METHODS) {
    const run = join(directory, 'runs', method);
    const predictions = join(directory, 'predictions', method);
    const common = { gpu, force, quiet: silent };
    const trained = await train(data, {
      ...common,
      output: run,
      method,
      steps,
      patch: PATCH,
      set: [...RECIPE, ...settings(steps)],
    });
    if (trained !== 0) return trained;
    const predicted = await predict(run, [data], { ...common, output: predictions, force: true });
    if (predicted !== 0) return predicted;
    scored.push({ name, summary: await evaluateFolders(predictions, join(data, 'labelsTs')) });
  }
  const [supervised, action] = scored;
  const summaries = { supervised: supervised.summary, action: action.summary };
  const difference = pairedDice(supervised.summary, action.summary);
  const picture = join(directory, 'predictions.png');
  await replace(join(directory, 'summary.json'), `${JSON.stringify({ difference, ...summaries }, null, 2)}\n`);
  await replace(picture, await draw(directory, scored));
  const text = json
    ? JSON.stringify({ picture, difference, ...summaries }, null, 2)
    : `\n${comparisonText(supervised, action)}\n\npicture: ${picture}`;
  process.stdout.write(`${text}\n`);
  return 0;
}

const replace = (path: string, content: string | Uint8Array) => writeFileAtomic(path, content, { overwrite: true });

/** Every test case once a method, one below the other. */
async function draw(directory: string, scored: readonly Scored[]): Promise<Uint8Array> {
  const source = directorySource(join(directory, 'data'));
  const dataset = await parseDataset(source);
  const cases: OverlayCase[] = [];
  for (const item of dataset.test) {
    const { image, label } = await loadCase(dataset, item, source);
    const file = `${item.id}.nii.gz`;
    for (const [i, { name, summary }] of scored.entries()) {
      const predictions = directorySource(join(directory, 'predictions', METHODS[i].method));
      const prediction = await readNifti(await predictions.read(file), file, { role: 'label' });
      const scores = summary.metric_per_case.find((one) => caseName(one.prediction_file) === item.id);
      cases.push({
        name: `${item.id}, ${name}`,
        note: `Dice ${fixed(scores ? foregroundDice(scores) : null)}`,
        image: image.data,
        shape: image.shape,
        spacing: image.spacing,
        prediction: prediction.data,
        reference: label?.data,
      });
    }
  }
  const title = 'Phantoms: supervised training and ACTION beside the reference';
  return overlayPng(cases, { title, labelNames: scored[0].summary.label_names, columns: 2, panel: 200 });
}
