import { type Dense, dense, random } from './dense.ts';

/**
 * The numerical gradient of <f(x), direction>, element by element: (L(x + h) - L(x - h)) / 2h. `f` may return a number,
 * then the direction is 1.
 */
export function centralDifference(f: (x: Dense) => Dense | number, x: Dense, direction?: Dense, h = 1e-5): Dense {
  const along = (value: Dense | number): number => {
    if (typeof value === 'number') return value;
    return value.data.reduce((sum, v, i) => sum + v * direction!.data[i], 0);
  };
  const gradient = dense(x.shape, x.data);
  for (let i = 0; i < x.data.length; i++) {
    const kept = x.data[i];
    x.data[i] = kept + h;
    const above = along(f(x));
    x.data[i] = kept - h;
    const below = along(f(x));
    x.data[i] = kept;
    gradient.data[i] = (above - below) / (2 * h);
  }
  return gradient;
}

/** A random output gradient for f(x), never all ones. */
export const outputGradient = (y: Dense, seed = 99): Dense => random(y.shape, seed);
