export type AdamWOptions = { rate: number; beta1?: number; beta2?: number; epsilon?: number; weightDecay?: number };

/**
 * Step `step` (1, 2, ...) of torch.optim.AdamW, in place; `first` and `second` start at 0:  w -= rate weightDecay w;
 * m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  w -= rate (m / (1 - b1^step)) / (sqrt(v / (1 - b2^step)) + epsilon).
 */
export function adamw(
  weights: Float64Array,
  first: Float64Array,
  second: Float64Array,
  grad: Float64Array,
  step: number,
  { rate, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01 }: AdamWOptions,
): void {
  for (let i = 0; i < weights.length; i++) {
    first[i] = beta1 * first[i] + (1 - beta1) * grad[i];
    second[i] = beta2 * second[i] + (1 - beta2) * grad[i] ** 2;
    const m = first[i] / (1 - beta1 ** step);
    const v = second[i] / (1 - beta2 ** step);
    weights[i] += -rate * weightDecay * weights[i] - (rate * m) / (Math.sqrt(v) + epsilon);
  }
}
