/** TensorFlow.js with its WebGPU backend (npm @tensorflow/tfjs, @tensorflow/tfjs-backend-webgpu). */

import { oneHotOf, parametersIn, updateOf } from './layout.ts';
import { type NetworkOps, networkForward } from './network.ts';
import {
  CHECKED_STEPS,
  type ConvolutionWork,
  EPSILON,
  type HostArray,
  type NetworkWork,
  type OpenPeer,
  type PeerContext,
  type Prepared,
} from './protocol.ts';

/** What is used of the library, 4.22. */
interface Tensor {
  readonly shape: readonly number[];
  data(): Promise<Float32Array>;
  dispose(): void;
}
interface Tf {
  setBackend(name: string): Promise<boolean>;
  getBackend(): string;
  backend(): { endComputePassEncoder(): void; submitQueue(): void; readonly commandEncoder: unknown };
  tensor(values: Float32Array, shape: readonly number[]): Tensor;
  variable(value: Tensor): Tensor;
  tidy<T>(body: () => T): T;
  dispose(tensors: readonly Tensor[]): void;
  conv3d(x: Tensor, w: Tensor, stride: number, padding: 'same'): Tensor;
  valueAndGrads(
    f: (...inputs: Tensor[]) => Tensor,
  ): (inputs: readonly Tensor[], dy: Tensor) => { value: Tensor; grads: Tensor[] };
  maxPool3d(x: Tensor, size: number, stride: number, padding: 'valid'): Tensor;
  mean(x: Tensor, axes?: readonly number[], keep?: boolean): Tensor;
  sum(x: Tensor, axes?: readonly number[] | number): Tensor;
  add(a: Tensor, b: Tensor | number): Tensor;
  sub(a: Tensor | number, b: Tensor): Tensor;
  mul(a: Tensor, b: Tensor | number): Tensor;
  div(a: Tensor, b: Tensor): Tensor;
  neg(x: Tensor): Tensor;
  square(x: Tensor): Tensor;
  rsqrt(x: Tensor): Tensor;
  maximum(a: Tensor, b: Tensor): Tensor;
  matMul(a: Tensor, b: Tensor): Tensor;
  reshape(x: Tensor, shape: readonly number[]): Tensor;
  transpose(x: Tensor, order: readonly number[]): Tensor;
  concat(tensors: readonly Tensor[], axis: number): Tensor;
  softmax(x: Tensor): Tensor;
  logSoftmax(x: Tensor): Tensor;
  readonly train: { momentum(rate: number, momentum: number): Optimizer };
}
interface Optimizer {
  minimize(loss: () => Tensor, keepLoss: true, variables: readonly Tensor[]): Tensor;
  dispose(): void;
}

/** Of an up weight the rows of a matrix: [in, (z, y, x, out)]. */
const ORDERS = { convolution: [0, 1, 2, 3, 4], up: [3, 0, 1, 2, 4] };
const NOTES = [
  'transposed convolution as matrix product and transpose: its own has no gradient',
  'leaky ReLU as maximum(x, slope x): its own has no gradient at rank 5',
];

export const openTfjs: OpenPeer = async (context) => {
  const tf = libraryOf(await context.load('@tensorflow/tfjs'));
  await context.load('@tensorflow/tfjs-backend-webgpu');
  await tf.setBackend('webgpu');
  return {
    backend: tf.getBackend(),
    prepare: (work) => (work.kind === 'convolution' ? convolution(tf, context, work) : network(tf, context, work)),
  };
};

function libraryOf(module: unknown): Tf {
  const { default: common } = module as { default?: Tf };
  return common ?? (module as Tf);
}

function arrayIn(tf: Tf, { shape, data }: HostArray): Tensor {
  return tf.tensor(data, shape);
}

/** Computes over and over, each time into fresh tensors that are given back. */
function repeated(tf: Tf, { device }: PeerContext, compute: () => readonly Tensor[], owned: readonly Tensor[]) {
  return {
    async run(times: number) {
      for (let i = 0; i < times; i++) tf.dispose(compute());
      const backend = tf.backend();
      if (backend.commandEncoder) {
        backend.endComputePassEncoder();
        backend.submitQueue();
      }
      await device.queue.onSubmittedWorkDone();
    },
    destroy: () => tf.dispose(owned),
  };
}

async function convolution(tf: Tf, context: PeerContext, work: ConvolutionWork): Promise<Prepared> {
  const [x, w, dy] = [work.x, work.w, work.dy].map((values) => arrayIn(tf, values));
  const forward = (a: Tensor, b: Tensor) => tf.conv3d(a, b, 1, 'same');
  const both = tf.valueAndGrads(forward);
  const compute = () =>
    tf.tidy(() => {
      if (!work.gradients) return [forward(x, w)];
      const { value, grads } = both([x, w], dy);
      return [value, ...grads];
    });
  const found = compute();
  const names = ['y', 'dx', 'dw'];
  const results = Object.fromEntries(await Promise.all(found.map(async (t, i) => [names[i], await t.data()] as const)));
  tf.dispose(found);
  return { results, ...repeated(tf, context, compute, [x, w, dy]) };
}

async function network(tf: Tf, context: PeerContext, work: NetworkWork): Promise<Prepared> {
  const x = arrayIn(tf, work.x);
  const variables = parametersIn(work, ORDERS).map(({ name, shape, data }) => {
    const matrix = name.endsWith('.up.weight') ? [shape[0], data.length / shape[0]] : shape;
    return tf.variable(tf.tensor(data, matrix));
  });
  const byName = new Map(work.parameters.map(({ name }, i) => [name, variables[i]]));
  const parameter = (name: string) => byName.get(name) as Tensor;
  const logits = () => networkForward(opsOf(tf, work.slope), work.channels.length, parameter, x);
  if (!work.training) {
    const compute = () => [tf.tidy(logits)];
    const [y] = compute();
    const results = { logits: await y.data() };
    tf.dispose([y]);
    return { results, notes: NOTES.slice(0, 1), ...repeated(tf, context, compute, [x, ...variables]) };
  }
  const oneHot = tf.tensor(oneHotOf(work).data, [work.labels.length, work.classes]);
  const optimizer = tf.train.momentum(work.rate, work.momentum);
  const step = () => [optimizer.minimize(() => lossOf(tf, logits(), oneHot), true, variables)];
  const losses: number[] = [];
  let update = new Float32Array();
  while (losses.length < CHECKED_STEPS) {
    const [loss] = step();
    losses.push((await loss.data())[0]);
    tf.dispose([loss]);
    if (losses.length === 1) {
      const now = await Promise.all(variables.map((v) => v.data()));
      update = new Float32Array(updateOf(work, now, ORDERS));
    }
  }
  const { run, destroy } = repeated(tf, context, step, [x, oneHot, ...variables]);
  return {
    ...{ results: { losses: Float32Array.from(losses), update }, notes: NOTES, run },
    destroy() {
      optimizer.dispose();
      destroy();
    },
  };
}

function opsOf(tf: Tf, slope: number): NetworkOps<Tensor> {
  /** Broadcasting at rank 5 does not compile in the WebGPU backend; samples, voxels, channels do as well. */
  const rowsOf = (x: Tensor) => tf.reshape(x, [x.shape[0], x.shape[1] * x.shape[2] * x.shape[3], x.shape[4]]);
  const biased = (x: Tensor, bias: Tensor) => tf.reshape(tf.add(rowsOf(x), bias), x.shape);
  return {
    convolution(x, weight, bias) {
      const y = tf.conv3d(x, weight, 1, 'same');
      return bias ? biased(y, bias) : y;
    },
    normActivation(x, gamma, beta) {
      const rows = rowsOf(x);
      const centred = tf.sub(rows, tf.mean(rows, [1], true));
      const scale = tf.rsqrt(tf.add(tf.mean(tf.square(centred), [1], true), EPSILON));
      const y = tf.add(tf.mul(centred, tf.mul(scale, gamma)), beta);
      return tf.reshape(tf.maximum(y, tf.mul(y, slope)), x.shape);
    },
    pool: (x) => tf.maxPool3d(x, 2, 2, 'valid'),
    up(x, weight, bias) {
      const [n, d, h, w, cin] = x.shape;
      const cout = bias.shape[0];
      const products = tf.matMul(tf.reshape(x, [n * d * h * w, cin]), weight);
      const apart = tf.reshape(products, [n * d, h, w, 2, 2, 2 * cout]);
      const joined = tf.transpose(apart, [0, 3, 1, 4, 2, 5]);
      return biased(tf.reshape(joined, [n, 2 * d, 2 * h, 2 * w, cout]), bias);
    },
    concat: (a, b) => tf.concat([a, b], 4),
  };
}

function lossOf(tf: Tf, logits: Tensor, oneHot: Tensor): Tensor {
  const rows = tf.reshape(logits, oneHot.shape);
  const p = tf.softmax(rows);
  const ce = tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(rows), oneHot), -1)));
  const shared = tf.add(tf.mul(tf.sum(tf.mul(p, oneHot), 0), 2), EPSILON);
  const total = tf.add(tf.add(tf.sum(tf.square(p), 0), tf.sum(oneHot, 0)), EPSILON);
  const dice = tf.sub(1, tf.mean(tf.div(shared, total)));
  return tf.mul(tf.add(ce, dice), 0.5);
}
