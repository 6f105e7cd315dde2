import { type Dense, zeros } from './dense.ts';

/**
 * erf to float64 precision: 2 / sqrt(pi) exp(-x^2) sum over n of 2^n x^(2n+1) / (2n+1)!!, whose terms all have one sign
 * (Abramowitz & Stegun 7.1.6); 1 to the last bit beyond 6.
 */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const INNER = Math.sqrt(2 / Math.PI);
const CUBIC = 0.044715;

/** y = x Phi(x), Phi the normal distribution. torch.nn.functional.gelu(x). */
export function gelu(x: Dense): Dense {
  const y = zeros(x.shape);
  for (let i = 0; i < x.data.length; i++) y.data[i] = x.data[i] * 0.5 * (1 + erf(x.data[i] * Math.SQRT1_2));
  return y;
}

/** dx = dy (Phi(x) + x phi(x)), phi the normal density. */
export function geluGrad(x: Dense, dy: Dense): Dense {
  const dx = zeros(x.shape);
  for (let i = 0; i < x.data.length; i++) {
    const v = x.data[i];
    const density = Math.exp(-0.5 * v * v) / Math.sqrt(2 * Math.PI);
    dx.data[i] = dy.data[i] * (0.5 * (1 + erf(v * Math.SQRT1_2)) + v * density);
  }
  return dx;
}

/** y = x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). torch.nn.functional.gelu(x, approximate='tanh'). */
export function geluTanh(x: Dense): Dense {
  const y = zeros(x.shape);
  for (let i = 0; i < x.data.length; i++) {
    const v = x.data[i];
    y.data[i] = 0.5 * v * (1 + Math.tanh(INNER * (v + CUBIC * v ** 3)));
  }
  return y;
}

/** With t the tanh above: dx = dy ((1 + t) / 2 + x / 2 (1 - t^2) sqrt(2 / pi) (1 + 3 * 0.044715 x^2)). */
export function geluTanhGrad(x: Dense, dy: Dense): Dense {
  const dx = zeros(x.shape);
  for (let i = 0; i < x.data.length; i++) {
    const v = x.data[i];
    const t = Math.tanh(INNER * (v + CUBIC * v ** 3));
    dx.data[i] = dy.data[i] * (0.5 * (1 + t) + 0.5 * v * (1 - t * t) * INNER * (1 + 3 * CUBIC * v * v));
  }
  return dx;
}
