/** The reports of `bench` as people read them. */
import { type KernelRow, rowName } from '../bench/kernels.ts';
import type { Peaks } from '../bench/peaks.ts';
import type { StepRow } from '../bench/steps.ts';
import { bytes, count, percent, significant } from '../report/format.ts';
import { table } from '../report/table.ts';
import type { KernelsReport } from './bench_kernels.ts';
import { placeText } from './bench_place.ts';
import type { PredictReport } from './bench_predict.ts';
import type { StepsReport } from './bench_step.ts';

export function kernelsText(report: KernelsReport): string {
  const { place, peaks, clock, rows, baseline } = report;
  const changes = new Map(baseline?.rows.map(({ row, change }) => [row, change]));
  const head = ['op', 'shape', 'size', 'pass', 'ms', 'launch', 'GFLOP/s', 'GB/s', 'of FMA', 'of copy'];
  const cells = rows.map((row) => [
    ...[row.op, row.name, row.size, row.pass],
    ...(row.timing ? timed(row, row.timing) : ['WRONG']),
    ...(baseline && row.timing ? [change(changes.get(rowName(row)))] : []),
  ]);
  const right = rows.filter(({ check }) => check.ok).length;
  const samples = rows.reduce((sum, { check }) => sum + check.samples, 0);
  return [
    ...[placeText(place), peaksText(peaks), ''],
    table([baseline ? [...head, 'change'] : head, ...cells], { align: 'llllr' }),
    '',
    `${right} of ${rows.length} agree with float64 in ${count(samples)} sampled results`,
    `ms: median of one run among many in a submit, by ${clock}; launch: what a run alone takes beyond that`,
    'GB/s: every tensor read or written once; shares are of the peaks above, which caches and uniform reads may exceed',
    ...(baseline ? [`change: against ${baseline.file}${notTimed(baseline.notTimed)}`] : []),
  ].join('\n');
}

/** A row while the others are still being timed. */
export function kernelLine(row: KernelRow): string {
  const [ms] = row.timing ? timed(row, row.timing) : [];
  return `${rowName(row)}: ${ms === undefined ? 'WRONG' : `${ms} ms`}`;
}

function timed(row: KernelRow, { ms, aloneMs, runs }: NonNullable<KernelRow['timing']>): string[] {
  const rate = (value: number | null) => (value === null ? '-' : significant(value / 1e9, 3));
  const share = (value: number | null) => (value === null ? '-' : percent(value));
  return [
    ...[significant(ms, 3), runs > 1 ? significant(Math.max(0, aloneMs - ms), 2) : '-'],
    ...[rate(row.flopsPerSecond), rate(row.bytesPerSecond), share(row.ofFma), share(row.ofCopy)],
  ];
}

function notTimed(names: readonly string[]): string {
  return names.length === 0 ? '' : `; of its rows these were not timed now: ${names.join(', ')}`;
}

function change(value: number | undefined): string {
  return value === undefined ? 'new' : `${value < 0 ? '' : '+'}${percent(value)}`;
}

export function stepLine({ method, stage, ms, p95Ms, samples, flopsPerSecond, heldBytes }: StepRow): string {
  const rate = `${significant(flopsPerSecond / 1e9, 3)} GFLOP/s`;
  return `${method} ${stage}: ${significant(ms, 3)} ms, p95 ${significant(p95Ms, 3)}, ${samples} steps, ${rate}, ${bytes(heldBytes)}`;
}

export function stepsText(report: StepsReport): string {
  const { place, peaks, rows, patch, batch, channels, precision } = report;
  const head = [
    'method',
    'stage',
    'first s',
    'ms',
    'p95',
    'n',
    'replay',
    'wait',
    'encode',
    'host',
    'commands',
    'planned',
    'held',
  ];
  const cells = rows.map((row) => [
    ...[
      row.method,
      row.stage,
      significant(row.firstMs / 1000, 2),
      significant(row.ms, 3),
      significant(row.p95Ms, 3),
      String(row.samples),
    ],
    ...[significant(row.replayMs, 3), percent(row.waitShare)],
    ...[significant(row.encodeMs, 2), significant(row.hostMs, 2), count(row.commands)],
    ...[bytes(row.plannedBytes), bytes(row.heldBytes)],
    ...[significant(row.flops / 1e9, 3), significant(row.flopsPerSecond / 1e9, 3), percent(row.ofFma)],
  ]);
  return [
    ...[placeText(place), peaksText(peaks)],
    `patch ${patch.join(' x ')} (z, y, x), ${batch} labelled and as many unlabelled a step, U-Net ${channels.join('-')}, ${precision}`,
    '',
    table([[...head, 'GFLOP', 'GFLOP/s', 'of FMA'], ...cells], { align: 'llr' }),
    '',
    'first s: seconds until the first losses are there, compiling what no row above has compiled included',
    'ms: median from one step to the next, p95: one in twenty is slower, n steps timed; encode: the commands of a step into a buffer',
    'replay: a step on data that is there already, wait: the share of a step beyond that, which the device waits for data',
    'host: patches, uploads, encode and submit (a software adapter computes in there); planned, held: GPU bytes forecast and taken',
    'GFLOP: convolutions; of FMA: the share of the step that they would take at the peak above',
  ].join('\n');
}

export function predictText(report: PredictReport): string {
  const { place, peaks, size, patch, batch, channels, precision, check } = report;
  const rows = [
    ['volumes a minute', significant(report.volumesPerMinute, 3)],
    ['voxels a second', count(report.voxelsPerSecond)],
    ['volume', `${significant(report.ms, 3)} ms (median of ${report.samples}, p95 ${significant(report.p95Ms, 3)})`],
    ['windows', `${report.windows}, half overlapping`],
    [
      'check',
      `${count(check.voxels - check.different)} of ${count(check.voxels)} labels of a window are the network's`,
    ],
    [
      'convolutions',
      `${significant(report.flops / 1e9, 3)} GFLOP at ${significant(report.flopsPerSecond / 1e9, 3)} GFLOP/s, ${percent(report.ofFma)} of FMA`,
    ],
  ];
  return [
    ...[placeText(place), peaksText(peaks)],
    `volume ${size.join(' x ')}, window ${patch.join(' x ')} (z, y, x), ${batch} a pass, U-Net ${channels.join('-')}, ${precision}`,
    '',
    table(rows, { align: 'l', header: false }),
  ].join('\n');
}

function peaksText({ flopsPerSecond, bytesPerSecond, launchMs }: Peaks): string {
  const [flops, rate] = [flopsPerSecond, bytesPerSecond].map((value) => significant(value / 1e9, 3));
  return `peaks here and now: ${flops} GFLOP/s (FMA loop), ${rate} GB/s (copy, read + written), ${significant(launchMs, 2)} ms to launch and wait`;
}
