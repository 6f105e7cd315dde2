import { test } from 'uvu';
import { Device, type DeviceTraits } from '../engine/device.ts';
import { compute } from '../engine/program.ts';
import type { Recording } from '../engine/recording.ts';
import type { Tensor } from '../engine/tensor.ts';
import { exit, openGpu } from '../runner/host/node.ts';
import { assertClose, type Tolerance } from './compare.ts';
import { type Dense, random } from './reference/dense.ts';

/**
 * The adapter of a test process: ACTION3D_GPU (set by test/run.ts from --gpu), else the one `--gpu auto` takes; with the usual
 * ways, whatever was tuned on this machine.
 */
const opened = await openGpu({ gpu: process.env.ACTION3D_GPU, tuned: false });

export interface TestTraits extends DeviceTraits {
  /** The adapter's device as the test is to see it. */
  readonly wrap?: (gpu: GPUDevice) => GPUDevice;
}

/**
 * A test with a fresh Device; any WebGPU validation error fails it, everything it made is destroyed after it. `software`
 * chooses the kernels of software or of hardware adapters, whatever the adapter is.
 */
export function gpuTest(name: string, body: (device: Device) => Promise<void>, options: TestTraits = opened): void {
  test(name, async () => {
    const device = new Device(options.wrap?.(opened.device) ?? opened.device, options);
    try {
      await body(device);
      await device.idle();
    } finally {
      device.destroy();
    }
  });
}

/** Runs the file's tests, then ends the process deliberately (Dawn would keep it alive). */
export function run(): void {
  test.after(() => {
    setTimeout(() => exit(Number(process.exitCode ?? 0)), 10);
  });
  test.run();
}

export const gpuName = opened.name;

/** What ops choose their kernels by on the adapter. */
export const traits: DeviceTraits = opened;

/** Of the adapter; tests of what needs one say so and pass where there is none. */
export const matrixUnit = opened.matrixUnit;

/** A persistent tensor with a reference's values. */
export function upload(
  device: Device,
  value: Dense,
  label: string,
  options: { grad?: boolean; dense?: boolean } = {},
): Tensor {
  const t = device.tensor(value.shape, label, { data: value.data, dense: options.dense });
  return { ...t, requiresGrad: options.grad ?? true };
}

export interface OpCase {
  /** Inputs that get a gradient, by name, in float32-representable values. */
  inputs: Record<string, Dense>;
  /** Appends the op under test. */
  op: (rec: Recording, inputs: Record<string, Tensor>) => Tensor;
  expected: Dense;
  /** Gradients of the inputs for the output gradient `dy` (random, never ones); leave a name out when it has none. */
  gradients: (dy: Dense) => Record<string, Dense>;
  tolerance?: Tolerance;
  gradientTolerance?: Tolerance;
}

/** Forward and every gradient of an op against the float64 reference, through the same recording a training step uses. */
export async function checkOp(device: Device, name: string, c: OpCase): Promise<void> {
  const inputs = Object.fromEntries(Object.entries(c.inputs).map(([key, value]) => [key, upload(device, value, key)]));
  const dy = random(c.expected.shape, 77);
  const expected = c.gradients(dy);
  const seed = upload(device, dy, 'dy', { grad: false });
  // A leaf's gradient lands in leaf.grad; give each its own.
  const leaves = Object.fromEntries(
    Object.entries(inputs).map(([key, t]) => [
      key,
      key in expected ? { ...t, grad: device.tensor(t.shape, `d${key}`) } : { ...t, requiresGrad: false },
    ]),
  );
  const results = await compute(device, (rec) => {
    const y = c.op(rec, leaves);
    if (Object.keys(expected).length > 0) rec.backward(y, { seed, leaves: Object.values(leaves) });
    const out: Record<string, Tensor> = { y };
    for (const key of Object.keys(expected)) out[`d${key}`] = leaves[key].grad as Tensor;
    return out;
  });
  assertClose(name, results.y, c.expected, c.tolerance);
  for (const [key, value] of Object.entries(expected)) {
    assertClose(`${name}: gradient of ${key}`, results[`d${key}`], value, c.gradientTolerance ?? c.tolerance);
  }
}
