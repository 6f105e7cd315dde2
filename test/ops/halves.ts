import type { MatrixUnit } from '../../engine/matrix_unit.ts';
import { type Dense, random } from '../reference/dense.ts';

/** Multiples of 1/64 below 1, which float16 and bfloat16 hold: a kernel that rounds its factors rounds none of these. */
export function halves(shape: number[], seed: number): Dense {
  const values = random(shape, seed);
  return { ...values, data: values.data.map((value) => Math.round(value * 63) / 64) };
}

/** Says where nothing is computed, and why. */
export function saySkipped(what: string): void {
  console.log(
    `${what} was not computed: this adapter offers no matrix units (of software adapters, lavapipe of Mesa 26 does)`,
  );
}

/**
 * The ways to test on this adapter: all, or on software adapters, which compile a product of matrices for some seconds, ones of
 * the same making but with few products in a loop.
 */
export const testable = <T>(unit: MatrixUnit, all: readonly T[], small: readonly T[]): readonly T[] =>
  unit.subgroup < 32 ? small : all;
