import * as assert from 'uvu/assert';
import type { Device } from '../engine/device.ts';
import { compute } from '../engine/program.ts';
import { Recording } from '../engine/recording.ts';
import { channels, rows, storedElements, type Tensor } from '../engine/tensor.ts';
import { upload } from './harness.ts';
import { type Dense, random } from './reference/dense.ts';

const STALE = 1e30;

/**
 * The invariant of channel tensors: an op writes every stored element of its output and of each gradient, and what
 * lies behind the last channel is zero. All of them start from memory full of stale values.
 */
export async function checkPadding(
  device: Device,
  values: Record<string, Dense>,
  op: (rec: Recording, inputs: Record<string, Tensor>) => Tensor,
): Promise<void> {
  const leaves: Record<string, Tensor & { grad: Tensor }> = {};
  for (const [key, value] of Object.entries(values)) {
    const grad = device.tensor(value.shape, `d${key}`);
    device.writeStored(grad, new Float32Array(storedElements(grad)).fill(STALE));
    leaves[key] = { ...upload(device, value, key), grad };
  }
  const shape = op(new Recording(device, 'shape only'), leaves);
  const { y } = await compute(device, (rec) => {
    rec.constant(rec.tensor([rows(shape), shape.pitch], 'stale'), STALE);
    const output = op(rec, leaves);
    const seed = upload(device, random(output.shape, 77), 'dy', { grad: false });
    rec.backward(output, { seed });
    return { y: rec.reshape(output, [rows(output), output.pitch]) };
  });
  assertPadded('output', shape, y);
  for (const { grad } of Object.values(leaves)) assertPadded(grad.label, grad, await device.readStored(grad));
}

function assertPadded(name: string, t: Tensor, stored: ArrayLike<number>): void {
  for (let i = 0; i < stored.length; i++) {
    const padding = i % t.pitch >= channels(t);
    if (padding ? stored[i] === 0 : Math.abs(stored[i]) < STALE / 2) continue;
    assert.unreachable(`${name}: stored element ${i} (${padding ? 'padding' : 'value'}) is ${stored[i]}`);
  }
}
