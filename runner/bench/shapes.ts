/** Which kernels are timed on which shapes. */
import * as v from 'valibot';
import { DataError } from '../../engine/errors.ts';
import { unetSettings } from '../../engine/nn/unet3d_config.ts';
import { unetSpecs } from '../../engine/nn/unet3d_specs.ts';
import { padChannels, product, type Triple } from '../../engine/shape.ts';

/** The ops that can be timed, runner/bench/ops.ts. */
export const KERNEL_OPS = [
  'conv3d',
  'conv3d_f16',
  'conv_transpose3d',
  'norm',
  'max_pool3d',
  'concat',
  'loss',
  'softmax',
  'add',
  'matmul',
  'sgd',
] as const;
export type KernelOpName = (typeof KERNEL_OPS)[number];

const count = v.pipe(v.number(), v.integer(), v.minValue(1));

const Shape = v.strictObject({
  op: v.picklist(KERNEL_OPS),
  /** As tables show it and baselines find it. */
  name: v.string(),
  /** Of the first input: [N, D, H, W, C], matmul [M, K], sgd [parameters]. */
  input: v.pipe(v.array(count), v.minLength(1), v.maxLength(5)),
  /** Output channels of convolutions, columns of the second matrix. */
  out: v.optional(count),
  /** Of convolutions, [z, y, x]; default 3 (stride 1, padded), of transposed ones and pooling 2 (stride 2). */
  kernel: v.optional(v.tuple([count, count, count])),
});

/** What a kernel is timed on, as a file of --shapes has it. */
export type KernelShape = v.InferOutput<typeof Shape>;

/** Axes of the first input, and whether `out` is needed. */
const WANTED: Record<KernelOpName, { axes: number; out: boolean }> = {
  ...{ conv3d: { axes: 5, out: true }, conv3d_f16: { axes: 5, out: true } },
  ...{ conv_transpose3d: { axes: 5, out: true }, matmul: { axes: 2, out: true } },
  ...{ norm: { axes: 5, out: false }, max_pool3d: { axes: 5, out: false }, concat: { axes: 5, out: false } },
  ...{ loss: { axes: 5, out: false }, softmax: { axes: 5, out: false }, add: { axes: 5, out: false } },
  sgd: { axes: 1, out: false },
};

/** Errors: DataError naming the file and every entry that is wrong. */
export function parseShapes(value: unknown, file: string): KernelShape[] {
  const result = v.safeParse(v.pipe(v.array(Shape), v.minLength(1)), value);
  const problems = result.success
    ? result.output.flatMap((shape, i) => {
        const { axes, out } = WANTED[shape.op];
        if (shape.input.length !== axes) return [`entry ${i}: ${shape.op} takes an input of ${axes} axes`];
        if (out !== (shape.out !== undefined)) return [`entry ${i}: ${shape.op} ${out ? 'needs' : 'has no'} 'out'`];
        return [];
      })
    : result.issues.map(
        (issue) => `'${v.getDotPath(issue) ?? '(top level)'}' is ${issue.received}, expected ${issue.expected}`,
      );
  if (result.success && problems.length === 0) return result.output;
  throw new DataError(
    `${file} is no list of shapes: ${problems.join('; ')}; an entry is {"op": "conv3d", "name": "A", "input": [1, 32, 32, 32, 16], "out": 16}`,
  );
}

/** Shapes A and B, on which other WebGPU libraries were measured too. */
export const PEER_SHAPES: readonly KernelShape[] = [
  { op: 'conv3d', name: 'A', input: [1, 32, 32, 32, 16], out: 16 },
  { op: 'conv3d', name: 'B', input: [1, 32, 48, 32, 8], out: 8 },
];

/**
 * A and B, a square matrix product, and everything of a U-Net's training step; on GPUs with matrix units its convolutions by
 * these too.
 */
export function defaultShapes(software: boolean, matrixUnit = false): KernelShape[] {
  const side = software ? 256 : 2048;
  const square: KernelShape = { op: 'matmul', name: `${side}^3`, input: [side, side], out: side };
  const network = software
    ? unetShapes([8, 16, 32, 64], 2, [32, 48, 32])
    : unetShapes([16, 32, 64, 128, 256], 2, [80, 112, 112]);
  const wide = network.filter(({ op, input, kernel }) => op === 'conv3d' && input[4] > 1 && !kernel);
  const rounded = matrixUnit && !software ? wide.map((shape): KernelShape => ({ ...shape, op: 'conv3d_f16' })) : [];
  return [...PEER_SHAPES, ...network, ...rounded, square];
}

/** The kernels of one training step of a U-Net of the usual kind (two blocks a level, transposed convolutions), each once. */
export function unetShapes(channels: readonly number[], batch: number, patch: Triple, classes = 3): KernelShape[] {
  const settings = unetSettings({ inChannels: 1, classes, channels });
  const size = (level: number) => [batch, ...patch.map((n) => n / 2 ** level)];
  const shapes: KernelShape[] = [];
  channels.forEach((c, level) => {
    const at = size(level);
    const stem = level === 0 ? 1 : channels[level - 1];
    shapes.push({ op: 'conv3d', name: `level ${level} in`, input: [...at, stem], out: c });
    shapes.push({ op: 'conv3d', name: `level ${level}`, input: [...at, c], out: c });
    shapes.push({ op: 'norm', name: `level ${level}`, input: [...at, c] });
    if (level === channels.length - 1) return;
    const below = channels[level + 1];
    shapes.push({ op: 'max_pool3d', name: `level ${level}`, input: [...at, c] });
    shapes.push({ op: 'conv_transpose3d', name: `to level ${level}`, input: [...size(level + 1), below], out: c });
    shapes.push({ op: 'concat', name: `level ${level}`, input: [...at, c] });
    shapes.push({ op: 'conv3d', name: `level ${level} joined`, input: [...at, 2 * c], out: c });
  });
  const full = [...size(0), classes];
  shapes.push({ op: 'conv3d', name: 'head', input: [...size(0), channels[0]], out: classes, kernel: [1, 1, 1] });
  shapes.push({ op: 'loss', name: 'dice + ce', input: full }, { op: 'softmax', name: 'classes', input: full });
  shapes.push({ op: 'add', name: 'level 0', input: [...size(0), channels[0]] });
  const parameters = unetSpecs(settings).reduce((sum, { shape }) => sum + stored(shape), 0);
  shapes.push({ op: 'sgd', name: 'all parameters', input: [parameters] });
  return shapes;
}

function stored(shape: readonly number[]): number {
  return product(shape.slice(0, -1)) * padChannels(shape[shape.length - 1]);
}

/** `[1, 32, 32, 32, 16] -> 16` as tables show it. */
export function shapeText({ input, out, kernel }: KernelShape): string {
  return `${input.join('x')}${out ? ` -> ${out}` : ''}${kernel ? `, kernel ${kernel.join('x')}` : ''}`;
}
