import type { Device } from './device.ts';
import type { Recording } from './recording.ts';

/**
 * One way to compute an op: which kernel, with which tiles. All ways of an op agree within rounding, so that a device may
 * take the fastest; tests and benchmarks loop over them.
 */
export interface Way<Problem> {
  /** Unique among the ways of its op, as tuning files have it: 'direct x4 c2'. */
  readonly name: string;
  /**
   * Reads an input through a norm that waits (Recording.deferred) and leaves moments for the next, so that norms take no commands
   * of their own: what is saved that way stands in no timing of the op alone.
   */
  readonly fuses?: boolean;
  /** Whether the kernel can compute this problem here, and does so without gross waste. */
  serves(device: Device, problem: Problem): boolean;
  record(rec: Recording, problem: Problem): void;
}

/**
 * The name of the way for one problem of an op, or undefined for the usual one. `key` stands for all problems that share
 * their fastest way; a name that does not serve a problem is passed over.
 */
export type ChooseWay = (op: string, key: string, problem: unknown) => string | undefined;

/** An op that can be computed in several ways. */
export interface Choice<Problem> {
  readonly op: string;
  /** All ways. */
  readonly ways: readonly Way<Problem>[];
  key(problem: Problem): string;
  /** The ways to take without tuning, the best first; one of them serves every problem. */
  usual(device: Device, problem: Problem): readonly Way<Problem>[];
}

/** The way that the device was told to take, else the usual one. */
export function wayFor<Problem>(device: Device, choice: Choice<Problem>, problem: Problem): Way<Problem> {
  const serves = (way: Way<Problem>) => way.serves(device, problem);
  const chosen = device.choose(choice.op, choice.key(problem), problem);
  const way = choice.ways.find(({ name }) => name === chosen);
  return (way && serves(way) ? way : undefined) ?? (choice.usual(device, problem).find(serves) as Way<Problem>);
}

/** Appends a problem's commands by the way that the device takes. */
export function recordProblem<Problem>(rec: Recording, choice: Choice<Problem>, problem: Problem): void {
  wayFor(rec.device, choice, problem).record(rec, problem);
}
