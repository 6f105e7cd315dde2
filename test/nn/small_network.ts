/** A set of parameters with odd sizes, and what an optimiser test needs around it. */
import type { Device } from '../../engine/device.ts';
import { kaimingNormal, normal } from '../../engine/nn/init.ts';
import type { ParameterSpec } from '../../engine/nn/parameter_layout.ts';
import { Parameters, type ParameterValues } from '../../engine/nn/parameters.ts';
import { assertClose } from '../compare.ts';
import { random } from '../reference/dense.ts';

export const specs: readonly ParameterSpec[] = [
  { name: 'conv.weight', shape: [3, 1, 3, 5, 7], init: kaimingNormal(45, 0.01) },
  { name: 'norm.bias', shape: [7], init: normal(1) },
  { name: 'linear.weight', shape: [7, 6], init: normal(0.5) },
  { name: 'one', shape: [1], init: normal(1) },
];

/** A weight large enough that the gradient norm takes three launches, on GPUs two. */
export const wide: readonly ParameterSpec[] = [{ name: 'w', shape: [30000, 10], init: normal(0.1) }, ...specs];

export const createSmall = (device: Device, declared = specs, options: { trainable?: boolean; seed?: number } = {}) =>
  Parameters.create(device, declared, { seed: 5, ...options });

/** Random values of every parameter's shape, uniform in [-scale, scale). */
export function randomValues(declared: readonly ParameterSpec[], seed: number, scale = 1): ParameterValues {
  return new Map(
    declared.map(({ name, shape }, i) => [
      name,
      { shape, data: Float32Array.from(random(shape, 100 * seed + i).data, (v) => v * scale) },
    ]),
  );
}

/** The same values as float64 arrays, for the reference loops. */
export const toFloat64 = (values: ParameterValues): Map<string, Float64Array> =>
  new Map([...values].map(([name, { data }]) => [name, Float64Array.from(data)]));

export async function assertParameters(
  label: string,
  parameters: Parameters,
  expected: Map<string, Float64Array>,
  flat = parameters.flat,
): Promise<void> {
  for (const [name, { shape, data }] of await parameters.read(flat)) {
    const want = { shape, data: expected.get(name) as Float64Array };
    assertClose(`${label}: ${name}`, data, want, { absolute: 1e-6, terms: 32 });
  }
}
