import { Parameters } from '../../../engine/nn/parameters.ts';
import { sgd } from '../../../engine/nn/sgd.ts';
import { StepScalars } from '../../../engine/step_scalars.ts';
import { storedBytes, type Tensor } from '../../../engine/tensor.ts';
import type { KernelOp } from '../case.ts';
import { noise, places, sampleCount } from '../samples.ts';

/** The weights near -gradient / decay, however often they are updated. */
const RATE = 1 / 64;
const MOMENTUM = 0.5;
const WEIGHT_DECAY = 0.25;

/** SGD with momentum and weight decay on a flat set of parameters. Its check holds after the first update only. */
export const sgdOp: KernelOp = (device, { input: [count] }) => {
  const values = noise(count, 1);
  const slopes = noise(count, 2);
  const parameters = Parameters.create(device, [{ name: 'w', shape: [1, count], init: () => values }]);
  const scalars = StepScalars.create(device, ['learning_rate']);
  const optimiser = sgd(parameters, scalars, { momentum: MOMENTUM, weightDecay: WEIGHT_DECAY });
  const w = parameters.get('w');
  device.write(w.grad as Tensor, slopes);
  scalars.set({ learning_rate: RATE });
  const velocity: Tensor = { ...w, storage: optimiser.state.velocity.storage };
  return {
    passes: [
      {
        ...{ name: 'update', flops: 0, bytes: 5 * storedBytes(w) },
        record(rec) {
          optimiser.step(rec);
          const at = places(count, sampleCount(1));
          const first = at.map((i) => slopes[i] + WEIGHT_DECAY * values[i]);
          const moved = at.map((i, k) => values[i] - RATE * first[k]);
          return {
            from: 0,
            checked: [
              { label: 'velocity', tensor: velocity, expected: () => ({ at, expected: first, terms: 1 }) },
              { label: 'weight', tensor: w, expected: () => ({ at, expected: moved, terms: 1 }) },
            ],
          };
        },
      },
    ],
    destroy() {
      optimiser.destroy();
      scalars.destroy();
      parameters.destroy();
    },
  };
};
