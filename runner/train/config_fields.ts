/** What the sections of a configuration are made of. */
import * as v from 'valibot';

export const count = v.pipe(v.number(), v.integer(), v.minValue(1));
export const natural = v.pipe(v.number(), v.integer(), v.minValue(0));
export const positive = v.pipe(v.number(), v.gtValue(0));
export const fraction = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
export const nonNegative = v.pipe(v.number(), v.minValue(0));
/** [z, y, x] */
export const triple = v.tuple([count, count, count]);
/** One number for all axes, or [z, y, x]. */
export const countOrTriple = v.union([count, triple]);
