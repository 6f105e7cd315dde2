/** 2^-24: half the distance between 1 and the next float32. */
const EPS = 2 ** -24;

export type Tolerance = {
  /** Accepted whatever the values' size. Default 1e-6. */
  absolute?: number;
  /** Multiplies terms * 2^-24 * the largest expected magnitude. Default 1. */
  relative?: number;
  /** How many float32 roundings one result gathers: the length of its longest sum. Default 16. */
  terms?: number;
};

export type Comparison = { error: number; tolerance: number; at: number; ok: boolean };

type Values = { shape: readonly number[]; data: ArrayLike<number> };

/**
 * The largest |actual - expected| and where it is. One tolerance holds for all elements: absolute + relative * terms * 2^-24 *
 * max |expected|, since a sum that cancels is no more exact than its terms. NaN anywhere in `actual` is an infinite error.
 */
export function maxError(actual: ArrayLike<number>, expected: Values, tolerance: Tolerance = {}): Comparison {
  const { absolute = 1e-6, relative = 1, terms = 16 } = tolerance;
  if (actual.length !== expected.data.length)
    throw new Error(`${actual.length} values, expected ${expected.data.length} of [${expected.shape}]`);
  let scale = 0;
  let worst = { error: 0, at: 0 };
  for (let i = 0; i < actual.length; i++) {
    scale = Math.max(scale, Math.abs(expected.data[i]));
    const difference = Math.abs(actual[i] - expected.data[i]);
    const error = Number.isNaN(difference) ? Infinity : difference;
    if (error > worst.error) worst = { error, at: i };
  }
  const limit = absolute + relative * terms * EPS * scale;
  return { ...worst, tolerance: limit, ok: worst.error <= limit };
}

/** Flat index to one index an axis, e.g. [n,z,y,x,c]. */
export function unravel(index: number, shape: readonly number[]): number[] {
  const position = new Array<number>(shape.length);
  for (let a = shape.length - 1, rest = index; a >= 0; a--) {
    position[a] = rest % shape[a];
    rest = Math.floor(rest / shape[a]);
  }
  return position;
}

/** Throws unless every value is within tolerance; the message shows the first mismatch and its neighbours along each axis. */
export function assertClose(
  name: string,
  actual: ArrayLike<number>,
  expected: Values,
  tolerance: Tolerance = {},
): Comparison {
  const worst = maxError(actual, expected, tolerance);
  if (worst.ok) return worst;
  let first = -1;
  let wrong = 0;
  for (let i = 0; i < actual.length; i++) {
    if (Math.abs(actual[i] - expected.data[i]) <= worst.tolerance) continue;
    if (first < 0) first = i;
    wrong++;
  }
  const line = (i: number) => {
    const gap = Math.abs(actual[i] - expected.data[i]);
    const mark = gap <= worst.tolerance ? ' ' : '*';
    return `  ${mark} [${unravel(i, expected.shape)}]  actual ${actual[i]}  expected ${expected.data[i]}  difference ${gap}`;
  };
  throw new Error(
    [
      `${name} [${expected.shape}]: ${wrong} of ${actual.length} values differ by more than ${worst.tolerance}; ` +
        `largest difference ${worst.error} at [${unravel(worst.at, expected.shape)}]; first mismatch and its neighbours:`,
      ...neighbours(first, expected.shape).map(line),
    ].join('\n'),
  );
}

/** The index itself and those one step away along each axis, in storage order. */
function neighbours(index: number, shape: readonly number[]): number[] {
  const position = unravel(index, shape);
  const found = [index];
  for (let a = shape.length - 1, stride = 1; a >= 0; stride *= shape[a--]) {
    if (position[a] > 0) found.push(index - stride);
    if (position[a] < shape[a] - 1) found.push(index + stride);
  }
  return found.sort((p, q) => p - q);
}
