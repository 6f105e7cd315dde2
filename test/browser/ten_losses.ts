import { Device } from '../../engine/device.ts';
import { openGpu } from '../../runner/host/node.ts';
import { STEPS, torchNetwork, trainer } from '../nn/torch_run.ts';

/** Ten steps of a U-Net on SwiftShader, in Node or in a page: the loss and gradient norm of each, and PyTorch's losses. */
export async function tenLosses() {
  const gpu = await openGpu({ gpu: 'swiftshader' });
  const device = new Device(gpu.device, gpu);
  try {
    const network = torchNetwork('unet_transposed');
    const { parameters, step } = await trainer(device, network, network.runs.sgd);
    parameters.load(network.initial);
    const steps: { loss: number; norm: number }[] = [];
    for (let i = 0; i < STEPS; i++) steps.push(await step(i));
    return { kind: gpu.kind, name: gpu.name, steps, torch: Array.from(network.get('sgd.losses').data) };
  } finally {
    device.destroy();
    gpu.close();
  }
}
