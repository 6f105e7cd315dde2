export type SgdOptions = { rate: number; momentum?: number; weightDecay?: number; nesterov?: boolean };

/**
 * One step of torch.optim.SGD, in place, dampening 0:  g = grad + weightDecay w;  v = momentum v + g (v starts at 0);
 * w -= rate (nesterov ? g + momentum v : v).
 */
export function sgd(
  weights: Float64Array,
  velocity: Float64Array,
  grad: Float64Array,
  { rate, momentum = 0, weightDecay = 0, nesterov = false }: SgdOptions,
): void {
  for (let i = 0; i < weights.length; i++) {
    const g = grad[i] + weightDecay * weights[i];
    velocity[i] = momentum * velocity[i] + g;
    weights[i] -= rate * (nesterov ? g + momentum * velocity[i] : velocity[i]);
  }
}
