import { ceilDiv } from '../../engine/shape.ts';
import { repeat, wgsl } from './wgsl.ts';

/** Invocations that copy between them, each taking every `stride`th element from `lane` on. */
export interface Copying {
  readonly count: number;
  readonly stride: number;
  readonly lane: string;
  /** Loads that an invocation has under way before it waits for the first; default 4. */
  readonly atOnce?: number;
}

/**
 * Copies elements `j` of a box, several at a time: first `load` of each, then `store` of each. Both are given what ends the names of
 * the element's variables, beginning with `j` itself. `load` is run for elements behind the last one too, and has to stay inside
 * what it reads. The number of turns is constant: to a loop of any other Tint adds a count of 64 bits, against endless ones, and
 * where indices have known bounds it leaves out the clamping of those into workgroup memory.
 */
export function copyElements(
  { count, stride, lane, atOnce = 4 }: Copying,
  load: (name: number) => string,
  store: (name: number) => string,
): string {
  const each = ceilDiv(count, stride);
  const turns = ceilDiv(each, atOnce);
  const some = ceilDiv(each, turns);
  const partly = (name: number) => (turns - 1) * some + name >= Math.floor(count / stride);
  const body = wgsl`
      ${repeat(
        some,
        (
          name,
        ) => `let j${name} = ${turns > 1 ? `(turn * ${some}u + ${name}u) * ${stride}u` : `${name * stride}u`} + ${lane};
      ${load(name)}`,
      )}
      ${repeat(some, (name) => (partly(name) ? `if (j${name} < ${count}u) { ${store(name)} }` : store(name)))}`;
  return turns > 1 ? `for (var turn = 0u; turn < ${turns}u; turn++) {${body}\n    }` : `{${body}\n    }`;
}
