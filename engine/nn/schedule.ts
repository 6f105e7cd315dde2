/** Per-step values as pure functions of the step (0, 1, ...): uploaded through StepScalars, nothing to save or resume. */

export interface PolySchedule {
  /** Learning rate at the start. */
  rate: number;
  /** Steps of the whole run. */
  steps: number;
  /** 0.9 by default (Chen et al., "DeepLab", 2017). */
  power?: number;
  /** Steps of linear warm-up; 0, the default, for none. */
  warmUp?: number;
}

/** How a stage, or a method of one stage, updates the student: SGD with polynomial decay of the rate after a linear warm-up. */
export interface StageSchedule {
  /** Steps of the stage; 0 leaves it out. */
  readonly steps: number;
  /** Learning rate at the start: rate (1 - t / steps)^power min(1, (t + 1) / warmUp). */
  readonly rate: number;
  readonly power: number;
  readonly warmUp: number;
  readonly momentum: number;
  readonly nesterov: boolean;
  readonly weightDecay: number;
  /** Global gradient norm above which gradients are scaled down; 0 for never. */
  readonly clip: number;
}

/** Polynomial decay with linear warm-up: rate (1 - step / steps)^power min(1, (step + 1) / warmUp); 0 from `steps` on. */
export function polyRate(step: number, { rate, steps, power = 0.9, warmUp = 0 }: PolySchedule): number {
  const decay = Math.max(0, 1 - step / steps) ** power;
  return rate * decay * (warmUp > 0 ? Math.min(1, (step + 1) / warmUp) : 1);
}

/**
 * exp(-5 (1 - t)^2), t = step / length up to 1: the weight of a consistency loss, 0.0067 at first and 1 from `length` on
 * (Laine and Aila, "Temporal Ensembling", 2017). Length 0 means no ramp.
 */
export function sigmoidRamp(step: number, length: number): number {
  if (length <= 0) return 1;
  return Math.exp(-5 * (1 - Math.min(1, step / length)) ** 2);
}

/**
 * EMA decay of a teacher, min(1 - 1 / (step + 1), decay): a true mean at first, so that step 0 copies the student
 * (Tarvainen and Valpola, "Mean Teacher", 2017, in the authors' code).
 */
export function emaDecay(step: number, decay = 0.99): number {
  return Math.min(1 - 1 / (step + 1), decay);
}
