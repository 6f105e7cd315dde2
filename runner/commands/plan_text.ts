import type { Triple } from '../../engine/shape.ts';
import { bytes, count, duration, percent, significant } from '../report/format.ts';
import { table } from '../report/table.ts';
import type { PlanReport } from './plan.ts';

/** The plan as people read it. */
export function planText(report: PlanReport): string {
  const { dataset, fingerprint: f, adapter, reasons } = report;
  const looked = f.cases < f.ofCases ? `${f.cases} of ${f.ofCases} cases were looked at` : 'all cases were looked at';
  return [
    `${dataset.name}: ${dataset.parts}; ${looked} (axes in the order z, y, x)`,
    '',
    table(fingerprintRows(report), { align: 'l', header: false }),
    '',
    table(planRows(report), { align: 'l', header: false }),
    '',
    ...reasons.map((reason) => `- ${reason}`),
    '',
    `on ${adapter.name} (${adapter.backend}); the bytes are exact while training, the time is an estimate`,
  ].join('\n');
}

function fingerprintRows({ fingerprint: f }: PlanReport): string[][] {
  const orientations = Object.entries(f.orientations).sort(([, a], [, b]) => b - a);
  return [
    ['voxels', range(f.medianShape, f.smallestShape, f.largestShape)],
    ['spacing', range(f.medianSpacing, f.smallestSpacing, f.largestSpacing, ' mm')],
    ['orientation', orientations.map(([code, cases]) => `${code} ${cases}`).join(', ')],
    ...f.channels.map(({ name, mean, sd, low, high }, c) => [
      c === 0 ? 'intensity' : '',
      `${name}: mean ${number(mean)}, sd ${number(sd)}, ${number(low)} to ${number(high)}`,
    ]),
    ...f.classes.map(({ name, share }, c) => [c === 0 ? 'classes' : '', `${name} ${percent(share, 2)}`]),
  ];
}

function planRows(report: PlanReport): string[][] {
  const { config, memory, predictionBytes, imageBytes, labelBytes, stages, flopsPerSecond } = report;
  const { network, preprocessing, patch, batch, steps, method } = config;
  const { parameters, volumes, inputs, step: activations, readback, total } = memory;
  const seconds = stages.reduce((sum, stage) => sum + stage.steps * stage.secondsPerStep, 0);
  return [
    ['patch', `${size(patch)}, ${batch} a step`],
    [
      'network',
      `${network.channels.join('-')} channels, ${network.blocksPerLevel} blocks a level, ${network.norm} norm`,
    ],
    ['kernels', network.kernels ? network.kernels.map(size).join(', ') : '3 x 3 x 3 everywhere'],
    ['pooling', network.strides ? network.strides.map(size).join(', ') : '2 x 2 x 2 everywhere'],
    ['resampling', preprocessing.spacing ? `to ${size(preprocessing.spacing)} mm` : 'none'],
    [
      'GPU memory',
      `${bytes(total)} (${count(total)} bytes): parameters ${bytes(parameters)}, volumes ${bytes(volumes)}, inputs ${bytes(inputs)}, step ${bytes(activations)}, read-back ${bytes(readback)}`,
    ],
    ...(predictionBytes > 0 ? [['', `${bytes(predictionBytes)} more while a volume is predicted`]] : []),
    ['images', `${bytes(imageBytes)} prepared, in memory or beyond train --memory in a file`],
    ...(labelBytes > 0 ? [['pseudo-labels', `${bytes(labelBytes)} of whole volumes, in memory`]] : []),
    ...stages.map(({ name, steps, secondsPerStep, flops, commands }) => [
      stages.length > 1 ? `stage ${name}` : 'step',
      `${stages.length > 1 ? `${count(steps)} steps of ` : ''}about ${duration(secondsPerStep)} (${gigaflop(flops)} at ${gigaflop(flopsPerSecond)}/s, ${count(commands)} commands)`,
    ]),
    ['training', `${method}: about ${duration(seconds)} for ${count(steps)} steps`],
  ];
}

function range(median: Triple, smallest: Triple, largest: Triple, unit = ''): string {
  const same = median.every((m, a) => m === smallest[a] && m === largest[a]);
  if (same) return `${size(median)}${unit} in all`;
  return `median ${size(median)}${unit}, from ${size(smallest)} to ${size(largest)}`;
}

function size(values: readonly number[]): string {
  return values.map((value) => Number(value.toFixed(3))).join(' x ');
}

function number(value: number): string {
  return Number.isInteger(value) ? String(value) : significant(value, 4);
}

function gigaflop(flops: number): string {
  return `${significant(flops / 1e9, 3)} GFLOP`;
}
