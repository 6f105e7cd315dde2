/** A recording that watches itself names the first tensor that went wrong, and changes nothing else. */
import * as assert from 'uvu/assert';
import type { Device } from '../engine/device.ts';
import { ActionError } from '../engine/errors.ts';
import { kernel } from '../engine/kernel.ts';
import { Parameters } from '../engine/nn/parameters.ts';
import { unet3d } from '../engine/nn/unet3d.ts';
import { concat } from '../engine/ops/concat.ts';
import { scale } from '../engine/ops/elementwise.ts';
import { randomWords } from '../engine/ops/random_words.ts';
import { diceCrossEntropy } from '../engine/ops/soft_dice.ts';
import { sumPartials } from '../engine/ops/sum_partials.ts';
import { Program } from '../engine/program.ts';
import { Recording } from '../engine/recording.ts';
import type { Triple } from '../engine/shape.ts';
import { createStepCounters } from '../engine/step_counters.ts';
import type { Tensor } from '../engine/tensor.ts';
import { describeNonFinite, type NonFinite, watch } from '../engine/watch.ts';
import { flatIndex, flatMain, wgsl } from '../shaders/shared/wgsl.ts';
import { gpuTest, run, upload } from './harness.ts';
import { smallStep } from './nn/small_step.ts';
import { random } from './reference/dense.ts';

const families = [{ software: true, kind: 'llvmpipe' }, { software: true }, { software: false }];

/** Runs the watched recording once. */
async function firstOf(source: Recording): Promise<NonFinite | undefined> {
  const { recording, firstNonFinite } = watch(source);
  const program = await Program.create(recording);
  program.run();
  const found = await firstNonFinite(program);
  program.destroy();
  return found;
}

/** How often tensors of this label are looked at. */
function checksOf({ commands }: Recording, label: string): number {
  const checks = commands.filter((c) => c.kind === 'dispatch' && c.kernel.name === 'non_finite');
  return checks.filter((c) => c.kind === 'dispatch' && c.tensors.x.label === label).length;
}

/** A small step, compiled as it is and watched; `restore` puts weights and momentum back to their start. */
async function watchedStep(device: Device) {
  const small = await smallStep(device);
  const { parameters, optimiser, recording } = small;
  await small.step(0);
  const { velocity } = optimiser.state;
  const values = await parameters.read();
  const restore = () => {
    parameters.load(values);
    device.writeStored(velocity, new Float32Array(velocity.shape[0]));
  };
  const watched = watch(recording);
  const program = await Program.create(watched.recording);
  const first = async () => {
    program.run();
    return watched.firstNonFinite(program);
  };
  restore();
  return { ...small, plain: small.program, program, values, velocity, restore, first };
}

for (const family of families) {
  const of = `(kernels of ${JSON.stringify(family)})`;

  gpuTest(
    `a watched step finds nothing and gives the same bits ${of}`,
    async (device) => {
      const { plain, program, parameters, logits, velocity, values, restore, first } = await watchedStep(device);
      const results = async (p: Program) => ({
        logits: await p.read(logits),
        values: await parameters.read(),
        gradients: await parameters.read(parameters.flatGrad),
        velocity: await parameters.read(velocity),
      });
      plain.run();
      const expected = await results(plain);
      assert.not.equal(expected.values, values);
      restore();
      assert.is(await first(), undefined);
      assert.equal(await results(program), expected);
    },
    family,
  );

  gpuTest(
    `a weight that is NaN is named before anything uses it; what the failed step left is no finding ${of}`,
    async (device) => {
      const { parameters, values, restore, first } = await watchedStep(device);
      for (const name of ['encoder.0.0.conv.weight', 'decoder.0.0.norm.bias', 'head.weight']) {
        const { shape, data } = values.get(name) as { shape: number[]; data: Float32Array };
        const wrong = data.slice();
        wrong[wrong.length - 1] = Number.NaN;
        parameters.load(new Map([...values, [name, { shape, data: wrong }]]));
        const found = (await first()) as NonFinite;
        assert.equal([found.tensor, found.shape, found.input], [name, shape, true]);
        assert.ok(found.reads.includes(name));
        restore();
        const gradients = await parameters.read(parameters.flatGrad);
        assert.ok(gradients.get(name)?.data.some(Number.isNaN), 'the gradients of the failed step are still there');
        assert.is(await first(), undefined);
        restore();
      }
    },
    family,
  );

  gpuTest(
    `an infinite voxel is named, and a momentum that was wrong already where it is used ${of}`,
    async (device) => {
      const { image, recording, velocity, restore, first } = await watchedStep(device);
      const voxels = random(image.shape, 1).data;
      voxels[voxels.length - 3] = Number.NEGATIVE_INFINITY;
      device.write(image, voxels);
      const found = (await first()) as NonFinite;
      assert.equal([found.tensor, found.input], ['image', true]);
      const reader = recording.commands[found.index];
      assert.ok(reader.kind === 'dispatch' && reader.kernel.name === found.command);
      assert.ok(found.command.startsWith('conv3d'));

      device.write(image, random(image.shape, 1).data);
      restore();
      device.writeStored(velocity, Float32Array.of(Number.NaN), 4);
      const late = (await first()) as NonFinite;
      assert.equal(
        [late.tensor, late.command, late.input, late.index],
        ['parameters', 'sgd', false, recording.commands.length - 1],
      );
    },
    family,
  );
}

gpuTest(
  'a step that overflows in the middle: the second scaling by 1e30 is named, and what it read',
  async (device) => {
    const network = unet3d({ inChannels: 1, classes: 3, channels: [4, 6], blocksPerLevel: 1 });
    const parameters = Parameters.create(device, network.specs, { seed: 3 });
    const image = device.tensor([1, 4, 4, 4, 1], 'image', { data: random([4, 4, 4], 1).data });
    const labels = device.tensor([1, 4, 4, 4], 'labels', { dtype: 'u32', dense: true });
    const rec = new Recording(device, 'step');
    const { logits } = network.forward(rec, parameters, image);
    const at = rec.commands.length;
    const large = scale(rec, scale(rec, logits, 1e30), 1e30);
    const { loss } = diceCrossEntropy(rec, large, labels);
    rec.backward(loss, { leaves: parameters.leaves() });
    const found = (await firstOf(rec)) as NonFinite;
    const shape = [1, 4, 4, 4, 3];
    assert.equal(found, { tensor: 'scale', shape, input: false, command: 'scale', reads: ['scale'], index: at + 1 });
    assert.is(
      describeNonFinite(found),
      `'scale' [1, 4, 4, 4, 3] is the first to hold a NaN or an infinity: 'scale' (command ${at + 1}) wrote it from 'scale'`,
    );
  },
);

gpuTest(
  'of gradients that are summed together none is blamed for what lies between them',
  async (device) => {
    const [before, between, behind] = [0, 1, 2].map((i) => ({ i, shape: [1, 1, 1, 4, 16] }));
    const flat = device.tensor([3 * 64], 'gradients', { data: new Float32Array(3 * 64).fill(Number.NaN) });
    const part = ({ i, shape }: typeof before): Tensor => ({
      ...{ ...flat, label: `dw${i}`, shape, pitch: 16, offset: 256 * i },
    });
    const one: Triple = [1, 1, 1];
    const volume = (channels: number) => device.tensor([1, 1, 1, 1, channels], 'volume');
    const options = { kernel: one, stride: one, padding: [0, 0, 0] as Triple, x: volume(4), dy: volume(16) };
    const sums = (values: Float64Array) => {
      const rec = new Recording(device, 'sums');
      for (const [i, dw] of [before, behind].entries()) {
        const partial = device.tensor([2, 16, 4], `partial${i}`, {
          dense: true,
          data: i === 1 ? values : random([2, 16, 4], 1).data,
        });
        sumPartials(rec, partial, { ...options, dw: part(dw) });
      }
      rec.batches.settle();
      rec.clear(part(between));
      return rec;
    };
    assert.is(await firstOf(sums(random([2, 16, 4], 2).data)), undefined);
    const large = new Float64Array(2 * 64).fill(3e38);
    const found = (await firstOf(sums(large))) as NonFinite;
    assert.equal([found.tensor, found.command], ['dw2', 'sum_partials_tree']);
  },
  { software: false },
);

gpuTest('an input is described as one', async (device) => {
  const x = device.tensor([2, 3], 'x', { data: [1, 2, 3, 4, 5, Infinity] });
  const rec = new Recording(device, 'input');
  scale(rec, scale(rec, device.tensor([2, 3], 'other'), 2), 3);
  scale(rec, x, 2);
  const found = (await firstOf(rec)) as NonFinite;
  assert.equal(found, { tensor: 'x', shape: [2, 3], input: true, command: 'scale', reads: ['x'], index: 2 });
  assert.is(describeNonFinite(found), "'x' [2, 3] held a NaN or an infinity before 'scale' (command 2) read it");
});

gpuTest('updates in place and copies are watched; whole numbers are not', async (device) => {
  const grow = kernel(
    'grow',
    wgsl`
struct Params { count: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  y[i] *= 1e30;
}
`,
  );
  const y = device.tensor([5], 'y', { dense: true, data: [0, 0, 0, 0, 1] });
  const words = device.tensor([8], 'words', { dtype: 'u32', dense: true, data: new Array(8).fill(0x7fc00000) });
  const rec = new Recording(device, 'in place');
  rec.copy(words, rec.tensor([8], 'copied', { dtype: 'u32', dense: true }));
  rec.dispatch(grow, { y }, { count: 5 }, 5);
  const copy = rec.tensor([5], 'copy', { dense: true });
  rec.copy(y, copy);
  rec.dispatch(grow, { y }, { count: 5 }, 5);
  const found = (await firstOf(rec)) as NonFinite;
  assert.equal([found.tensor, found.command, found.input, found.index], ['y', 'grow', false, 3]);
  // Behind each of the two updates; the copy reads what is known by then.
  assert.equal(
    ['y', 'copy', 'copied'].map((label) => checksOf(watch(rec).recording, label)),
    [2, 1, 0],
  );

  // A copy moves bits that nothing looked at as floats before.
  const bits = { ...words, dtype: 'f32' as const };
  const copies = new Recording(device, 'copies');
  copies.copy(words, device.tensor([8], 'a', { dense: true }));
  assert.equal(
    [(await firstOf(copies))?.tensor, (await firstOf(copies))?.command, (await firstOf(copies))?.input],
    ['a', 'copy', false],
  );
  const read = new Recording(device, 'read');
  read.copy(bits, device.tensor([8], 'b', { dense: true }));
  assert.equal([(await firstOf(read))?.tensor, (await firstOf(read))?.input], ['words', true]);
});

gpuTest('a tensor made in parts is not judged by what its memory held before', async (device) => {
  const counters = createStepCounters(device, 1);
  // The first part is copied in vec4, the others in single floats: two kernels, a check behind each.
  const parts = [4, 3, 5].map((width) => upload(device, random([1024, width], width), 'part', { grad: false }));
  const rec = new Recording(device, 'parts');
  const words = randomWords(rec, counters.tensor, 0, [1024, 12]);
  const y = concat(rec, parts);
  const { recording, firstNonFinite } = watch(rec);
  const program = await Program.create(recording);
  assert.is(program.plan.slotOf.get(words.storage), program.plan.slotOf.get(y.storage));
  for (let i = 0; i < 2; i++) {
    program.run();
    assert.is(await firstNonFinite(program), undefined);
  }
});

gpuTest(
  'watching takes 16 bytes and parameters; what many dispatches write is checked once',
  async (device) => {
    const { recording, plan } = await smallStep(device);
    const watched = watch(recording).recording;
    const { slots, bytes, totalBytes, paramsBytes } = watched.plan();
    const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b);
    assert.equal(sorted(slots), sorted([...plan.slots, 16]));
    assert.is(bytes, plan.bytes + 16);
    assert.is(totalBytes, bytes + paramsBytes);
    assert.equal(
      ['conv3d', 'head.weight', 'image', 'labels', 'concat'].map((label) => checksOf(watched, label)),
      [4, 1, 1, 0, 1],
    );
  },
  families[0],
);

gpuTest('the program of another recording is refused', async (device) => {
  const rec = new Recording(device, 'one');
  scale(rec, device.tensor([4], 'x'), 2);
  const { firstNonFinite } = watch(rec);
  const plain = await Program.create(rec);
  plain.run();
  await firstNonFinite(plain).then(
    () => assert.unreachable('a plain program has no result'),
    (error: Error) => {
      assert.instance(error, ActionError);
      assert.match(error.message, /^'first non-finite' is a temporary of 'one'/);
    },
  );
});

run();
