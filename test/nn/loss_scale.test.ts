/** Loss scaling: the rule against its reference; bits that powers of two leave alone; steps that overflow skips. */
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import {
  createOptimiser,
  OPTIMISER_SCALARS,
  type OptimiserName,
  optimiserScalars,
} from '../../engine/nn/create_optimiser.ts';
import { createLearning, learn } from '../../engine/nn/learn.ts';
import { createLossScale, type LossScale, unscaledClips } from '../../engine/nn/loss_scale.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { parametersState, saveState } from '../../engine/nn/state.ts';
import { unet3d } from '../../engine/nn/unet3d.ts';
import { scaleBy } from '../../engine/ops/elementwise.ts';
import { diceCrossEntropy } from '../../engine/ops/soft_dice.ts';
import { Program } from '../../engine/program.ts';
import { Stream } from '../../engine/random.ts';
import { Recording } from '../../engine/recording.ts';
import { StepScalars } from '../../engine/step_scalars.ts';
import { gpuTest, run } from '../harness.ts';
import { random } from '../reference/dense.ts';
import { type Judged, lossScale, MOST, type ScaleState } from '../reference/loss_scale.ts';

async function stateOf(scale: LossScale): Promise<ScaleState> {
  const values = await scale.save();
  const [found, skipped, good] = ['scale', 'skipped', 'good'].map((key) => values.get(key)?.data[0] as number);
  return { scale: found, skipped, good };
}

const near = (a: number, b: number) => Object.is(a, b) || Math.abs(a - b) <= 1e-6 * Math.abs(b);

/** Runs the kernel on each step's norms and compares clips and state with the reference every time. */
async function checkRule(
  device: Device,
  steps: readonly (readonly number[])[],
  { initial, interval, maxNorm }: { initial: number; interval: number; maxNorm: number },
): Promise<ScaleState> {
  const scale = createLossScale(device, { initial, growthInterval: interval });
  const norms = steps[0].map((_, i) => device.tensor([1], `norm ${i}`));
  const rec = new Recording(device, 'judge');
  const clips = unscaledClips(rec, scale, norms, maxNorm).map((clip) => rec.keep(clip));
  const program = await Program.create(rec);
  const expected: ScaleState = { scale: initial, skipped: 0, good: 0 };
  for (const [at, values] of steps.entries()) {
    values.forEach((value, i) => {
      device.write(norms[i], [value]);
    });
    program.run();
    const judged = lossScale(expected, values, { interval, maxNorm });
    for (const [i, clip] of clips.entries()) {
      const [norm, factor] = await program.read(clip);
      const want: Judged = judged[i];
      assert.ok(
        near(norm, want.norm) && near(factor, want.factor),
        `step ${at}, ${values[i]}: ${norm}, ${factor}; reference ${want.norm}, ${want.factor}`,
      );
    }
    assert.equal(await stateOf(scale), expected, `state after step ${at}`);
  }
  return expected;
}

gpuTest('the rule equals the reference over made-up norms, overflows among them', async (device) => {
  const draws = new Stream(5, 0);
  const bad = [Infinity, Number.NaN, -Infinity];
  const norm = () => (draws.uniform() < 0.2 ? bad[draws.integer(3)] : Math.exp(20 * draws.uniform()));
  for (const [sets, maxNorm] of [
    [1, 0],
    [1, 5],
    [2, 3],
  ]) {
    const steps = Array.from({ length: 60 }, () => Array.from({ length: sets }, norm));
    const { skipped } = await checkRule(device, steps, { initial: 2 ** 10, interval: 3, maxNorm });
    assert.ok(skipped > 5 && skipped < 45, `${skipped} of 60 steps skipped`);
  }
});

gpuTest('the scale stays within its bounds; at 1 a norm that is not finite is reported as it is', async (device) => {
  const options = { interval: 1, maxNorm: 5 };
  const up = await checkRule(device, Array(6).fill([1]), { initial: MOST / 8, ...options });
  assert.is(up.scale, MOST);
  const down = await checkRule(device, Array(5).fill([Infinity]), { initial: 4, ...options });
  assert.equal(down, { scale: 1, skipped: 5, good: 0 });
  await checkRule(
    device,
    [
      [Number.NaN, 2],
      [3, 4],
    ],
    { initial: 1, ...options },
  );
});

/** A training of a small U-Net on noise whose loss is multiplied by step scalar `boom`; two sets of gradients share norm and scale. */
async function training(device: Device, name: OptimiserName, scaling?: { initial: number }) {
  const network = unet3d({ inChannels: 1, classes: 2, channels: [4, 8], blocksPerLevel: 1 });
  const size = [8, 8, 8] as const;
  const image = device.tensor([2, ...size, 1], 'image', { data: random([2, ...size, 1], 1).data });
  const classes = random([2, ...size], 2).data.map((v) => Number(v > 0.3));
  const labels = device.tensor([2, ...size], 'labels', { dtype: 'u32', dense: true, data: classes });
  const parameters = Parameters.create(device, network.specs, { seed: 3 });
  const scalars = StepScalars.create(device, [...OPTIMISER_SCALARS, 'boom' as const]);
  const optimiser = createOptimiser(parameters, scalars, { name, momentum: 0.9, weightDecay: 0.01 });
  const scale = scaling && createLossScale(device, scaling);
  const rec = new Recording(device, 'step');
  const { loss } = diceCrossEntropy(rec, network.forward(rec, parameters, image).logits, labels);
  const weighted = scaleBy(rec, loss, scalars.tensor, scalars.index('boom'));
  const learning = createLearning(device, network.settings, [{ name: 'network', parameters, optimiser }]);
  const { norm } = learn(rec, weighted, { ...learning, lossScale: scale }, 0.5);
  for (const t of [loss, norm]) rec.keep(t);
  const program = await Program.create(rec);
  const parts = [parametersState('student', parameters), ...learning.state];
  return {
    scale,
    commands: rec.commands.length,
    async step(at: number, boom = 1) {
      scalars.set({ ...optimiserScalars(at, { rate: 0.05, steps: 20, power: 0.9, warmUp: 0 }), boom });
      program.run();
      return { loss: (await program.read(loss))[0], norm: (await program.read(norm))[0] };
    },
    state: () => saveState(parts),
  };
}

/** Finite itself, while no square of its gradients is. */
const BOOM = 1e30;

for (const name of ['sgd', 'adamw'] as const) {
  gpuTest(
    `${name}: without overflow a scaled training equals one that is not to the bit, in as many commands`,
    async (device) => {
      const [plain, scaled] = [await training(device, name), await training(device, name, { initial: 2 ** 16 })];
      assert.is(scaled.commands, plain.commands);
      for (let at = 0; at < 6; at++) assert.equal(await scaled.step(at), await plain.step(at), `step ${at}`);
      assert.equal(await scaled.state(), await plain.state());
      assert.equal(await stateOf(scaled.scale as LossScale), { scale: 2 ** 16, skipped: 0, good: 6 });
    },
  );

  gpuTest(`${name}: an overflow skips its step, to the bit, halves the scale, and nothing else`, async (device) => {
    const [plain, scaled] = [await training(device, name), await training(device, name, { initial: 2 ** 16 })];
    for (const at of [0, 1, 2]) assert.equal(await scaled.step(at), await plain.step(at));
    const before = await scaled.state();
    const { loss, norm } = await scaled.step(3, BOOM);
    assert.ok(Number.isFinite(loss), `loss ${loss}`);
    assert.is(norm, 0, 'a skipped step reports 0');
    assert.equal(await scaled.state(), before);
    assert.equal(await stateOf(scaled.scale as LossScale), { scale: 2 ** 15, skipped: 1, good: 0 });
    for (const at of [4, 5]) assert.equal(await scaled.step(at), await plain.step(at), `step ${at}`);
    assert.equal(await scaled.state(), await plain.state());
    assert.not.equal(await scaled.state(), before);
  });
}

gpuTest('what is not finite at scale 1 is reported so, and changes nothing either', async (device) => {
  const { step, state, scale } = await training(device, 'sgd', { initial: 2 });
  await step(0);
  const before = await state();
  assert.is((await step(1, BOOM)).norm, 0);
  assert.not.ok(Number.isFinite((await step(2, BOOM)).norm));
  assert.equal(await state(), before);
  assert.equal(await stateOf(scale as LossScale), { scale: 1, skipped: 2, good: 0 });
});

gpuTest(
  'errors: a scale that is no power of two, an interval of no steps, a state of something else',
  async (device) => {
    for (const initial of [3, 0.5, 2 ** 25, 0]) {
      assert.throws(
        () => createLossScale(device, { initial }),
        new RegExp(`cannot start at ${initial}; use a power of two`),
      );
    }
    assert.throws(() => createLossScale(device, { growthInterval: 0 }), /cannot grow every 0 steps/);
    assert.throws(() => createLossScale(device).load(new Map()), /the loss scale saved has no 'scale'/);
  },
);

run();
