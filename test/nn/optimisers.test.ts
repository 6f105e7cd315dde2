import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { type AdamWScalar, adamw, adamwScalars } from '../../engine/nn/adamw.ts';
import { gradientClip } from '../../engine/nn/clip.ts';
import { emaUpdate } from '../../engine/nn/ema.ts';
import type { Optimiser } from '../../engine/nn/optimiser.ts';
import type { ParameterSpec } from '../../engine/nn/parameter_layout.ts';
import type { Parameters } from '../../engine/nn/parameters.ts';
import { polyRate } from '../../engine/nn/schedule.ts';
import { sgd } from '../../engine/nn/sgd.ts';
import { Program } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { StepScalars } from '../../engine/step_scalars.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { gpuTest, run } from '../harness.ts';
import { adamw as adamwReference } from '../reference/adamw.ts';
import { clipByGlobalNorm } from '../reference/clip.ts';
import { ema as emaReference } from '../reference/ema.ts';
import { sgd as sgdReference } from '../reference/sgd.ts';
import { assertParameters, createSmall, randomValues, specs, toFloat64, wide } from './small_network.ts';

const STEPS = 5;
const only = (name: string) => name === 'conv.weight' || name === 'one';
const whole = {
  sgd: (p: Parameters, s: StepScalars<AdamWScalar>) => sgd(p, s, { momentum: 0.9, weightDecay: 0.3 }),
  adamw: (p: Parameters, s: StepScalars<AdamWScalar>) => adamw(p, s, { weightDecay: 0.3 }),
};
const rateOf = (step: number) => polyRate(step, { rate: 0.2, steps: 8, warmUp: 3 });

/** Records one step, replays it STEPS times with new gradients and a new rate each, and compares every weight every time. */
async function checkOptimiser(
  device: Device,
  make: (parameters: Parameters, scalars: StepScalars<AdamWScalar>) => Optimiser,
  reference: (name: string, shape: readonly number[], weights: Float64Array, grad: Float64Array, step: number) => void,
  { maxNorm, declared = specs }: { maxNorm?: number; declared?: readonly ParameterSpec[] } = {},
): Promise<void> {
  const parameters = createSmall(device, declared);
  const scalars = StepScalars.create(device, ['adam_correction2', 'learning_rate', 'adam_correction1'] as const);
  const optimiser = make(parameters, scalars);
  const recording = new Recording(device, 'step');
  let norm: Tensor | undefined;
  if (maxNorm !== undefined) norm = recording.keep(gradientClip(recording, [parameters], maxNorm));
  optimiser.step(recording, norm);
  const program = await Program.create(recording);
  const expected = toFloat64(await parameters.read());
  for (let step = 0; step < STEPS; step++) {
    const gradients = randomValues(declared, 10 + step);
    parameters.load(gradients, parameters.flatGrad);
    scalars.set({ learning_rate: rateOf(step), ...adamwScalars(step + 1, { beta2: 0.99 }) });
    program.run();
    const wanted = toFloat64(gradients);
    if (norm) {
      const total = clipByGlobalNorm([...wanted.values()], maxNorm as number);
      const [found] = await program.read(norm);
      assert.ok(Math.abs(found / total - 1) < 1e-6, `norm ${found}, reference ${total}`);
    }
    for (const { name, shape } of declared) {
      reference(name, shape, expected.get(name) as Float64Array, wanted.get(name) as Float64Array, step);
    }
    await assertParameters(`step ${step}`, parameters, expected);
  }
  program.destroy();
  optimiser.destroy();
  scalars.destroy();
  parameters.destroy();
  assert.is(device.bytesHeld, 0);
}

function sgdOracle(options: { momentum?: number; weightDecay?: number; nesterov?: boolean }, decayVectors = true) {
  const velocity = new Map<string, Float64Array>();
  return (name: string, shape: readonly number[], w: Float64Array, g: Float64Array, step: number) => {
    if (!velocity.has(name)) velocity.set(name, new Float64Array(w.length));
    const weightDecay = decayVectors || shape.length > 1 ? options.weightDecay : 0;
    sgdReference(w, velocity.get(name) as Float64Array, g, { ...options, weightDecay, rate: rateOf(step) });
  };
}

for (const options of [
  {},
  { weightDecay: 0.1 },
  { momentum: 0.9 },
  { momentum: 0.9, weightDecay: 0.05 },
  { momentum: 0.8, weightDecay: 0.05, nesterov: true },
]) {
  gpuTest(`sgd ${JSON.stringify(options)} equals the reference over ${STEPS} replays`, (device) =>
    checkOptimiser(device, (parameters, scalars) => sgd(parameters, scalars, options), sgdOracle(options)),
  );
}

for (const maxNorm of [0.5, 1e4]) {
  const options = { momentum: 0.9, weightDecay: 0.01, nesterov: true };
  gpuTest(`sgd clipped to ${maxNorm} equals the reference`, (device) =>
    checkOptimiser(device, (parameters, scalars) => sgd(parameters, scalars, options), sgdOracle(options), {
      maxNorm,
      declared: wide,
    }),
  );
}

gpuTest('sgd without decay of norm and bias vectors', (device) =>
  checkOptimiser(
    device,
    (parameters, scalars) => sgd(parameters, scalars, { momentum: 0.9, weightDecay: 0.3, decayVectors: false }),
    sgdOracle({ momentum: 0.9, weightDecay: 0.3 }, false),
  ),
);

for (const maxNorm of [undefined, 2]) {
  for (const decayVectors of [true, false]) {
    gpuTest(`adamw, clip ${maxNorm}, decay of vectors ${decayVectors}, equals the reference`, (device) => {
      const options = { beta2: 0.99, weightDecay: 0.1 };
      const moments = new Map<string, [Float64Array, Float64Array]>();
      return checkOptimiser(
        device,
        (parameters, scalars) => adamw(parameters, scalars, { ...options, decayVectors }),
        (name, shape, w, g, step) => {
          if (!moments.has(name)) moments.set(name, [new Float64Array(w.length), new Float64Array(w.length)]);
          const [first, second] = moments.get(name) as [Float64Array, Float64Array];
          const weightDecay = decayVectors || shape.length > 1 ? options.weightDecay : 0;
          adamwReference(w, first, second, g, step + 1, { ...options, weightDecay, rate: rateOf(step) });
        },
        { maxNorm },
      );
    });
  }
}

for (const [name, make] of [
  ['sgd', (p: Parameters, s: StepScalars<AdamWScalar>) => sgd(p, s, { momentum: 0.9, weightDecay: 0.3, only })],
  ['adamw', (p: Parameters, s: StepScalars<AdamWScalar>) => adamw(p, s, { weightDecay: 0.3, only })],
] as const) {
  gpuTest(`${name} moves only the parameters it is given, and those as it moves all`, async (device) => {
    const scalars = StepScalars.create<AdamWScalar>(device, ['learning_rate', 'adam_correction1', 'adam_correction2']);
    scalars.set({ learning_rate: 0.1, ...adamwScalars(1) });
    const update = async (some: boolean) => {
      const parameters = createSmall(device);
      parameters.load(randomValues(specs, 50), parameters.flatGrad);
      const optimiser = some ? make(parameters, scalars) : whole[name](parameters, scalars);
      const recording = new Recording(device, 'step');
      optimiser.step(recording);
      const before = await parameters.read();
      (await Program.create(recording)).run();
      return { before, after: await parameters.read(), dispatches: recording.commands.length };
    };
    const [all, some] = [await update(false), await update(true)];
    assert.is(some.dispatches, 2);
    for (const { name: parameter } of specs) {
      assert.equal(some.after.get(parameter), (only(parameter) ? all.after : all.before).get(parameter));
      assert.not.equal(all.after.get(parameter), all.before.get(parameter));
    }
  });
}

gpuTest('decay of weights only, and of some parameters only, together', async (device) => {
  const scalars = StepScalars.create(device, ['learning_rate'] as const);
  scalars.set({ learning_rate: 0.5 });
  const parameters = createSmall(device);
  const before = await parameters.read();
  const recording = new Recording(device, 'step');
  const among = (name: string) => name !== 'conv.weight';
  sgd(parameters, scalars, { weightDecay: 0.25, decayVectors: false, only: among }).step(recording);
  (await Program.create(recording)).run();
  for (const [name, { shape, data }] of await parameters.read()) {
    const factor = name === 'linear.weight' ? 0.875 : 1;
    const want = (before.get(name) as { data: Float32Array }).data.map((v) => v * factor);
    assert.equal({ shape, data }, { shape, data: want });
  }
});

gpuTest('the velocity is read and loaded by name, and a resumed run goes on to the bit', async (device) => {
  const scalars = StepScalars.create(device, ['learning_rate'] as const);
  const build = async () => {
    const parameters = createSmall(device);
    const optimiser = sgd(parameters, scalars, { momentum: 0.9, weightDecay: 0.01 });
    const recording = new Recording(device, 'step');
    optimiser.step(recording, gradientClip(recording, [parameters], 1));
    return { parameters, optimiser, program: await Program.create(recording) };
  };
  const steps = ({ parameters, program }: Awaited<ReturnType<typeof build>>, from: number, to: number) => {
    for (let step = from; step < to; step++) {
      parameters.load(randomValues(specs, 20 + step), parameters.flatGrad);
      scalars.set({ learning_rate: rateOf(step) });
      program.run();
    }
  };
  const straight = await build();
  steps(straight, 0, 6);
  const first = await build();
  steps(first, 0, 3);
  const resumed = await build();
  resumed.parameters.load(await first.parameters.read());
  resumed.parameters.load(
    await first.parameters.read(first.optimiser.state.velocity),
    resumed.optimiser.state.velocity,
  );
  steps(resumed, 3, 6);
  assert.equal(await resumed.parameters.read(), await straight.parameters.read());
});

gpuTest('ema follows the reference; decay 0 copies to the bit', async (device) => {
  const student = createSmall(device);
  const teacher = createSmall(device, specs, { trainable: false, seed: 8 });
  const scalars = StepScalars.create(device, ['learning_rate', 'ema_decay'] as const);
  const recording = new Recording(device, 'ema');
  emaUpdate(recording, teacher, student, scalars);
  const program = await Program.create(recording);
  scalars.set({ ema_decay: 0 });
  program.run();
  assert.equal(await teacher.read(), await student.read());
  const expected = toFloat64(await teacher.read());
  for (const [step, decay] of [0.5, 0.9, 0.99].entries()) {
    student.load(randomValues(specs, 30 + step));
    scalars.set({ ema_decay: decay });
    program.run();
    for (const [name, values] of toFloat64(await student.read())) {
      emaReference(expected.get(name) as Float64Array, values, decay);
    }
    await assertParameters(`decay ${decay}`, teacher, expected);
  }
});

gpuTest('errors: Nesterov without momentum, an optimiser for a teacher, an EMA of another network', async (device) => {
  const student = createSmall(device);
  const teacher = createSmall(device, specs, { trainable: false });
  const scalars = StepScalars.create(device, ['learning_rate', 'ema_decay'] as const);
  assert.throws(() => sgd(student, scalars, { nesterov: true }), /'nesterov' needs a momentum above 0/);
  assert.throws(() => sgd(student, scalars, { only: () => false }), /leaves no parameter to update/);
  assert.throws(() => sgd(teacher, scalars), /no gradients; create them with trainable: true/);
  const recording = new Recording(device, 'ema');
  assert.throws(
    () => emaUpdate(recording, createSmall(device, wide), student, scalars),
    /emaUpdate: parameter 0 is 'w' \[30000, 10\] here and 'conv.weight' \[3, 1, 3, 5, 7\] there/,
  );
});

run();
