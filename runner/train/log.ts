import { bytes, duration } from '../report/format.ts';
import type { TrainConfig } from './config.ts';

export interface ProgressView {
  step: number;
  steps: number;
  /** Mean milliseconds of a step lately; null before the second. */
  stepMs: number | null;
  /** Of those, the host's own work, which overlaps the device's. */
  hostMs: number;
  losses: Readonly<Record<string, number>>;
  dice: number | null;
  gpuBytes: number;
  stage: string;
}

/** Left out of the line where the loss has more than these. */
const DETAILS = ['ce', 'dice', 'norm'];
/** What a loss scale reports, whole numbers; the line leaves it out but for steps that were skipped. */
const SCALING = ['loss_scale', 'skipped'];

/** The line a person reads: rate, losses, time left, memory. */
export function progressLine(view: ProgressView): string {
  const { step, steps, stepMs, hostMs, losses, dice, gpuBytes, stage } = view;
  const filled = Math.round((step / steps) * 20);
  const parts = Object.entries(losses)
    .filter(([name]) => !SCALING.includes(name) && !('supervised' in losses && DETAILS.includes(name)))
    .map(([name, value]) => `${name.replaceAll('_', ' ')} ${value.toFixed(4)}`);
  return [
    `${stage} ${'█'.repeat(filled)}${'░'.repeat(20 - filled)} ${step}/${steps}`,
    ...(stepMs === null
      ? []
      : [
          `${stepMs.toFixed(stepMs < 10 ? 1 : 0)} ms/step (host ${hostMs.toFixed(1)})`,
          `ETA ${duration(((steps - step) * stepMs) / 1000)}`,
        ]),
    parts.join(' '),
    ...(losses.skipped > 0 ? [`${losses.skipped} skipped`] : []),
    ...(dice === null ? [] : [`val Dice ${dice.toFixed(3)}`]),
    `GPU ${bytes(gpuBytes)}`,
  ].join('  ');
}

/** The line for logs and pipes: `time stage step/steps key=value …`. */
export function plainLine(view: ProgressView, now: Date): string {
  const { step, steps, stepMs, losses, dice, stage } = view;
  const values = Object.entries(losses).map(
    ([name, value]) => `${name}=${SCALING.includes(name) ? value : value.toFixed(4)}`,
  );
  const score = dice === null ? [] : [`dice=${dice.toFixed(3)}`];
  const rate =
    stepMs === null ? [] : [`step_ms=${stepMs.toFixed(1)}`, `eta_s=${Math.round(((steps - step) * stepMs) / 1000)}`];
  return [now.toISOString().replace(/\.\d+Z$/, 'Z'), stage, `${step}/${steps}`, ...values, ...score, ...rate].join(' ');
}

/** Said when a stage is over: the steps that overflow of float16 made it skip, undefined where there were none. */
export function skippedNote(
  { skipped, loss_scale }: Readonly<Record<string, number>>,
  steps: number,
): string | undefined {
  if (!skipped) return undefined;
  return `${skipped} of ${steps} steps changed nothing, as gradients overflowed float16 and the loss scale was halved; it is ${loss_scale} now`;
}

/** What a step of a stage takes, in words. */
export function patchesOf(config: TrainConfig, stage: string): string {
  const { batch } = config;
  if (config.method === 'supervised') return `${batch} patches`;
  if (config.method !== 'action') return `${batch} labelled and ${batch} unlabelled patches`;
  const { stage1a, stage1b, stage2 } = config.action;
  if (stage === '1a') return `${stage1a.batch} patches`;
  const { labelledBatch, unlabelledBatch } = stage === '1b' ? stage1b : stage2;
  return `${labelledBatch} labelled and ${unlabelledBatch} unlabelled patches`;
}
