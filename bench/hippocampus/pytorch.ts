/**
 * What PyTorch 1.13 reaches with the recipe `reference` on the same 40 test cases: means of anterior and posterior, distances
 * in mm, one CPU thread. Source: a PyTorch implementation of engine/action/method.md that was run on these volumes before this engine
 * existed and is not in the repository; its seeds and schedules stand below.
 */
import type { Run } from './scores.ts';

/** GFLOP and CPU seconds of a whole run: what a step takes, times the steps. */
const COST = {
  supervised: { gflop: 600 * 8.0, cpuSeconds: 600 * 0.21 },
  'mean-teacher': { gflop: 600 * 18.6, cpuSeconds: 600 * 0.47 },
  action: { gflop: 100 * 6.6 + 250 * 21.3 + 350 * 18.6, cpuSeconds: 100 * 0.19 + 600 * 0.52 },
  'fully-supervised': { gflop: 600 * 8.0, cpuSeconds: 600 * 0.21 },
} as const;

type Row = readonly [method: keyof typeof COST, labelled: number, seed: number, ...scores: number[]];

/** Dice, Jaccard, HD95, ASD, ASSD. */
const ROWS: readonly Row[] = [
  ['supervised', 1, 0, 0.7785, 0.643, 4.24, 1.27, 1.1],
  ['supervised', 1, 1, 0.7713, 0.633, 4.8, 1.43, 1.209],
  ['mean-teacher', 1, 0, 0.7233, 0.577, 5.91, 1.73, 1.412],
  ['action', 1, 0, 0.7975, 0.666, 2.6, 0.8, 0.84],
  ['action', 1, 1, 0.8074, 0.679, 2.4, 0.77, 0.802],
  // biome-ignore lint/suspicious/noApproximativeNumericConstant: a measured Jaccard index
  ['supervised', 2, 0, 0.8259, 0.707, 2.19, 0.75, 0.728],
  ['supervised', 2, 1, 0.8238, 0.704, 2.35, 0.75, 0.742],
  ['action', 2, 0, 0.8425, 0.731, 1.79, 0.6, 0.613],
  ['action', 2, 1, 0.8125, 0.688, 2.34, 0.68, 0.74],
  ['supervised', 4, 0, 0.8459, 0.735, 1.94, 0.63, 0.635],
  ['supervised', 4, 1, 0.8428, 0.73, 1.76, 0.65, 0.639],
  ['mean-teacher', 4, 0, 0.8476, 0.738, 1.99, 0.7, 0.657],
  ['mean-teacher', 4, 1, 0.8439, 0.732, 1.74, 0.63, 0.63],
  ['action', 4, 0, 0.8583, 0.754, 1.54, 0.55, 0.557],
  ['action', 4, 1, 0.8553, 0.749, 1.63, 0.54, 0.563],
  ['fully-supervised', 160, 0, 0.8732, 0.776, 1.32, 0.48, 0.5],
];

export const PYTORCH: readonly Run[] = ROWS.map(([method, labelled, seed, Dice, IoU, HD95, ASD, ASSD]) => ({
  ...{ method, labelled, seed, ...COST[method], wallSeconds: null },
  scores: { Dice, IoU, HD95, ASD, ASSD },
}));
