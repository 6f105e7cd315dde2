/** A step of stage 2 beside what its cost is measured against: its network passes and their update alone. */
import type { ActionOptions } from '../../engine/action/options.ts';
import { drawStage2, recordStage2, type Stage2Batch } from '../../engine/action/stage2.ts';
import { createStage2, type Stage2 } from '../../engine/action/stage2_parts.ts';
import type { Device } from '../../engine/device.ts';
import { gradientClip } from '../../engine/nn/clip.ts';
import { emaUpdate } from '../../engine/nn/ema.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import type { Unet3d } from '../../engine/nn/unet3d.ts';
import { add, scale } from '../../engine/ops/elementwise.ts';
import { diceCrossEntropy } from '../../engine/ops/soft_dice.ts';
import { Recording } from '../../engine/recording.ts';
import type { Triple } from '../../engine/shape.ts';
import { createStepCounters } from '../../engine/step_counters.ts';
import type { Tensor } from '../../engine/tensor.ts';

/** Images and labels of one student pass. */
export type Pass = readonly [image: Tensor, labels: Tensor];

/** Both recordings over the same network, teacher and optimisers. Tensors of the batch are zero until something is written. */
export async function recordStage2AndPasses(
  device: Device,
  unet: Unet3d,
  options: ActionOptions,
  patch: Triple,
  initialise = true,
) {
  const student = Parameters.create(device, unet.specs, initialise ? { seed: 1 } : { initialise: false });
  const stage = await createStage2(device, unet, student, patch, options, 0);
  const counters = createStepCounters(device, 1);
  const image = (samples: number) => device.tensor([samples, ...patch, unet.settings.inChannels], 'image');
  const labels = (samples: number) => device.tensor([samples, ...patch], 'labels', { dtype: 'u32', dense: true });
  const { labelledBatch: first, unlabelledBatch: second } = options.stage2;
  const batch: Stage2Batch = { labelled: image(first), labels: labels(first), unlabelled: image(second) };

  const whole = new Recording(device, 'stage 2');
  const strong = { student: (rec: Recording, x: Tensor) => scale(rec, x, 1.1) };
  const log = recordStage2(whole, stage, batch, drawStage2(whole, stage, counters.tensor, 0), strong);

  const alone = new Recording(device, 'network passes');
  const passes: Pass[] =
    options.stage2.passes === 'joint'
      ? [[image(first + second), labels(first + second)]]
      : [
          [batch.labelled, batch.labels],
          [batch.unlabelled, labels(second)],
        ];
  const loss = recordNetworkPasses(alone, stage, batch.unlabelled, passes);
  return { stage, student, counters, batch, passes, whole, log, alone, loss };
}

/** Teacher forward; the student's passes forward and backward with Dice and cross-entropy; gradient norm, SGD, EMA. */
function recordNetworkPasses(rec: Recording, stage: Stage2, unlabelled: Tensor, passes: readonly Pass[]): Tensor {
  const { unet, student, teacher, learning, scalars, options } = stage;
  rec.noGrad(() => unet.forward(rec, teacher, unlabelled, { training: false }));
  const losses = passes.map(
    ([image, labels]) => diceCrossEntropy(rec, unet.forward(rec, student.network, image).logits, labels).loss,
  );
  const loss = losses.reduce((a, b) => add(rec, a, b));
  rec.backward(loss, { leaves: student.network.leaves() });
  learning.learners[0].optimiser.step(rec, gradientClip(rec, [student.network], options.stage2.clip));
  emaUpdate(rec, teacher, student.network, scalars);
  return loss;
}
