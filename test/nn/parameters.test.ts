import * as assert from 'uvu/assert';
import { ones, zeros } from '../../engine/nn/init.ts';
import { layOut } from '../../engine/nn/parameter_layout.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { compute } from '../../engine/program.ts';
import type { Recording } from '../../engine/recording.ts';
import { gpuTest, run } from '../harness.ts';
import { createSmall, randomValues, specs } from './small_network.ts';

gpuTest('every parameter is a view of one buffer, aligned and apart from the others', async (device) => {
  const parameters = createSmall(device);
  const ranges = specs.map(({ name, shape }) => {
    const t = parameters.get(name);
    assert.is(t, parameters.get(name));
    assert.is(t.storage, parameters.flat.storage);
    assert.is(t.offset % 256, 0);
    assert.equal(t.shape, shape);
    assert.ok(t.requiresGrad);
    assert.is(t.grad?.storage, parameters.flatGrad?.storage);
    assert.is(t.grad?.offset, t.offset);
    const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
    return [t.offset, t.offset + rows * t.pitch * 4];
  });
  ranges.sort((a, b) => a[0] - b[0]);
  for (let i = 1; i < ranges.length; i++) assert.ok(ranges[i - 1][1] <= ranges[i][0]);
  assert.ok(ranges[ranges.length - 1][1] <= parameters.layout.bytes);
  assert.is(parameters.bytes, device.bytesHeld);
  assert.is(parameters.leaves().length, specs.length);
  parameters.destroy();
  assert.is(device.bytesHeld, 0);
});

gpuTest('weights lie before vectors, whatever the order of declaration', async () => {
  const { offsets, weightBytes, bytes } = layOut(specs);
  assert.ok(offsets[0] < weightBytes && offsets[2] < weightBytes);
  assert.ok(offsets[1] >= weightBytes && offsets[3] >= weightBytes);
  assert.is(bytes - weightBytes, 512);
});

gpuTest('what load writes, read returns, also for gradients; padding stays zero', async (device) => {
  const parameters = createSmall(device);
  const values = randomValues(specs, 1);
  const gradients = randomValues(specs, 2);
  parameters.load(values);
  parameters.load(gradients, parameters.flatGrad);
  assert.equal(await parameters.read(), values);
  assert.equal(await parameters.read(parameters.flatGrad), gradients);
  const stored = (await device.readStored(parameters.flat)) as Float32Array;
  const nonZero = [...values.values()].reduce((n, { data }) => n + data.filter((v) => v !== 0).length, 0);
  assert.is(stored.filter((v) => v !== 0).length, nonZero);
});

gpuTest('first values depend on seed and name, not on order', async (device) => {
  const forward = await createSmall(device).read();
  const backward = await createSmall(device, [...specs].reverse()).read();
  const other = await createSmall(device, specs, { seed: 6 }).read();
  for (const { name } of specs) {
    assert.equal(forward.get(name), backward.get(name));
    assert.not.equal(forward.get(name), other.get(name));
  }
});

gpuTest('a teacher has no gradients and copies the student', async (device) => {
  const student = createSmall(device);
  const held = device.bytesHeld;
  const teacher = createSmall(device, specs, { trainable: false, seed: 9 });
  assert.is(device.bytesHeld - held, teacher.layout.bytes);
  assert.is(teacher.flatGrad, undefined);
  assert.ok(teacher.leaves().every((t) => !t.requiresGrad && t.grad === undefined));
  assert.not.equal(await teacher.read(), await student.read());
  await teacher.copyFrom(student);
  assert.equal(await teacher.read(), await student.read());
  const shorter = createSmall(device, specs.slice(0, 3));
  assert.throws(
    () => shorter.assertSameSpecs(student, 'ema'),
    /ema: parameter 3 is nothing here and 'one' \[1\] there/,
  );
});

gpuTest(
  'a parameter works in a recording: its values are read, its gradient lands in the flat buffer',
  async (device) => {
    const parameters = createSmall(device);
    const { y } = await compute(device, (rec: Recording) => {
      const w = parameters.get('linear.weight');
      const x = rec.node('copy', [w], copied(rec, w), (dy, gradients) => gradients.pass(0, dy));
      rec.backward(x, { leaves: parameters.leaves() });
      return { y: x };
    });
    assert.equal(y, (await parameters.read()).get('linear.weight')?.data);
    const gradients = await parameters.read(parameters.flatGrad);
    assert.ok(gradients.get('linear.weight')?.data.every((g) => g === 1));
    assert.ok(gradients.get('conv.weight')?.data.every((g) => g === 0));
  },
);

function copied(rec: Recording, from: ReturnType<Parameters['get']>) {
  const to = rec.like(from, 'copy');
  rec.copy(from, to);
  return to;
}

gpuTest('buffers live apart: no gradient, no momentum, but read, loaded and copied', async (device) => {
  const declared = [{ name: 'norm.running_variance', shape: [7], init: ones, buffer: true }, ...specs];
  const parameters = createSmall(device, declared);
  assert.equal(parameters.layout.bytes, layOut(specs).bytes);
  assert.is(parameters.bytes, device.bytesHeld);
  const buffer = parameters.get('norm.running_variance');
  assert.not(buffer.requiresGrad);
  assert.not.equal(buffer.storage, parameters.flat.storage);
  assert.not(parameters.leaves().includes(buffer));
  assert.not((await parameters.read(parameters.flatGrad)).has('norm.running_variance'));
  const values = randomValues(declared, 4);
  parameters.load(values);
  assert.equal(await parameters.read(), new Map(declared.map(({ name }) => [name, values.get(name)])));
  const teacher = createSmall(device, declared, { trainable: false });
  await teacher.copyFrom(parameters);
  assert.equal(await teacher.read(), await parameters.read());
});

gpuTest('errors name everything that is wrong', async (device) => {
  const parameters = createSmall(device);
  assert.throws(() => parameters.get('conv.weigth'), /no parameter 'conv.weigth'; the nearest is 'conv.weight'/);
  const before = await parameters.read();
  const wrong = randomValues(specs, 3);
  wrong.delete('one');
  wrong.set('norm.bias', { shape: [8], data: new Float32Array(8) });
  wrong.set('linear.weigth', { shape: [1], data: new Float32Array(1) });
  assert.throws(
    () => parameters.load(wrong),
    (error: Error) =>
      /'one' \[1\] is missing/.test(error.message) &&
      /'norm.bias' is \[8\] where the network has \[7\]/.test(error.message) &&
      /no 'linear.weigth' \(nearest: 'linear.weight'\)/.test(error.message),
  );
  assert.equal(await parameters.read(), before);
  assert.throws(() => createSmall(device, [specs[0], specs[0]]), /'conv.weight' is declared twice/);
  const large = [{ name: 'w', shape: [device.limits.maxBufferSize / 16, 8], init: zeros }];
  assert.throws(() => Parameters.create(device, large), /use fewer channels or levels/);
});

run();
