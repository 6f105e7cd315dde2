/**
 * What stage 2 costs on top of its network passes at 112 x 112 x 80 with two classes, counted on a device that allocates
 * nothing: bytes, arithmetic, dispatches. The official release takes 7 to 10 GB and 20 times the arithmetic (method.md 9).
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { actionPresets } from '../../engine/action/options.ts';
import type { Command } from '../../engine/command.ts';
import { Device, type DeviceTraits } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import { unet3d } from '../../engine/nn/unet3d.ts';
import { unetFlops } from '../../engine/nn/unet3d_flops.ts';
import { PARAMS_ALIGNMENT, type Recording } from '../../engine/recording.ts';
import { product, type Triple } from '../../engine/shape.ts';
import { channels, rows, storedBytes, type Tensor } from '../../engine/tensor.ts';
import { LIMITS } from '../dry_limits.ts';
import { recordStage2AndPasses } from './network_passes.ts';

const PATCH: Triple = [80, 112, 112];
const VOXELS = product(PATCH);
const HARDWARE: DeviceTraits = {};
const LLVMPIPE: DeviceTraits = { software: true, kind: 'llvmpipe' };

const unet = unet3d({ inChannels: 1, classes: 2, channels: [16, 32, 64, 128, 256] });

const record = (preset: keyof typeof actionPresets, traits: DeviceTraits) =>
  recordStage2AndPasses(new Device(dryGpu(LIMITS), traits), unet, actionPresets[preset], PATCH, false);

const tensorsOf = (command: Command): Tensor[] =>
  command.kind === 'dispatch'
    ? Object.values(command.tensors)
    : command.kind === 'copy'
      ? [command.from, command.to]
      : [command.tensor];

/** The most channels, as stored, of any tensor with as many rows as a patch has voxels. */
function widestMap(rec: Recording): number {
  let widest = 0;
  for (const t of rec.commands.flatMap(tensorsOf)) if (rows(t) >= VOXELS) widest = Math.max(widest, t.pitch);
  return widest;
}

/** At most this many operations for each number that a kernel other than a product reads or writes. */
const EACH = 32;

/**
 * Floating-point operations of a recording, a multiply-add as two: products and convolutions by their extents, all other
 * kernels from above. Convolutions other than weight gradients count nothing: both recordings have the same ones.
 */
function operations(rec: Recording): { products: number; others: number } {
  let [products, others] = [0, 0];
  for (const command of rec.commands) {
    if (command.kind !== 'dispatch') continue;
    const { kernel, tensors, paramsOffset } = command;
    const packed = rec.params[paramsOffset / PARAMS_ALIGNMENT];
    const param = (name: string) => packed[kernel.params.findIndex((field) => field.name === name)];
    if (/^matmul_[nt][nt]$/.test(kernel.name)) products += 2 * param('m') * param('n') * param('k');
    else if (/^conv3d_grad_weight/.test(kernel.name)) {
      const taps =
        Number(kernel.name.slice(-3)[0]) * Number(kernel.name.slice(-3)[1]) * Number(kernel.name.slice(-3)[2]);
      products += 2 * rows(tensors.dy) * taps * channels(tensors.x) * channels(tensors.dy);
    } else if (!/^conv/.test(kernel.name)) {
      for (const t of Object.values(tensors)) others += (EACH * storedBytes(t)) / 4;
    }
  }
  return { products, others };
}

const convolutions = (rec: Recording) =>
  rec.commands.filter((c) => c.kind === 'dispatch' && /^conv/.test(c.kernel.name) && !/grad_weight/.test(c.kernel.name))
    .length;

/** Bytes, maps and dispatches, which both recordings tell without running. */
function checkMemory(
  name: string,
  { whole, alone }: Awaited<ReturnType<typeof record>>,
  { widest, mostDispatches }: { widest: number; mostDispatches: number },
): void {
  const [all, network] = [whole.plan().totalBytes, alone.plan().totalBytes];
  const added = (all - network) / 1e6;
  const dispatches = whole.commands.length - alone.commands.length;
  console.log(
    `${name}: ${added.toFixed(1)} MB more than ${(network / 1e6).toFixed(0)} MB, ${dispatches} commands more than ${alone.commands.length}`,
  );
  assert.ok(network > 2e9 && added > 0 && added < 300, `${added} MB`);
  assert.is(widestMap(alone), widest, "the network's own at full resolution");
  assert.ok(widestMap(whole) <= widest, `a full-resolution map of ${widestMap(whole)} channels`);
  assert.is(convolutions(whole), convolutions(alone));
  assert.ok(dispatches > 0 && dispatches < mostDispatches, `${dispatches} commands`);
}

for (const preset of ['paper', 'small'] as const) {
  test(`${preset}: under 300 MB and 5 % of arithmetic more than the network passes, and no dense map`, async () => {
    const both = await record(preset, HARDWARE);
    // Skip connections are not joined in memory on GPUs.
    checkMemory(preset, both, { widest: 16, mostDispatches: 400 });
    const [all, network] = [operations(both.whole), operations(both.alone)];
    const products = all.products - network.products;
    const added = products + all.others - network.others;
    const { labelledBatch, unlabelledBatch } = actionPresets[preset].stage2;
    const step =
      unetFlops(unet.settings, labelledBatch + unlabelledBatch, PATCH).training +
      unetFlops(unet.settings, unlabelledBatch, PATCH).forward;
    console.log(
      `${preset}: at most ${(added / 1e9).toFixed(1)} GFLOP more, products ${(products / 1e9).toFixed(1)}, than ${(step / 1e9).toFixed(0)}: ${((100 * added) / step).toFixed(2)} %`,
    );
    assert.ok(products > 0 && added < 0.05 * step, `${added} of ${step}`);
  });
}

test('paper with the kernels of llvmpipe: under 300 MB more, and no dense map', async () => {
  const both = await record('paper', LLVMPIPE);
  checkMemory('paper, llvmpipe', both, { widest: 32, mostDispatches: 0.05 * both.alone.commands.length });
});

test.run();
