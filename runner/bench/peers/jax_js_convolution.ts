/** Convolutions of jax-js on [N, C, D, H, W], padded by half the kernel; weights [out, in, z, y, x]. */
import type { Jax, Value } from './jax_js_library.ts';

const ONES = [1, 1, 1];

export type Convolution = (jax: Jax, x: Value, w: Value) => Value;

export function same({ lax }: Jax, x: Value, w: Value): Value {
  return lax.convGeneralDilated(x, w, ONES, 'SAME');
}

/** Beyond so many voxels a sample, 0.1.25 gives wrong gradients of weights, on every adapter that was tried. */
const MOST_VOXELS = 32768;

export const SLABS = `convolutions of more than ${MOST_VOXELS} voxels in slabs along z: the gradient of their weights is wrong otherwise`;

/** How many equal slabs along z have no more than MOST_VOXELS voxels each. */
export function slabsOf([depth, height, width]: readonly number[]): number {
  let slabs = 1;
  while (slabs < depth && (depth % slabs !== 0 || (depth / slabs) * height * width > MOST_VOXELS)) slabs++;
  return slabs;
}

/** The same convolution with slabs that overlap by the kernel, for gradients. */
export function inSlabs(jax: Jax, x: Value, w: Value): Value {
  const { numpy: np, lax } = jax;
  const slabs = slabsOf(x.shape.slice(2));
  if (slabs === 1) return same(jax, x, w);
  const depth = x.shape[2] / slabs;
  const [z, y, side] = w.shape.slice(2).map((extent) => extent >> 1);
  const none = [0, 0];
  const padded = z > 0 ? np.pad(x, [none, none, [z, z], none, none]) : x;
  const parts = Array.from({ length: slabs }, (_, i) =>
    lax.convGeneralDilated(
      (i < slabs - 1 ? padded.ref : padded).slice([], [], [i * depth, (i + 1) * depth + 2 * z]),
      i < slabs - 1 ? w.ref : w,
      ONES,
      [none, [y, y], [side, side]],
    ),
  );
  return np.concatenate(parts, 2);
}

/** Transposed convolution, kernel and stride 2, as a 1x1x1 convolution to eight times the channels that are then spread. */
export function upsampled(jax: Jax, x: Value, weight: Value, convolved: Convolution): Value {
  const [n, , d, h, w] = x.shape;
  const cout = weight.shape[0] / 8;
  const apart = convolved(jax, x, weight).reshape([n, cout, 2, 2, 2, d, h, w]);
  return jax.numpy.transpose(apart, [0, 1, 5, 2, 6, 3, 7, 4]).reshape([n, cout, 2 * d, 2 * h, 2 * w]);
}
