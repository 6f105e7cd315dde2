/** ONNX Runtime web with its WebGPU execution provider (npm onnxruntime-web). It predicts only. */
import { CHANNELS_FIRST, inverse, OUT_IN_TAPS, parametersIn, permuted } from './layout.ts';
import { type NetworkOps, networkForward } from './network.ts';
import { OnnxGraph } from './onnx_model.ts';
import { EPSILON, type OpenPeer, type PeerContext, type Prepared, Unsupported, type Work } from './protocol.ts';

/** What is used of the library, 1.30. */
interface OrtTensor {
  getData(): Promise<Float32Array>;
  dispose(): void;
}
interface Session {
  readonly outputNames: readonly string[];
  run(feeds: Readonly<Record<string, OrtTensor>>): Promise<Readonly<Record<string, OrtTensor>>>;
  release(): Promise<void>;
}
interface Ort {
  readonly env: {
    readonly wasm: { numThreads: number; wasmBinary: Uint8Array; wasmPaths: { mjs: string; wasm: string } };
  };
  readonly InferenceSession: { create(model: Uint8Array, options: object): Promise<Session> };
  readonly Tensor: {
    new (type: 'float32', data: Float32Array, dims: readonly number[]): OrtTensor;
    fromGpuBuffer(
      buffer: GPUBuffer,
      options: { dataType: 'float32'; dims: readonly number[]; dispose: () => void },
    ): OrtTensor;
  };
}

const PACKAGE = 'onnxruntime-web';
const RUNTIME = 'dist/ort-wasm-simd-threaded.asyncify';
/** Of an up weight the filters of a 1x1x1 convolution: [(out, z, y, x), in]. */
const ORDERS = { convolution: OUT_IN_TAPS, up: [4, 0, 1, 2, 3] };
const NOTES = ['transposed convolution as 1x1x1 convolution and transpose: there is none in 3D'];

export const openOnnxRuntime: OpenPeer = async (context) => {
  const ort = (await context.load(PACKAGE, 'dist/ort.webgpu.bundle.min.mjs')) as Ort;
  const [program, module] = [context.file(PACKAGE, `${RUNTIME}.wasm`), context.file(PACKAGE, `${RUNTIME}.mjs`)];
  Object.assign(ort.env.wasm, {
    ...{ numThreads: 1, wasmBinary: program.bytes, wasmPaths: { mjs: module.url, wasm: program.url } },
  });
  return { backend: 'webgpu, no CPU fallback', prepare: (work) => prepare(ort, context, work) };
};

async function prepare(ort: Ort, { device }: PeerContext, work: Work): Promise<Prepared> {
  if (work.kind === 'convolution' ? work.gradients : work.training) throw new Unsupported('it has no gradients');
  const graph = new OnnxGraph();
  const input = permuted(work.x, CHANNELS_FIRST);
  const channels = work.kind === 'convolution' ? work.w.shape[4] : work.classes;
  const shape = [input.shape[0], channels, ...input.shape.slice(2)];
  const output =
    work.kind === 'convolution'
      ? graph.node('Conv', ['x', graph.constant('w', permuted(work.w, OUT_IN_TAPS))], { pads: [1, 1, 1, 1, 1, 1] })
      : networkOutput(graph, work, input.shape);
  const session = await ort.InferenceSession.create(graph.model(input.shape, output, shape), {
    executionProviders: [{ name: 'webgpu', device }],
    preferredOutputLocation: 'gpu-buffer',
    extra: { session: { disable_cpu_ep_fallback: '1' } },
  });
  const buffer = device.createBuffer({ size: 4 * input.data.length, usage: 0x80 | 0x08 | 0x04 }); // STORAGE | COPY_DST | COPY_SRC
  device.queue.writeBuffer(buffer, 0, input.data);
  const x = ort.Tensor.fromGpuBuffer(buffer, {
    dataType: 'float32',
    dims: input.shape,
    dispose: () => buffer.destroy(),
  });
  const once = async () => (await session.run({ x }))[output];
  const first = await once();
  const data = new Float32Array(await first.getData());
  first.dispose();
  const found = permuted({ shape, data }, inverse(CHANNELS_FIRST)).data;
  return {
    results: work.kind === 'convolution' ? { y: found } : { logits: found },
    notes: work.kind === 'convolution' ? [] : NOTES,
    async run(times) {
      for (let i = 0; i < times; i++) (await once()).dispose();
      await device.queue.onSubmittedWorkDone();
    },
    destroy() {
      x.dispose();
      void session.release();
    },
  };
}

/** A value of the graph: its name and shape [N, C, D, H, W]; vectors have one axis. */
interface Node {
  readonly name: string;
  readonly shape: readonly number[];
}

function networkOutput(graph: OnnxGraph, work: Extract<Work, { kind: 'network' }>, shape: readonly number[]): string {
  const constants = new Map(parametersIn(work, ORDERS).map((values) => [values.name, values]));
  const parameter = (name: string): Node => {
    const { shape: at, data } = constants.get(name) as { shape: readonly number[]; data: Float32Array<ArrayBuffer> };
    const filters = name.endsWith('.up.weight') ? [data.length / at[4], at[4], 1, 1, 1] : at;
    return { name: graph.constant(name, { shape: filters, data }), shape: filters };
  };
  return networkForward(opsOf(graph, work.slope), work.channels.length, parameter, { name: 'x', shape }).name;
}

function opsOf(graph: OnnxGraph, slope: number): NetworkOps<Node> {
  const convolution = (x: Node, weight: Node, bias?: Node): Node => {
    const [cout, , ...kernel] = weight.shape;
    const half = kernel.map((extent) => extent >> 1);
    const inputs = [x.name, weight.name, ...(bias ? [bias.name] : [])];
    const name = graph.node('Conv', inputs, { kernel_shape: kernel, pads: [...half, ...half] });
    return { name, shape: [x.shape[0], cout, ...x.shape.slice(2)] };
  };
  return {
    convolution,
    normActivation(x, gamma, beta) {
      const inputs = [x.name, gamma.name, beta.name];
      const y = graph.node('InstanceNormalization', inputs, { epsilon: { float: EPSILON } });
      return { name: graph.node('LeakyRelu', [y], { alpha: { float: slope } }), shape: x.shape };
    },
    pool({ name, shape: [n, c, ...size] }) {
      const attributes = { kernel_shape: [2, 2, 2], strides: [2, 2, 2] };
      return { name: graph.node('MaxPool', [name], attributes), shape: [n, c, ...size.map((extent) => extent / 2)] };
    },
    up(x, weight, bias) {
      const [n, , d, h, w] = x.shape;
      const cout = weight.shape[0] / 8;
      const shape = [n, cout, 2 * d, 2 * h, 2 * w];
      const reshaped = (name: string, to: readonly number[]) => graph.node('Reshape', [name, graph.integers(to)]);
      const apart = reshaped(convolution(x, weight).name, [n * cout, 2, 2, 2, d, h, w]);
      const joined = reshaped(graph.node('Transpose', [apart], { perm: [0, 4, 1, 5, 2, 6, 3] }), shape);
      return { name: graph.node('Add', [joined, reshaped(bias.name, [1, cout, 1, 1, 1])]), shape };
    },
    concat: (a, b) => ({
      name: graph.node('Concat', [a.name, b.name], { axis: 1 }),
      shape: [a.shape[0], a.shape[1] + b.shape[1], ...a.shape.slice(2)],
    }),
  };
}
