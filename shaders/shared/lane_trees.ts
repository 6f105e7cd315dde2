import { tree } from './tree.ts';

/**
 * What the lanes of a workgroup hold, put together pairwise through workgroup memory (shared/tree.ts). In WGSL `lane` is the
 * invocation; afterwards lane l < `last` holds what the lanes l, l + last, l + 2 last, ... held.
 */
export interface LaneTree {
  /** To be declared in front of the entry point. */
  readonly memory: string;
  /** Statements: stores what every lane holds, then merges. */
  readonly merge: (last?: string) => string;
}

/** Values of a lane: in WGSL, the array of workgroup memory that keeps them, and their type. */
type Held = readonly [value: string, array: string, type: 'vec4f' | 'f32'];

/** `combine`: statements that add to a lane's values those that are kept at `lane + stride`. */
function laneTree(lanes: number, held: readonly Held[], combine: string): LaneTree {
  const keep = held.map(([value, array]) => `${array}[lane] = ${value};`).join('\n');
  return {
    memory: held.map(([, array, type]) => `var<workgroup> ${array}: array<${type}, ${lanes}>;`).join('\n'),
    merge: (last) => keep + tree(lanes, `${combine}\n${keep}`, last),
  };
}

/** Of `mine`, Moments (shared/moments.ts) of disjoint values. */
export const momentsTree = (lanes: number): LaneTree =>
  laneTree(
    lanes,
    [
      ['mine.mean', 'lane_means', 'vec4f'],
      ['mine.m2', 'lane_m2s', 'vec4f'],
      ['mine.count', 'lane_counts', 'f32'],
    ],
    'let other = lane + stride; mine = merge(mine, Moments(lane_means[other], lane_m2s[other], lane_counts[other]));',
  );

/** Of `lowest` and `highest`, vec4f each: the smallest and the largest. */
export const rangeTree = (lanes: number): LaneTree =>
  laneTree(
    lanes,
    [
      ['lowest', 'lane_lowest', 'vec4f'],
      ['highest', 'lane_highest', 'vec4f'],
    ],
    'lowest = min(lowest, lane_lowest[lane + stride]); highest = max(highest, lane_highest[lane + stride]);',
  );

/** Of `sum`, vec4f, added up. */
export const sumTree = (lanes: number): LaneTree =>
  laneTree(lanes, [['sum', 'lane_sums', 'vec4f']], 'sum += lane_sums[lane + stride];');

/** Of `sum` and `dot`, vec4f each, added up. */
export const sumsTree = (lanes: number): LaneTree =>
  laneTree(
    lanes,
    [
      ['sum', 'lane_sums', 'vec4f'],
      ['dot', 'lane_dots', 'vec4f'],
    ],
    'sum += lane_sums[lane + stride]; dot += lane_dots[lane + stride];',
  );
