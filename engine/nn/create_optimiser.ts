import type { ScalarSlots } from '../step_scalars.ts';
import { type AdamWOptions, type AdamWScalar, adamw, adamwScalars } from './adamw.ts';
import type { Optimiser } from './optimiser.ts';
import type { Parameters } from './parameters.ts';
import { type PolySchedule, polyRate } from './schedule.ts';
import { type SgdOptions, sgd } from './sgd.ts';

export type OptimiserName = 'sgd' | 'adamw';

/** An optimiser by name; the other one's options are left unread. */
export interface OptimiserOptions extends SgdOptions, AdamWOptions {
  readonly name: OptimiserName;
}

export type OptimiserScalar = AdamWScalar;

/** The step scalars that either optimiser may read. */
export const OPTIMISER_SCALARS: readonly OptimiserScalar[] = ['learning_rate', 'adam_correction1', 'adam_correction2'];

/** `sgd` or `adamw`, as `name` says. Errors: theirs. */
export function createOptimiser(
  parameters: Parameters,
  scalars: ScalarSlots<OptimiserScalar>,
  options: OptimiserOptions,
): Optimiser {
  return options.name === 'sgd' ? sgd(parameters, scalars, options) : adamw(parameters, scalars, options);
}

/** Values of OPTIMISER_SCALARS at step 0, 1, ... of a polynomial schedule. */
export function optimiserScalars(step: number, options: PolySchedule & AdamWOptions): Record<OptimiserScalar, number> {
  return { learning_rate: polyRate(step, options), ...adamwScalars(step + 1, options) };
}
