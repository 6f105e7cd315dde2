/**
 * Scales all gradients in place by min(1, maxNorm / (norm + 1e-6)), norm the Euclidean norm over all of them together, and returns
 * that norm. torch.nn.utils.clip_grad_norm_.
 */
export function clipByGlobalNorm(grads: readonly Float64Array[], maxNorm: number): number {
  let squares = 0;
  for (const grad of grads) for (const g of grad) squares += g * g;
  const norm = Math.sqrt(squares);
  const factor = Math.min(1, maxNorm / (norm + 1e-6));
  for (const grad of grads) for (let i = 0; i < grad.length; i++) grad[i] *= factor;
  return norm;
}
