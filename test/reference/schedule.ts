/** Learning rate of step 0, 1, ... steps - 1: rate (1 - step / steps)^power, times (step + 1) / warmUp during the first warmUp steps. */
export const poly = (step: number, steps: number, rate: number, power = 0.9, warmUp = 0): number =>
  rate * (1 - step / steps) ** power * (warmUp > 0 ? Math.min(1, (step + 1) / warmUp) : 1);

/** exp(-5 (1 - min(1, step / length))^2): from 0.0067 at step 0 to 1 at `length` and after (Laine & Aila 2017; Mean Teacher). */
export const sigmoidRamp = (step: number, length: number): number =>
  length > 0 ? Math.exp(-5 * (1 - Math.min(1, step / length)) ** 2) : 1;
