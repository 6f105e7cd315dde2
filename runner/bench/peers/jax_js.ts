/** jax-js with its WebGPU backend (npm @jax-js/jax). Its arrays are taken by the op that gets them; `ref` holds on to one. */
import { CHANNELS_FIRST, inverse, OUT_IN_TAPS, oneHotOf, parametersIn, permuted, updateOf } from './layout.ts';
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

/** What is used of the library, 0.1. */
interface Value {
  readonly shape: number[];
  readonly ref: Value;
  data(): Promise<Float32Array>;
  dispose(): void;
  reshape(shape: readonly number[]): Value;
  slice(...ranges: readonly (readonly number[])[]): Value;
  add(other: Value | number): Value;
  sub(other: Value): Value;
  mul(other: Value | number): Value;
  div(other: Value): Value;
}
type Tree = Value | readonly Tree[];
interface Jax {
  init(device: 'webgpu'): Promise<readonly string[]>;
  defaultDevice(device?: 'webgpu'): string;
  blockUntilReady(tree: Tree): Promise<unknown>;
  jit<F>(f: F): F;
  vjp(f: (...inputs: Value[]) => Value, inputs: readonly Value[]): [Value, (dy: Value) => Value[]];
  valueAndGrad(f: (parameters: Value[], ...rest: Value[]) => Value): (p: Value[], ...rest: Value[]) => [Value, Value[]];
  readonly numpy: {
    array(values: Float32Array): Value;
    zeros(shape: readonly number[]): Value;
    mean(x: Value, axes?: readonly number[], options?: { keepdims: boolean }): Value;
    sum(x: Value, axes?: readonly number[] | number): Value;
    max(x: Value): Value;
    square(x: Value): Value;
    sqrt(x: Value): Value;
    transpose(x: Value, order: readonly number[]): Value;
    concatenate(values: readonly Value[], axis: number): Value;
    pad(x: Value, widths: readonly (readonly number[])[]): Value;
  };
  readonly nn: {
    leakyRelu(x: Value, slope: number): Value;
    softmax(x: Value, axis: number): Value;
    logSoftmax(x: Value, axis: number): Value;
  };
  readonly lax: {
    convGeneralDilated(
      x: Value,
      w: Value,
      strides: readonly number[],
      padding: 'SAME' | readonly (readonly number[])[],
    ): Value;
    convTranspose(
      x: Value,
      w: Value,
      strides: readonly number[],
      padding: 'VALID',
      options: { transposeKernel: boolean },
    ): Value;
    reduceWindow(
      x: Value,
      reduce: (window: Value) => Value,
      size: readonly number[],
      strides: readonly number[],
    ): Value;
  };
}

/** Of an up weight the filters of a 1x1x1 convolution: [(out, z, y, x), in]. */
const ORDERS = { convolution: OUT_IN_TAPS, up: [4, 0, 1, 2, 3] };
const ONES = [1, 1, 1];

export const openJaxJs: OpenPeer = async (context) => {
  const jax = (await context.load('@jax-js/jax')) as Jax;
  await jax.init('webgpu');
  const notes = [await transposedNote(jax)];
  return {
    backend: jax.defaultDevice('webgpu'),
    prepare: (work) =>
      work.kind === 'convolution' ? convolution(jax, context, work) : network(jax, context, work, notes),
  };
};

function dispose(values: readonly Value[]): void {
  for (const value of values) value.dispose();
}

function arrayIn({ numpy }: Jax, { shape, data }: HostArray): Value {
  return numpy.array(data).reshape(shape);
}

function same({ lax }: Jax, x: Value, w: Value): Value {
  return lax.convGeneralDilated(x, w, ONES, 'SAME');
}

/** Beyond so many voxels a sample, 0.1.25 gives wrong gradients of weights, on every adapter that was tried. */
const MOST_VOXELS = 32768;
const SLABS = `convolutions of more than ${MOST_VOXELS} voxels in slabs along z: the gradient of their weights is wrong otherwise`;

/** How many equal slabs along z have no more than MOST_VOXELS voxels each. */
function slabsOf([depth, height, width]: readonly number[]): number {
  let slabs = 1;
  while (slabs < depth && (depth % slabs !== 0 || (depth / slabs) * height * width > MOST_VOXELS)) slabs++;
  return slabs;
}

/** The same convolution with slabs that overlap by the kernel, for gradients. */
function inSlabs(jax: Jax, x: Value, w: Value): Value {
  const { numpy: np, lax } = jax;
  const slabs = slabsOf(x.shape.slice(2));
  if (slabs === 1) return same(jax, x, w);
  const depth = x.shape[2] / slabs;
  const [z, y, side] = w.shape.slice(2).map((extent) => extent >> 1);
  const none = [0, 0];
  const padded = z > 0 ? np.pad(x, [none, none, [z, z], none, none]) : x;
  const parts = Array.from({ length: slabs }, (_, i) =>
    lax.convGeneralDilated(
      (i < slabs - 1 ? padded.ref : padded).slice([], [], [i * depth, (i + 1) * depth + 2 * z]),
      i < slabs - 1 ? w.ref : w,
      ONES,
      [none, [y, y], [side, side]],
    ),
  );
  return np.concatenate(parts, 2);
}

async function convolution(jax: Jax, context: PeerContext, work: ConvolutionWork): Promise<Prepared> {
  const weights = permuted(work.w, OUT_IN_TAPS);
  const inputs = [permuted(work.x, CHANNELS_FIRST), weights, permuted(work.dy, CHANNELS_FIRST)].map((values) =>
    arrayIn(jax, values),
  );
  const forward = jax.jit((x: Value, w: Value): Value[] => [same(jax, x, w)]);
  const both = jax.jit((x: Value, w: Value, dy: Value): Value[] => {
    const [y, pull] = jax.vjp((a, b) => inSlabs(jax, a, b), [x, w]);
    return [y, ...pull(dy)];
  });
  const [x, w, dy] = inputs;
  const once = () => (work.gradients ? both(x.ref, w.ref, dy.ref) : forward(x.ref, w.ref));
  const [y, dx, dw] = await Promise.all(once().map(inOurs(work)));
  return {
    results: work.gradients ? { y, dx, dw } : { y },
    notes: work.gradients && slabsOf(work.x.shape.slice(1)) > 1 ? [SLABS] : [],
    ...repeated(jax, context, once),
    destroy: () => dispose(inputs),
  };
}

/** Results i of a convolution in our layout. */
function inOurs({ x, w, dy }: ConvolutionWork): (value: Value, i: number) => Promise<Float32Array> {
  const shapes = [dy.shape, x.shape, w.shape];
  return async (value, i) => {
    const order = i === 2 ? OUT_IN_TAPS : CHANNELS_FIRST;
    const data = new Float32Array(await value.data());
    return permuted({ shape: order.map((axis) => shapes[i][axis]), data }, inverse(order)).data;
  };
}

/** Waits for the last results and for the queue, as everywhere. */
function repeated(jax: Jax, { device }: PeerContext, compute: () => readonly Value[]) {
  return {
    async run(times: number) {
      for (let i = 1; i < times; i++) dispose(compute());
      const last = compute();
      await jax.blockUntilReady(last);
      await device.queue.onSubmittedWorkDone();
      dispose(last);
    },
  };
}

async function network(jax: Jax, context: PeerContext, work: NetworkWork, notes: readonly string[]): Promise<Prepared> {
  const { channels, classes, x: volume, rate, momentum } = work;
  const names = work.parameters.map(({ name }) => name);
  const x = arrayIn(jax, permuted(volume, CHANNELS_FIRST));
  let parameters = parametersIn(work, ORDERS).map(({ name, shape, data }) =>
    arrayIn(jax, { shape: name.endsWith('.up.weight') ? [data.length / shape[4], shape[4], 1, 1, 1] : shape, data }),
  );
  const logitsOf = (values: Value[], input: Value) =>
    networkForward(opsOf(jax, work), channels.length, (name) => values[names.indexOf(name)], input);
  if (!work.training) {
    const forward = jax.jit(logitsOf);
    const once = () => [
      forward(
        parameters.map((value) => value.ref),
        x.ref,
      ),
    ];
    const [y] = once();
    const shape = [volume.shape[0], classes, ...volume.shape.slice(1, 4)];
    const logits = permuted({ shape, data: new Float32Array(await y.data()) }, inverse(CHANNELS_FIRST)).data;
    return {
      ...{ results: { logits }, notes, ...repeated(jax, context, once) },
      destroy: () => dispose([x, ...parameters]),
    };
  }
  const oneHot = arrayIn(jax, permuted(oneHotOf(work), CHANNELS_FIRST));
  const lossAndGradients = jax.valueAndGrad((values, input, target) => lossOf(jax, logitsOf(values, input), target));
  const step = jax.jit((values: Value[], moments: Value[], input: Value, target: Value): [Value, Value[], Value[]] => {
    const [loss, gradients] = lossAndGradients(
      values.map((value) => value.ref),
      input,
      target,
    );
    const next = moments.map((moment, i) => moment.mul(momentum).add(gradients[i]));
    return [loss, values.map((value, i) => value.sub(next[i].ref.mul(rate))), next];
  });
  let moments = parameters.map((value) => jax.numpy.zeros(value.shape));
  const once = () => {
    const [loss, values, next] = step(parameters, moments, x.ref, oneHot.ref);
    parameters = values;
    moments = next;
    return [loss];
  };
  const losses: number[] = [];
  let update = new Float32Array();
  while (losses.length < CHECKED_STEPS) {
    losses.push((await once()[0].data())[0]);
    if (losses.length > 1) continue;
    const now = await Promise.all(parameters.map((value) => value.ref.data()));
    update = new Float32Array(updateOf(work, now, ORDERS));
  }
  return {
    results: { losses: Float32Array.from(losses), update },
    notes: slabsOf(volume.shape.slice(1)) > 1 ? [...notes, SLABS] : notes,
    async run(times) {
      const { run } = repeated(jax, context, once);
      await run(times);
    },
    destroy: () => dispose([x, oneHot, ...parameters, ...moments]),
  };
}

function opsOf(jax: Jax, { slope, training }: NetworkWork): NetworkOps<Value> {
  const convolved = training ? inSlabs : same;
  const { numpy: np, lax, nn } = jax;
  const keep = { keepdims: true };
  const voxels = [2, 3, 4];
  const perChannel = (vector: Value) => vector.reshape([1, vector.shape[0], 1, 1, 1]);
  return {
    convolution(x, weight, bias) {
      const y = convolved(jax, x, weight);
      return bias ? y.add(perChannel(bias)) : y;
    },
    normActivation(x, gamma, beta) {
      const centred = x.ref.sub(np.mean(x, voxels, keep));
      const deviation = np.sqrt(np.mean(np.square(centred.ref), voxels, keep).add(EPSILON));
      return nn.leakyRelu(centred.div(deviation).mul(perChannel(gamma)).add(perChannel(beta)), slope);
    },
    pool: (x) => lax.reduceWindow(x, np.max, [1, 1, 2, 2, 2], [1, 1, 2, 2, 2]),
    up: (x, weight, bias) => upsampled(jax, x, weight).add(perChannel(bias)),
    concat: (a, b) => np.concatenate([a, b], 1),
    again: (x) => x.ref,
  };
}

/** Transposed convolution, kernel and stride 2, as a 1x1x1 convolution to eight times the channels that are then spread. */
function upsampled(jax: Jax, x: Value, weight: Value): Value {
  const [n, , d, h, w] = x.shape;
  const cout = weight.shape[0] / 8;
  const apart = same(jax, x, weight).reshape([n, cout, 2, 2, 2, d, h, w]);
  return jax.numpy.transpose(apart, [0, 1, 5, 2, 6, 3, 7, 4]).reshape([n, cout, 2 * d, 2 * h, 2 * w]);
}

/** Compares the library's own transposed convolution with the one above, which the checks against ours hold to be right. */
async function transposedNote(jax: Jax): Promise<string> {
  const [cin, cout, d, h, w] = [8, 4, 4, 6, 4];
  const wave = (shape: readonly number[], step: number): HostArray => ({
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(step * i)),
  });
  const x = arrayIn(jax, wave([1, cin, d, h, w], 0.7));
  const weight = wave([cin, cout, 2, 2, 2], 0.3);
  const right = upsampled(
    jax,
    x.ref,
    arrayIn(jax, permuted(weight, [1, 2, 3, 4, 0])).reshape([8 * cout, cin, 1, 1, 1]),
  );
  const own = jax.lax.convTranspose(x, arrayIn(jax, weight), [2, 2, 2], 'VALID', { transposeKernel: true });
  const [expected, found] = await Promise.all([right.data(), own.data()]);
  const wrong = found.length !== expected.length || found.some((value, i) => !(Math.abs(value - expected[i]) < 1e-3));
  return `transposed convolution as 1x1x1 convolution and transpose${wrong ? ': its own (stride 2) gives wrong values here' : ''}`;
}

function lossOf({ numpy: np, nn }: Jax, logits: Value, oneHot: Value): Value {
  const perClass = [0, 2, 3, 4];
  const voxels = logits.shape[0] * logits.shape[2] * logits.shape[3] * logits.shape[4];
  const p = nn.softmax(logits.ref, 1);
  const ce = np.sum(nn.logSoftmax(logits, 1).mul(oneHot.ref)).mul(-1 / voxels);
  const shared = np.sum(p.ref.mul(oneHot.ref), perClass).mul(2).add(EPSILON);
  const total = np.sum(np.square(p), perClass).add(np.sum(oneHot, perClass)).add(EPSILON);
  const dice = np.mean(shared.div(total)).mul(-1).add(1);
  return ce.add(dice).mul(0.5);
}
