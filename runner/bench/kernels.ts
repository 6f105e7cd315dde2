/** Kernels, each checked and then timed. */
import type { Device } from '../../engine/device.ts';
import { Program } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import type { KernelOp, Pass } from './case.ts';
import { type Clock, type Effort, type Timing, timePart } from './clock.ts';
import { OPS } from './ops.ts';
import type { Peaks } from './peaks.ts';
import { type Agreement, compare } from './samples.ts';
import { type KernelOpName, type KernelShape, shapeText } from './shapes.ts';

/** One pass of an op on a shape. Rates and shares are null where nothing was timed or no arithmetic counted. */
export interface KernelRow {
  readonly op: KernelOpName;
  readonly name: string;
  readonly size: string;
  readonly pass: string;
  /** Sampled results against float64, with the name of the tensor that is furthest off. */
  readonly check: Agreement & { readonly tensor: string; readonly samples: number };
  /** Null for a wrong kernel, whose speed means nothing. */
  readonly timing: Timing | null;
  readonly commands: number;
  readonly flops: number;
  readonly bytes: number;
  readonly flopsPerSecond: number | null;
  readonly bytesPerSecond: number | null;
  /** Of the arithmetic and of the bandwidth peak. */
  readonly ofFma: number | null;
  readonly ofCopy: number | null;
}

export interface KernelBench {
  readonly device: Device;
  readonly clock: Clock;
  readonly peaks: Peaks;
  readonly effort: Effort;
  /** What the names of the shapes stand for; replaced by tests. */
  readonly ops?: Readonly<Record<KernelOpName, KernelOp>>;
}

/** Checks and times every pass of every shape, one after the other. */
export async function benchKernels(
  bench: KernelBench,
  shapes: readonly KernelShape[],
  onRow: (row: KernelRow) => void = () => undefined,
): Promise<KernelRow[]> {
  const rows: KernelRow[] = [];
  for (const shape of shapes) {
    const made = (bench.ops ?? OPS)[shape.op](bench.device, shape);
    try {
      for (const pass of made.passes) {
        const row = await benchPass(bench, shape, pass);
        rows.push(row);
        onRow(row);
      }
    } finally {
      made.destroy();
    }
  }
  return rows;
}

/** A pass that ran once and was compared with float64; `part` of its program can be timed. */
export interface ReadyPass {
  readonly program: Program;
  readonly part: { readonly from: number; readonly to: number };
  readonly check: KernelRow['check'];
}

export async function readyPass(device: Device, pass: Pass): Promise<ReadyPass> {
  const rec = new Recording(device, `bench ${pass.name}`);
  const { from, checked } = pass.record(rec);
  // What is timed runs again and again without the commands before it: their results must stay.
  for (const command of rec.commands.slice(0, from)) {
    if (command.kind === 'dispatch') for (const t of Object.values(command.tensors)) rec.keep(t);
  }
  const program = await Program.create(rec);
  try {
    program.run();
    const found: KernelRow['check'][] = [];
    for (const { label, tensor, expected } of checked) {
      const sampled = expected();
      const agreement = compare(await program.read(tensor), sampled);
      found.push({ ...agreement, tensor: label, samples: sampled.at.length });
    }
    return { program, part: { from, to: rec.commands.length }, check: worst(found) };
  } catch (failure) {
    program.destroy();
    throw failure;
  }
}

async function benchPass(bench: KernelBench, shape: KernelShape, pass: Pass): Promise<KernelRow> {
  const { device, clock, effort, peaks } = bench;
  const { program, part, check } = await readyPass(device, pass);
  try {
    const timing = check.ok ? await timePart(clock, program, part, effort) : null;
    const rate = (amount: number) => (timing && amount > 0 ? amount / (timing.ms / 1000) : null);
    const [flopsPerSecond, bytesPerSecond] = [rate(pass.flops), rate(pass.bytes)];
    return {
      ...{ op: shape.op, name: shape.name, size: shapeText(shape), pass: pass.name, check, timing },
      ...{ commands: part.to - part.from, flops: pass.flops, bytes: pass.bytes, flopsPerSecond, bytesPerSecond },
      ofFma: flopsPerSecond && flopsPerSecond / peaks.flopsPerSecond,
      ofCopy: bytesPerSecond && bytesPerSecond / peaks.bytesPerSecond,
    };
  } finally {
    program.destroy();
  }
}

/** The tensor that comes nearest to its tolerance or exceeds it most. */
function worst(found: readonly KernelRow['check'][]): KernelRow['check'] {
  const excess = ({ error, tolerance }: Agreement) => (error === 0 ? 0 : error / tolerance);
  const { samples: _, ...most } = found.reduce((a, b) => (excess(b) > excess(a) ? b : a));
  return { ...most, samples: found.reduce((sum, { samples }) => sum + samples, 0) };
}

/** `conv3d A forward` */
export function rowName({ op, name, pass }: { op: string; name: string; pass: string }): string {
  return `${op} ${name} ${pass}`;
}
