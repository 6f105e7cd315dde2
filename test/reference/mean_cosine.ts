import type { Dense } from './dense.ts';

/** Mean over locations and ordered pairs of different samples of x[a, n] . x[b, n], x [B, N, D] of unit vectors; 0 for one sample. */
export function meanCosine({ shape: [samples, locations, length], data }: Dense): number {
  let sum = 0;
  for (let a = 0; a < samples; a++)
    for (let b = 0; b < samples; b++)
      for (let i = 0; i < locations * length && a !== b; i++)
        sum += data[a * locations * length + i] * data[b * locations * length + i];
  return samples > 1 ? sum / (samples * (samples - 1) * locations) : 0;
}
