/** Pseudo-labels from probabilities of whole volumes: the step that follows, and where the probabilities come from. */
import * as assert from 'uvu/assert';
import { Parameters } from '../../engine/nn/parameters.ts';
import { unet3d } from '../../engine/nn/unet3d.ts';
import { softmax } from '../../engine/ops/softmax.ts';
import { compute } from '../../engine/program.ts';
import type { PatchCase } from '../../runner/data/voxels.ts';
import { unlabelledBatch, volumeLabels } from '../../runner/train/batches.ts';
import { trainConfig } from '../../runner/train/config.ts';
import { assertClose } from '../compare.ts';
import { gpuTest, run } from '../harness.ts';
import { dense, type Triple } from '../reference/dense.ts';
import { network, stage2Run } from './stage2_run.ts';

gpuTest('given the teacher’s own probabilities, a step is that of the teacher, without its pass', async (device) => {
  const byTeacher = await stage2Run(device, 'run_small');
  const byVolumes = await stage2Run(device, 'run_small', { pseudo: 'volume' });
  const expected = await byTeacher.step(0);
  const { batch, stage } = await stage2Run(device, 'run_small');
  device.write(batch.unlabelled, await device.read(byTeacher.batch.unlabelled));
  const { p } = await compute(device, (rec) => {
    const { logits } = network.unet.forward(rec, stage.teacher, batch.unlabelled, { training: false });
    return { p: softmax(rec, rec.detach(logits)) };
  });
  const { probabilities } = byVolumes.batch;
  assert.ok(probabilities);
  device.write(probabilities, p);
  const found = await byVolumes.step(0);
  for (const [key, value] of Object.entries(expected)) {
    assert.ok(Math.abs(found[key] - value) <= 1e-6 * Math.abs(value), `${key}: ${found[key]}, by the teacher ${value}`);
  }
  assert.ok(byVolumes.recording.commands.length < byTeacher.recording.commands.length);
});

const PATCH: Triple = [8, 8, 8];

/** One brightness a case, so that neither warping nor windows change what a pointwise network says of it. */
const cases: readonly PatchCase[] = [2, 15, -7].map((brightness, i) => {
  const shape: Triple = [9 + i, 12, 10];
  const image = new Float32Array(shape[0] * shape[1] * shape[2]).fill(brightness);
  return { id: `${i}`, shape, spacing: [1, 1, 1], channels: 1, constantChannels: [], image, label: null };
});

gpuTest('probabilities are those of the case that the patch is of, by the network given last', async (device) => {
  const unlabelled = { rotation: [30, 30, 30], elastic: { probability: 1 } };
  const config = trainConfig({ method: 'action', patch: PATCH, augmentation: { unlabelled } });
  const input = { device, config, labelled: [], unlabelled: cases, classes: 3, offset: 0, initialise: true };
  const patches = unlabelledBatch(input, cases, 2);
  const volumes = volumeLabels(input, cases, 2);
  const pointwise = unet3d({ inChannels: 1, classes: 3, channels: [4], kernels: [[1, 1, 1]], norm: 'none' });
  for (const seed of [1, 2]) {
    const parameters = Parameters.create(device, pointwise.specs, { seed });
    await volumes.relabel(pointwise, parameters);
    for (const step of [0, 1, 2]) {
      patches.upload(step);
      volumes.upload(step);
      const found = await compute(device, (rec) => {
        const image = patches.record(rec);
        const warps = rec.commands.filter((c) => c.kind === 'dispatch' && 'control' in c.tensors);
        assert.is(warps.length, 1, 'geometry of its own: labelled patches are not deformed');
        const { logits } = pointwise.forward(rec, parameters, image, { training: false });
        return { given: volumes.record(rec), own: softmax(rec, rec.detach(logits)) };
      });
      const shape = [2, ...PATCH, 3];
      assertClose(`step ${step}`, found.given, dense(shape, Array.from(found.own)), { absolute: 1e-5 });
      assert.ok(Math.abs(found.own[0] - 1 / 3) > 0.01, 'the network says something');
    }
    parameters.destroy();
  }
  patches.destroy();
  volumes.destroy();
});

run();
