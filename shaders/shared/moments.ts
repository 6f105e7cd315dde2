import { chunkMerge } from './chunks.ts';
import { wgsl } from './wgsl.ts';

/** `Moments` of some values of four channels, and `merge` of two disjoint parts (Chan, Golub and LeVeque 1983). */
export const momentsType = wgsl`
struct Moments { mean: vec4f, m2: vec4f, count: f32 }
fn merge(a: Moments, b: Moments) -> Moments {
  let count = a.count + b.count;
  let share = b.count / max(count, 1.0);
  let d = b.mean - a.mean;
  return Moments(a.mean + d * share, a.m2 + b.m2 + d * d * (a.count * share), count);
}
`;

/**
 * chunkMerge of rows mean, M2 and count, and with `range` smallest and largest, by the pairwise formula of Chan et al. in its shifted
 * form: M2 = sum M2_i + sum n_i d_i^2 - (sum n_i d_i)^2 / n with d_i = mean_i - mean_first.
 */
export const momentsChunkMerge = ({ range = false } = {}): string =>
  chunkMerge(
    range ? 5 : 3,
    wgsl`
  let shift = x[first];
  var total = vec4f(0.0);
  var sum = vec4f(0.0);
  var m2 = vec4f(0.0);
#if ${range}
  var lowest = vec4f(3e38);
  var highest = vec4f(-3e38);
#endif`,
    wgsl`
    let count = x[source + 2u * p.pitch];
    let d = x[source] - shift;
    total += count;
    sum += count * d;
    m2 += x[source + p.pitch] + count * d * d;
#if ${range}
    lowest = min(lowest, x[source + 3u * p.pitch]);
    highest = max(highest, x[source + 4u * p.pitch]);
#endif`,
    wgsl`
  let mean = sum / max(total, vec4f(1.0));
  y[to] = shift + mean;
  y[to + p.pitch] = max(m2 - sum * mean, vec4f(0.0));
  y[to + 2u * p.pitch] = total;
#if ${range}
  y[to + 3u * p.pitch] = lowest;
  y[to + 4u * p.pitch] = highest;
#endif`,
  );

/** Which moments the invocations of a workgroup have: each of its own values in some of the columns, vec4 of channels. */
export interface WorkgroupMoments {
  /** Invocations. */
  readonly size: number;
  readonly columns: number;
  /** Invocations that have values of one and the same column. */
  readonly slots: number;
  /** A workgroup array of momentsLength vec4f or more, free for use. */
  readonly memory: string;
}

/** Invocations that merge one column, in two steps of about as many terms. */
const PARTS = 8;

const parts = ({ slots }: Pick<WorkgroupMoments, 'slots'>) => Math.min(PARTS, slots);

export const momentsLength = ({ columns, slots }: Omit<WorkgroupMoments, 'memory'>): number => 2 * columns * slots;

/** Bytes of workgroup memory beside that array. */
export const momentsBytes = (w: Pick<WorkgroupMoments, 'slots'>): number => 4 * (w.slots + parts(w));

/** What momentsStore and momentsMerge want declared. */
export const momentsMemory = (w: WorkgroupMoments): string => wgsl`
${momentsType}
var<workgroup> slot_counts: array<f32, ${w.slots}>;
var<workgroup> part_counts: array<f32, ${parts(w)}>;
`;

/** Keeps an invocation's moments of a column. The count of a slot, the same in all columns, goes to slot_counts[slot]. */
export const momentsStore = ({ slots, memory }: WorkgroupMoments, column: string, slot: string, value: string) => wgsl`
  ${memory}[(${column}) * ${2 * slots}u + ${slot}] = ${value}.mean;
  ${memory}[(${column}) * ${2 * slots}u + ${slots}u + ${slot}] = ${value}.m2;`;

/** Writes `all`, moments of channel vec4 `channel` of box i / p.groups, to `moments`. */
export const momentsWrite = (channel: string): string => wgsl`
    let to = (i / p.groups) * 3u * p.cout4 + ${channel};
    moments[to] = all.mean;
    moments[to + p.cout4] = all.m2;
    moments[to + 2u * p.cout4] = vec4f(all.count);`;

/** After every invocation has stored its own: `store` runs once for each `column`, with its moments in `all`. Wants `local`. */
export const momentsMerge = (w: WorkgroupMoments, store: string): string => {
  const { size, columns, slots, memory } = w;
  const at = `column * ${2 * slots}u`;
  const part = (slot: string, count: string) =>
    `Moments(${memory}[${at} + ${slot}], ${memory}[${at} + ${slots}u + ${slot}], ${count})`;
  return wgsl`
  workgroupBarrier();
  for (var j = local; j < ${columns * parts(w)}u; j += ${size}u) {
    let column = j / ${parts(w)}u;
    let first = j % ${parts(w)}u;
    var all = ${part('first', 'slot_counts[first]')};
    for (var slot = first + ${parts(w)}u; slot < ${slots}u; slot += ${parts(w)}u) {
      all = merge(all, ${part('slot', 'slot_counts[slot]')});
    }
    ${memory}[${at} + first] = all.mean;
    ${memory}[${at} + ${slots}u + first] = all.m2;
    if (column == 0u) { part_counts[first] = all.count; }
  }
  workgroupBarrier();
  for (var column = local; column < ${columns}u; column += ${size}u) {
    var all = ${part('0u', 'part_counts[0]')};
    for (var slot = 1u; slot < ${parts(w)}u; slot++) {
      all = merge(all, ${part('slot', 'part_counts[slot]')});
    }
    ${store}
  }`;
};
