import { tree } from './tree.ts';
import { wgsl } from './wgsl.ts';

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

/** Of `mine`, Moments (shared/moments.ts) of disjoint values. */
export const momentsTree = (lanes: number): LaneTree => {
  const keep = wgsl`
      lane_means[lane] = mine.mean;
      lane_m2s[lane] = mine.m2;
      lane_counts[lane] = mine.count;`;
  const mergeLane = wgsl`
      let other = lane + stride;
      mine = merge(mine, Moments(lane_means[other], lane_m2s[other], lane_counts[other]));
      ${keep}`;
  return {
    memory: wgsl`
var<workgroup> lane_means: array<vec4f, ${lanes}>;
var<workgroup> lane_m2s: array<vec4f, ${lanes}>;
var<workgroup> lane_counts: array<f32, ${lanes}>;`,
    merge: (last) => keep + tree(lanes, mergeLane, last),
  };
};

/** Of `lowest` and `highest`, vec4f each: the smallest and the largest. */
export const rangeTree = (lanes: number): LaneTree => {
  const keep = wgsl`
      lane_lowest[lane] = lowest;
      lane_highest[lane] = highest;`;
  const widen = wgsl`
      lowest = min(lowest, lane_lowest[lane + stride]);
      highest = max(highest, lane_highest[lane + stride]);
      ${keep}`;
  return {
    memory: wgsl`
var<workgroup> lane_lowest: array<vec4f, ${lanes}>;
var<workgroup> lane_highest: array<vec4f, ${lanes}>;`,
    merge: (last) => keep + tree(lanes, widen, last),
  };
};

/** Of `sum` and `dot`, vec4f each, added up. */
export const sumsTree = (lanes: number): LaneTree => {
  const keep = wgsl`
      lane_sums[lane] = sum;
      lane_dots[lane] = dot;`;
  const addLane = wgsl`
      sum += lane_sums[lane + stride];
      dot += lane_dots[lane + stride];
      ${keep}`;
  return {
    memory: wgsl`
var<workgroup> lane_sums: array<vec4f, ${lanes}>;
var<workgroup> lane_dots: array<vec4f, ${lanes}>;`,
    merge: (last) => keep + tree(lanes, addLane, last),
  };
};
