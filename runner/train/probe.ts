import type { Device } from '../../engine/device.ts';
import { conv3d } from '../../engine/ops/conv3d.ts';
import { instanceNorm } from '../../engine/ops/norm.ts';
import { Program } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { product, type Triple } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';

/** Seconds that the measurement repeats its block for. */
const SECONDS = 0.5;

/**
 * Floating-point operations of convolutions a second in training, measured on the device: one block of convolution, norm
 * and leaky ReLU, forward and backward, `channels` to `channels`, on one patch. The norm's time is charged to the
 * convolution, as a step's is. Compiling is not counted.
 */
export async function trainingRate(device: Device, channels: number, patch: Triple): Promise<number> {
  const shape = [1, ...patch, channels];
  const leaf = (size: readonly number[], label: string): Tensor => {
    const grad = device.tensor(size, `${label} gradient`);
    return { ...device.tensor(size, label), requiresGrad: true, grad };
  };
  const leaves = [
    leaf(shape, 'probe input'),
    leaf([3, 3, 3, channels, channels], 'probe weight'),
    leaf([channels], 'probe gamma'),
    leaf([channels], 'probe beta'),
  ];
  const [x, weight, gamma, beta] = leaves;
  const seed = device.tensor(shape, 'probe seed');
  const rec = new Recording(device, 'probe');
  const y = conv3d(rec, x, weight, null, { padding: 1 });
  const out = instanceNorm(rec, y, gamma, beta, { activation: { kind: 'leaky_relu', slope: 0.01 } });
  rec.keep(out); // else nothing would need it, and its writing would not be timed
  rec.backward(out, { seed, leaves });
  const program = await Program.create(rec);
  try {
    program.run();
    await device.idle();
    const start = performance.now();
    let runs = 0;
    let seconds = 0;
    for (let most = 1; seconds < SECONDS; most *= 2) {
      for (let i = 0; i < most; i++) program.run();
      runs += most;
      await device.idle();
      seconds = (performance.now() - start) / 1000;
    }
    return (3 * 2 * 27 * channels * channels * product(patch) * runs) / seconds;
  } finally {
    program.destroy();
    for (const t of leaves) {
      device.destroyTensor(t);
      device.destroyTensor(t.grad as Tensor);
    }
    device.destroyTensor(seed);
  }
}
