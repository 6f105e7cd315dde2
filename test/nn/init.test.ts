import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  fanIn,
  kaimingNormal,
  normal,
  ones,
  parameterStream,
  transposedFanIn,
  uniform,
  zeros,
} from '../../engine/nn/init.ts';

const moments = (values: Float32Array) => {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return { mean, sd: Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length) };
};

test("fan-in is PyTorch's for convolution, transposed convolution and linear layers", () => {
  // python3 -c "import torch.nn as nn; f = nn.init._calculate_fan_in_and_fan_out; print(f(nn.Conv3d(5, 7, (1, 2, 3)).weight)[0], f(nn.ConvTranspose3d(5, 7, (1, 2, 3)).weight)[0], f(nn.Linear(5, 7).weight)[0])"
  assert.is(fanIn([1, 2, 3, 5, 7]), 30);
  assert.is(transposedFanIn([1, 2, 3, 5, 7]), 42);
  assert.is(fanIn([5, 7]), 5);
});

test('Kaiming and normal draws have the mean and deviation they promise', () => {
  const shape = [3, 3, 3, 20, 40];
  const kaiming = moments(kaimingNormal(fanIn(shape), 0.01)(shape, parameterStream(1, 'w')));
  const expected = Math.sqrt(2 / ((1 + 0.01 ** 2) * 540));
  assert.ok(Math.abs(kaiming.sd / expected - 1) < 0.02, `${kaiming.sd} for ${expected}`);
  assert.ok(Math.abs(kaiming.mean) < 4 * (expected / Math.sqrt(21600)));
  const plain = moments(normal(0.1)(shape, parameterStream(1, 'w')));
  assert.ok(Math.abs(plain.sd / 0.1 - 1) < 0.02);
});

test('uniform draws fill their range evenly', () => {
  const values = uniform(0.25)([200, 100], parameterStream(1, 'w'));
  assert.ok(values.every((v) => v >= -0.25 && v < 0.25));
  const { mean, sd } = moments(values);
  assert.ok(Math.abs(mean) < 4 * (0.25 / Math.sqrt(3 * values.length)));
  assert.ok(Math.abs(sd / (0.25 / Math.sqrt(3)) - 1) < 0.02);
});

test('the stream is the name: equal names draw equal values, different names or seeds do not', () => {
  const draw = (seed: number, name: string) => normal(1)([8], parameterStream(seed, name));
  assert.equal(draw(3, 'encoder.0.0.conv.weight'), draw(3, 'encoder.0.0.conv.weight'));
  assert.not.equal(draw(3, 'encoder.0.0.conv.weight'), draw(3, 'encoder.0.1.conv.weight'));
  assert.not.equal(draw(3, 'a'), draw(4, 'a'));
});

test('zeros and ones', () => {
  assert.equal(zeros([2, 3], parameterStream(0, '')), new Float32Array(6));
  assert.equal(ones([2], parameterStream(0, '')), Float32Array.of(1, 1));
});

test.run();
