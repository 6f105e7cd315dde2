/** The input channels of a kernel that loops over them four at a time, in `cin4` turns `ci`. */
export interface InputVec4s {
  /** Channels in the last vec4 when they are no multiple of four, else 0. */
  readonly tail: number;
  /** There are four channels or more: a vec4 beside the tail. */
  readonly full: boolean;
}

export const inputVec4s = (channels: number): InputVec4s => ({ tail: channels % 4, full: channels >= 4 });

/**
 * What is done with each vec4, at the end of a loop in it or of that loop itself (`continue` ends the turn), out of the code for a number
 * of channels: what cannot come about is not there to be compiled.
 */
export function eachInputVec4({ tail, full }: InputVec4s, body: (channels: number) => string): string {
  if (tail === 0) return body(4);
  if (!full) return body(tail);
  return `if (ci + 1u == cin4) {
    ${body(tail)}
    continue;
  }
  ${body(4)}`;
}
