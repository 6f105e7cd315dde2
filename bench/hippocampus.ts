/**
 * Supervised training on the hippocampus volumes beside PyTorch's: the same network, patch, augmentation, schedule and number
 * of steps, scored on the same 40 test cases by the command line's own verbs.
 *
 *   npx tsx bench/hippocampus.ts [--data ../shared/data/hippocampus] [--runs runs/hippocampus] [--labelled 4] [--seeds 2]
 *                                [--steps 600] [--gpu auto]
 *
 * Can be stopped (Ctrl-C) and started again: finished parts are kept. Prints the table that bench/results.md holds.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { evaluate } from '../runner/commands/evaluate.ts';
import { predict } from '../runner/commands/predict.ts';
import { train } from '../runner/commands/train.ts';
import { exit } from '../runner/host/node.ts';
import { table } from '../runner/report/table.ts';

const { values } = parseArgs({
  options: {
    data: { type: 'string', default: '../shared/data/hippocampus' },
    runs: { type: 'string', default: 'runs/hippocampus' },
    labelled: { type: 'string', default: '4' },
    seeds: { type: 'string', default: '2' },
    steps: { type: 'string', default: '600' },
    gpu: { type: 'string', default: 'auto' },
  },
});

/** The network and schedule of the PyTorch run; everything else are our defaults, which are the same. */
const RECIPE = [
  'network.channels=[8,16,32,64]',
  'optimiser.rate=0.3',
  'optimiser.warmUp=20',
  'optimiser.clip=5',
  'validation=0',
];

interface Score {
  Dice: number;
  IoU: number;
  HD95: number;
  ASD: number;
  ASSD: number;
}

if (!existsSync(values.data)) {
  process.stderr.write(`${values.data} is not there: give the hippocampus volumes with --data\n`);
  await exit(2);
}

const rows: string[][] = [];
for (let seed = 0; seed < Number(values.seeds); seed++) {
  const run = join(values.runs, `supervised-${values.labelled}-s${seed}`);
  const predictions = join(run, 'test');
  const summary = join(run, 'summary.json');
  if (!existsSync(join(run, 'model.safetensors'))) {
    const code = await train(values.data, {
      output: run,
      labelled: Number(values.labelled),
      validation: 0,
      seed,
      steps: Number(values.steps),
      patch: [32, 48, 32],
      set: RECIPE,
      gpu: values.gpu,
    });
    if (code !== 0) await exit(code);
  }
  if (!existsSync(summary)) {
    const code = await predict(run, [join(values.data, 'imagesTs')], {
      output: predictions,
      gpu: values.gpu,
      force: true,
    });
    if (code !== 0) await exit(code);
    await evaluate(predictions, join(values.data, 'labelsTs'), { output: summary });
  }
  const mean = JSON.parse(await readFile(summary, 'utf8')).foreground_mean as Score;
  rows.push([
    `supervised, ${values.steps} steps`,
    values.labelled,
    String(seed),
    ...[mean.Dice, mean.IoU].map((v) => v.toFixed(4)),
    ...[mean.HD95, mean.ASD, mean.ASSD].map((v) => v.toFixed(3)),
  ]);
}
process.stdout.write(`${table([['run', 'labels', 'seed', 'Dice', 'Jaccard', 'HD95', 'ASD', 'ASSD'], ...rows])}\n`);
await exit(0);
