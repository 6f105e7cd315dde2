/** What a temperature may be: similarities, from -1 to 1, are divided by it in float32. */
export const isTemperature = (tau: number): boolean =>
  tau > 0 && [tau, 1 / tau].every((n) => Number.isFinite(Math.fround(n)));

export const TEMPERATURE = 'above 0, and its inverse finite in float32 (similarities are divided by it)';
