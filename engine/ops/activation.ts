import { type Activation, activationGradKernel, activationKernel } from '../../shaders/activation.wgsl.ts';
import type { Recording } from '../recording.ts';
import { type Tensor, vec4s } from '../tensor.ts';

/** y = x where x > 0, slope x elsewhere; dx = dy scaled the same way. torch.nn.functional.leaky_relu. Any channel tensor. */
export function leakyRelu(rec: Recording, x: Tensor, slope = 0.01): Tensor {
  return activation(rec, x, 'leaky_relu', slope);
}

/** y = max(x, 0). torch.nn.functional.relu. */
export function relu(rec: Recording, x: Tensor): Tensor {
  return activation(rec, x, 'leaky_relu', 0);
}

/** y = x Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016). torch.nn.functional.gelu, to 2e-7. */
export function gelu(rec: Recording, x: Tensor): Tensor {
  return activation(rec, x, 'gelu', 0);
}

function activation(rec: Recording, x: Tensor, kind: Activation, slope: number): Tensor {
  const count = vec4s(x);
  const y = rec.like(x, kind);
  rec.dispatch(activationKernel(kind), { x, y }, { count, slope }, count);
  return rec.node(kind, [x], y, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) rec.dispatch(activationGradKernel(kind), { x, dy, dx }, { count, slope }, count);
  });
}
