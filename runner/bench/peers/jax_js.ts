/** jax-js with its WebGPU backend (npm @jax-js/jax). Its arrays are taken by the op that gets them; `ref` holds on to one. */
import { inSlabs, SLABS, same, slabsOf, upsampled } from './jax_js_convolution.ts';
import { arrayIn, dispose, type Jax, type Value } from './jax_js_library.ts';
import { CHANNELS_FIRST, inverse, OUT_IN_TAPS, oneHotOf, parametersIn, permuted, updateOf } from './layout.ts';
import { type NetworkOps, networkForward } from './network.ts';
import {
  CHECKED_STEPS,
  type ConvolutionWork,
  EPSILON,
  type NetworkWork,
  type OpenPeer,
  type PeerContext,
  type Prepared,
} from './protocol.ts';

/** Of an up weight the filters of a 1x1x1 convolution: [(out, z, y, x), in]. */
const ORDERS = { convolution: OUT_IN_TAPS, up: [4, 0, 1, 2, 3] };
const NOTES = ['transposed convolution as 1x1x1 convolution and transpose: less work than its own on a dilated volume'];

export const openJaxJs: OpenPeer = async (context) => {
  const jax = (await context.load('@jax-js/jax')) as Jax;
  await jax.init('webgpu');
  return {
    backend: jax.defaultDevice('webgpu'),
    prepare: (work) => (work.kind === 'convolution' ? convolution(jax, context, work) : network(jax, context, work)),
  };
};

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

async function network(jax: Jax, context: PeerContext, work: NetworkWork): Promise<Prepared> {
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
      ...{ results: { logits }, notes: NOTES, ...repeated(jax, context, once) },
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
    notes: slabsOf(volume.shape.slice(1)) > 1 ? [...NOTES, SLABS] : NOTES,
    ...repeated(jax, context, once),
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
    up: (x, weight, bias) => upsampled(jax, x, weight, convolved).add(perChannel(bias)),
    concat: (a, b) => np.concatenate([a, b], 1),
    again: (x) => x.ref,
  };
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
