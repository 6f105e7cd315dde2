/** Axes in another order, for libraries that want channels first. */
import { product } from '../../../engine/shape.ts';
import type { HostArray, NetworkWork } from './protocol.ts';

/** Axis i of the result is axis order[i] of `shape`, as numpy.transpose has it. */
export function permuted({ shape, data }: HostArray, order: readonly number[]): HostArray {
  const strides = shape.map((_, axis) => product(shape.slice(axis + 1)));
  const to = order.map((axis) => shape[axis]);
  const steps = order.map((axis) => strides[axis]);
  const out = new Float32Array(data.length);
  const at = to.map(() => 0);
  for (let i = 0, from = 0; i < out.length; i++) {
    out[i] = data[from];
    for (let axis = to.length - 1; axis >= 0; axis--) {
      from += steps[axis];
      if (++at[axis] < to[axis]) break;
      from -= steps[axis] * to[axis];
      at[axis] = 0;
    }
  }
  return { shape: to, data: out };
}

/** The order that undoes another one. */
export function inverse(order: readonly number[]): number[] {
  return order.map((_, axis) => order.indexOf(axis));
}

/** [N, D, H, W, C] to [N, C, D, H, W]; `inverse` brings it back. */
export const CHANNELS_FIRST = [0, 4, 1, 2, 3];
/** [z, y, x, in, out] to [out, in, z, y, x]. */
export const OUT_IN_TAPS = [4, 3, 0, 1, 2];

/** Orders of a library's weights, from ours ([z, y, x, in, out]). */
export interface WeightOrders {
  readonly convolution: readonly number[];
  readonly up: readonly number[];
}

/** How a parameter's axes are ordered in the library; undefined for vectors. */
export function orderOf(name: string, orders: WeightOrders): readonly number[] | undefined {
  if (name.endsWith('.up.weight')) return orders.up;
  return /(conv|head)\.weight$/.test(name) ? orders.convolution : undefined;
}

/** The parameters in the library's layout. */
export function parametersIn({ parameters }: NetworkWork, orders: WeightOrders): (HostArray & { name: string })[] {
  return parameters.map((parameter) => {
    const order = orderOf(parameter.name, orders);
    return { name: parameter.name, ...(order ? permuted(parameter, order) : parameter) };
  });
}

/** How far each parameter moved, in our layout, one behind the other; `now` has the library's. */
export function updateOf(work: NetworkWork, now: readonly Float32Array[], orders: WeightOrders): Float32Array {
  const update = new Float32Array(work.parameters.reduce((sum, { data }) => sum + data.length, 0));
  let at = 0;
  work.parameters.forEach(({ name, shape, data }, i) => {
    const order = orderOf(name, orders);
    const values = new Float32Array(now[i]);
    const moved = order
      ? permuted({ shape: order.map((axis) => shape[axis]), data: values }, inverse(order)).data
      : values;
    for (let k = 0; k < data.length; k++) update[at++] = moved[k] - data[k];
  });
  return update;
}

/** The labels as [N, D, H, W, classes] of zeros and ones. */
export function oneHotOf({ labels, classes, x: { shape } }: NetworkWork): HostArray {
  const data = new Float32Array(labels.length * classes);
  labels.forEach((label, voxel) => {
    data[voxel * classes + label] = 1;
  });
  return { shape: [...shape.slice(0, 4), classes], data };
}
