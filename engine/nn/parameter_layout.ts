import { product, roundUp } from '../shape.ts';
import { pitchOf } from '../tensor.ts';
import type { Init } from './init.ts';

/** A parameter as a network declares it: convolutions [kd, kh, kw, Cin, Cout], linear [in, out], norm and bias [C]. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly init: Init;
  /** Not learned but kept with the parameters (running statistics of batch norm): no gradient, no update, no EMA. */
  readonly buffer?: boolean;
}

/** Where every parameter lies; known before anything is allocated. */
export interface ParameterLayout {
  /** Bytes from the start of the flat values (of the flat buffers for a buffer), multiples of 256, in declaration order. */
  readonly offsets: readonly number[];
  /** Flat values; gradients and momenta take the same each. */
  readonly bytes: number;
  /** Weights (two axes or more) lie first, norm and bias vectors behind them: bytes of the first part. */
  readonly weightBytes: number;
  readonly bufferBytes: number;
}

const ALIGNMENT = 256;

/** Lays parameters out one behind the other, last axis padded to a multiple of 4, starts aligned to 256 bytes. */
export function layOut(specs: readonly Pick<ParameterSpec, 'shape' | 'buffer'>[]): ParameterLayout {
  const offsets = new Array<number>(specs.length);
  const place = (start: number, wanted: (spec: Pick<ParameterSpec, 'shape' | 'buffer'>) => boolean) => {
    let bytes = start;
    specs.forEach((spec, i) => {
      if (!wanted(spec)) return;
      offsets[i] = bytes;
      bytes += roundUp(product(spec.shape.slice(0, -1)) * pitchOf(spec.shape, false) * 4, ALIGNMENT);
    });
    return bytes;
  };
  const weightBytes = place(0, ({ shape, buffer }) => !buffer && shape.length > 1);
  const bytes = place(weightBytes, ({ shape, buffer }) => !buffer && shape.length <= 1);
  const bufferBytes = place(0, ({ buffer }) => buffer === true);
  return { offsets, bytes, weightBytes, bufferBytes };
}
