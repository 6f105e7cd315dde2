/** `doctor`'s self-test: kernels of a training step, forward and backward, against the float64 loops of test/reference. */
import { Device, type DeviceTraits } from '../../engine/device.ts';
import type { MatrixUnit } from '../../engine/matrix_unit.ts';
import { leakyRelu } from '../../engine/ops/activation.ts';
import { convTranspose3d } from '../../engine/ops/conv_transpose3d.ts';
import { conv3d } from '../../engine/ops/conv3d.ts';
import { CONV3D, CONV3D_GRAD_WEIGHT } from '../../engine/ops/conv3d_ways.ts';
import { crossEntropy } from '../../engine/ops/cross_entropy.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { maxPool3d } from '../../engine/ops/max_pool3d.ts';
import { instanceNorm } from '../../engine/ops/norm.ts';
import { softmax } from '../../engine/ops/softmax.ts';
import { compute } from '../../engine/program.ts';
import type { Recording } from '../../engine/recording.ts';
import type { Tensor } from '../../engine/tensor.ts';
import * as transposed from '../../test/reference/conv_transpose3d.ts';
import * as conv from '../../test/reference/conv3d.ts';
import { crossEntropyGrad, crossEntropy as crossEntropyReference } from '../../test/reference/cross_entropy.ts';
import { type Dense, dense, halves, random } from '../../test/reference/dense.ts';
import { leakyReluGrad, leakyRelu as leakyReluReference } from '../../test/reference/leaky_relu.ts';
import { matmulGrad, matmul as matmulReference } from '../../test/reference/matmul.ts';
import { maxPool3dGrad, maxPool3d as maxPoolReference } from '../../test/reference/max_pool3d.ts';
import { instanceNormGrad, instanceNorm as instanceNormReference } from '../../test/reference/norm.ts';
import { softmaxGrad, softmax as softmaxReference } from '../../test/reference/softmax.ts';
import type { OpenedGpu } from '../host/opened_gpu.ts';
import type { SelfTestLine } from './doctor.ts';
import { trainingCheck } from './self_test_training.ts';

interface Check {
  readonly name: string;
  readonly inputs: readonly Dense[];
  readonly op: (rec: Recording, inputs: readonly Tensor[]) => Tensor;
  readonly expected: Dense;
  /** Of every input, in their order, for an output gradient, `dy`. */
  readonly gradients: (dy: Dense) => readonly Dense[];
  /** Default random. */
  readonly dy?: Dense;
  /** Length of the longest sum behind one value. */
  readonly terms: number;
  /** The kernels to compare; default FAMILIES. */
  readonly families?: readonly DeviceTraits[];
}

const LEAKY = { kind: 'leaky_relu', slope: 0.01 } as const;

/** Odd sizes, so that no tile is full. */
function checks(): Check[] {
  const x = random([2, 5, 7, 9, 6], 1);
  const w = random([3, 3, 3, 6, 5], 2);
  const [wide, w16] = [random([1, 4, 7, 30, 6], 9), random([3, 3, 3, 6, 16], 10)];
  const up = random([2, 2, 2, 6, 5], 3);
  const [gamma, beta] = [random([6], 4), random([6], 5)];
  const normal = instanceNormReference(wide, gamma, beta).y;
  const activated = leakyReluReference(normal, LEAKY.slope);
  const same = { stride: [1, 1, 1], padding: [1, 1, 1] } as const;
  const double = { stride: [2, 2, 2], padding: [0, 0, 0] } as const;
  const voxels = 2 * 5 * 7 * 9;
  const [a, b] = [random([37, 53], 6), random([53, 11], 7)];
  const labels = random([voxels], 8).data.map((v) => Math.floor(3 * (v + 1)));
  return [
    {
      name: 'conv3d 3x3x3',
      inputs: [x, w],
      op: (rec, [a, b]) => conv3d(rec, a, b, null, same),
      expected: conv.conv3d(x, w, null, same),
      gradients: (dy) => [conv.conv3dGradInput(dy, w, x.shape, same), conv.conv3dGradWeight(x, dy, w.shape, same)],
      terms: voxels,
    },
    {
      name: 'conv3d 3x3x3 in workgroup memory',
      inputs: [wide, w16],
      op: (rec, [a, b]) => conv3d(rec, a, b, null, same),
      expected: conv.conv3d(wide, w16, null, same),
      gradients: (dy) => [
        conv.conv3dGradInput(dy, w16, wide.shape, same),
        conv.conv3dGradWeight(wide, dy, w16.shape, same),
      ],
      terms: 4 * 7 * 30,
      families: BOXES,
    },
    {
      name: 'conv3d 3x3x3 that applies norm and activation while it reads',
      inputs: [wide, gamma, beta, w16],
      op: (rec, [a, b, c, d]) => conv3d(rec, instanceNorm(rec, a, b, c, { activation: LEAKY }), d, null, same),
      expected: conv.conv3d(activated, w16, null, same),
      gradients: (dy) => {
        const dact = conv.conv3dGradInput(dy, w16, activated.shape, same);
        const { dx, dgamma, dbeta } = instanceNormGrad(wide, gamma, leakyReluGrad(normal, dact, LEAKY.slope));
        return [dx, dgamma, dbeta, conv.conv3dGradWeight(activated, dy, w16.shape, same)];
      },
      terms: 4 * 7 * 30,
      families: BOXES,
    },
    {
      name: 'conv_transpose3d 2x2x2',
      inputs: [x, up],
      op: (rec, [a, b]) => convTranspose3d(rec, a, b, null, double),
      expected: transposed.convTranspose3d(x, up, null, double),
      gradients: (dy) => [
        transposed.convTranspose3dGradInput(dy, up, x.shape, double),
        transposed.convTranspose3dGradWeight(x, dy, up.shape, double),
      ],
      terms: voxels,
    },
    {
      name: 'instance_norm',
      inputs: [x, gamma, beta],
      op: (rec, [a, b, c]) => instanceNorm(rec, a, b, c),
      expected: instanceNormReference(x, gamma, beta).y,
      gradients: (dy) => {
        const { dx, dgamma, dbeta } = instanceNormGrad(x, gamma, dy);
        return [dx, dgamma, dbeta];
      },
      terms: voxels,
    },
    {
      name: 'leaky_relu',
      inputs: [x],
      op: (rec, [a]) => leakyRelu(rec, a),
      expected: leakyReluReference(x),
      gradients: (dy) => [leakyReluGrad(x, dy)],
      terms: 1,
    },
    {
      name: 'max_pool3d',
      inputs: [x],
      op: (rec, [a]) => maxPool3d(rec, a, 2),
      expected: maxPoolReference(x, [2, 2, 2]),
      gradients: (dy) => [maxPool3dGrad(x, dy, [2, 2, 2])],
      terms: 1,
    },
    {
      name: 'softmax',
      inputs: [x],
      op: (rec, [a]) => softmax(rec, a),
      expected: softmaxReference(x),
      gradients: (dy) => [softmaxGrad(softmaxReference(x), dy)],
      terms: 16,
    },
    {
      name: 'matmul',
      inputs: [a, b],
      op: (rec, [c, d]) => matmul(rec, c, d),
      expected: matmulReference(a, b),
      gradients: (dy) => {
        const { da, db } = matmulGrad(a, b, dy);
        return [da, db];
      },
      terms: 53,
    },
    {
      name: 'cross_entropy',
      inputs: [x],
      op: (rec, [c]) =>
        crossEntropy(rec, c, rec.device.tensor([voxels], 'labels', { dtype: 'u32', dense: true, data: labels })),
      expected: dense([1], [crossEntropyReference(x, labels)]),
      gradients: (dy) => {
        const gradient = crossEntropyGrad(x, labels);
        return [
          dense(
            gradient.shape,
            gradient.data.map((v) => v * dy.data[0]),
          ),
        ];
      },
      terms: 64,
    },
  ];
}

/** What `--precision matrix` trusts, in channels that fill the unit, as no other kernels would serve then. */
function matrixCheck(unit: MatrixUnit): Check {
  const { m, n, k } = unit;
  const channels = 2 * Math.max(m, n, k);
  const same = { stride: [1, 1, 1], padding: [1, 1, 1] } as const;
  const [x, w] = [halves([1, 3, 7, 30, channels], 11), halves([3, 3, 3, channels, channels], 12)];
  return {
    name: `conv3d 3x3x3 on matrix units of ${m} x ${n} x ${k}`,
    inputs: [x, w],
    op: (rec, [a, b]) => conv3d(rec, a, b, null, { ...same, products: 'f16' }),
    expected: conv.conv3d(x, w, null, same),
    dy: halves([1, 3, 7, 30, channels], 13),
    gradients: (dy) => [conv.conv3dGradInput(dy, w, x.shape, same), conv.conv3dGradWeight(x, dy, w.shape, same)],
    terms: 27 * channels,
    families: [{ software: false, matrixUnit: unit }],
  };
}

/** Which kernels ops choose: those for hardware, for software adapters, and for llvmpipe. */
const FAMILIES: readonly DeviceTraits[] = [
  { software: false },
  { software: true },
  { software: true, kind: 'llvmpipe' },
];

/** What GPUs take for large volumes, NVIDIA's by F(4, 3); an adapter with little workgroup memory takes another way. */
const BOXES: readonly DeviceTraits[] = CONV3D.ways
  .filter(({ name }) => /^tiled (4x8x4 x4 c4 staged|(4x8x2 x8 c4|4x4x4 x8 c2) staged winograd)$/.test(name))
  .map(({ name }) => {
    const chosen: Record<string, string> = { [CONV3D.op]: name, [CONV3D_GRAD_WEIGHT.op]: 'planes 7x32 c2x2' };
    return { software: false, choose: (op) => chosen[op] };
  });

/**
 * One line a kernel: the largest error of output and gradients over all families of kernels, and whether float32 explains it;
 * then one for a training step. Matrix units of software adapters are left out, as these compile their kernels for minutes.
 */
export async function selfTest(opened: Pick<OpenedGpu, 'device' | 'software' | 'matrixUnit'>): Promise<SelfTestLine[]> {
  const { device: gpu, software, matrixUnit } = opened;
  const lines: SelfTestLine[] = [];
  for (const check of [...checks(), ...(matrixUnit && !software ? [matrixCheck(matrixUnit)] : [])]) {
    const line: SelfTestLine = { name: `${check.name} and its gradients`, maxError: 0, ok: true };
    for (const traits of check.families ?? FAMILIES) {
      const device = new Device(gpu, traits);
      try {
        const { error, ok } = await worst(device, check);
        line.maxError = Math.max(line.maxError, error);
        line.ok &&= ok;
      } finally {
        device.destroy();
      }
    }
    lines.push(line);
  }
  return [...lines, await trainingCheck(gpu)];
}

async function worst(
  device: Device,
  { inputs, op, expected, dy = random(expected.shape, 99), gradients, terms }: Check,
) {
  const upload = ({ shape, data }: Dense, label: string) => device.tensor(shape, label, { data });
  const seed = upload(dy, 'dy');
  const leaves = inputs.map((value, i) => ({
    ...upload(value, `input ${i}`),
    requiresGrad: true,
    grad: device.tensor(value.shape, `gradient ${i}`),
  }));
  const results = await compute(device, (rec) => {
    const y = op(rec, leaves);
    rec.backward(y, { seed, leaves });
    return Object.fromEntries([y, ...leaves.map(({ grad }) => grad)].map((t, i) => [i, t])) as Record<string, Tensor>;
  });
  const pairs = [expected, ...gradients(dy)].map((value, i) => compare(results[i], value, terms));
  return { error: Math.max(...pairs.map(({ error }) => error)), ok: pairs.every(({ ok }) => ok) };
}

/** Largest absolute error; fine below 1e-6 + terms * 2^-24 * the largest value. NaN is infinitely wrong. */
function compare(actual: ArrayLike<number>, { data }: Dense, terms: number): { error: number; ok: boolean } {
  let error = actual.length === data.length ? 0 : Infinity;
  let scale = 0;
  for (let i = 0; i < data.length; i++) {
    const difference = Math.abs(actual[i] - data[i]);
    error = Math.max(error, Number.isNaN(difference) ? Infinity : difference);
    scale = Math.max(scale, Math.abs(data[i]));
  }
  return { error, ok: error <= 1e-6 + terms * 2 ** -24 * scale };
}
