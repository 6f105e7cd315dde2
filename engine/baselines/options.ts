import type { OptimiserName } from '../nn/create_optimiser.ts';
import type { StageSchedule } from '../nn/schedule.ts';

/** What every baseline has: L = L_sup + w(t) U on a labelled and an unlabelled batch (method.md 10). */
export interface BaselineOptions extends StageSchedule {
  /** 'adamw' leaves momentum and nesterov unread. */
  readonly optimiser: OptimiserName;
  /** Weight of the unsupervised term U once the ramp is over. */
  readonly weight: number;
  /** Share of the steps over which the weight rises: w(t) = weight exp(-5 (1 - t / (ramp steps))^2); 0 for full weight at once. */
  readonly ramp: number;
}

/** Mean Teacher (Tarvainen and Valpola 2017): U = mean (p_S - p_T)^2 over voxels and classes. */
export interface MeanTeacherOptions extends BaselineOptions {
  /** Highest EMA decay; at step t it is min(1 - 1 / (t + 1), m), so that the first step copies the student. */
  readonly m: number;
}

/**
 * Uncertainty-aware Mean Teacher (Yu et al. 2019): U = sum m (p_S - p_T)^2 / (2 sum m) over voxels whose mean teacher
 * prediction over several noisy passes has an entropy below a threshold.
 */
export interface UaMtOptions extends MeanTeacherOptions {
  /** T: teacher passes that the entropy is estimated from; one more gives p_T. */
  readonly passes: number;
  /** Standard deviation of the noise on the teacher's inputs, images having one of about 1. */
  readonly noise: number;
  /** Largest magnitude of that noise. */
  readonly noiseLimit: number;
  /** Threshold at first, as a share of the largest possible entropy; it rises to all of it over the run. */
  readonly threshold: number;
}

/**
 * Cross pseudo supervision (Chen et al. 2021): U = CE(z1, argmax z2) + CE(z2, argmax z1), two networks that differ in their
 * first weights; no confidence threshold.
 */
export type CpsOptions = BaselineOptions;

/** The schedule of the PyTorch runs that ours are compared with, and what every baseline has by default. */
export const baselineDefaults: BaselineOptions = {
  ...{ optimiser: 'sgd', steps: 600, rate: 0.3, power: 0.9, warmUp: 20, momentum: 0.9, nesterov: false },
  ...{ weightDecay: 1e-4, clip: 5, weight: 1, ramp: 0.4 },
};

export const meanTeacherDefaults: MeanTeacherOptions = { ...baselineDefaults, m: 0.99 };

/** T, noise and threshold as published. */
export const uaMtDefaults: UaMtOptions = {
  ...meanTeacherDefaults,
  ...{ passes: 8, noise: 0.1, noiseLimit: 0.2, threshold: 0.75 },
};

export const cpsDefaults: CpsOptions = baselineDefaults;
