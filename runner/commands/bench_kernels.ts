import { readFile } from 'node:fs/promises';
import { Device } from '../../engine/device.ts';
import { CheckError, DataError, UsageError } from '../../engine/errors.ts';
import {
  type Baseline,
  type BaselineRow,
  compareBaseline,
  failures,
  notTimedNow,
  parseBaseline,
  requireSameAdapter,
} from '../bench/baseline.ts';
import type { KernelOp } from '../bench/case.ts';
import { type ClockKind, effortFor } from '../bench/clock.ts';
import { forceWays } from '../bench/every_way.ts';
import { benchKernels, type KernelBench, type KernelRow } from '../bench/kernels.ts';
import { OPS } from '../bench/ops.ts';
import type { Peaks } from '../bench/peaks.ts';
import { defaultShapes, type KernelOpName, type KernelShape, parseShapes } from '../bench/shapes.ts';
import { readFailure } from '../host/files.ts';
import type { OpenedGpu } from '../host/node.ts';
import type { BenchOptions } from './bench.ts';
import type { Place } from './bench_place.ts';
import { benchSession } from './bench_session.ts';
import { kernelLine, kernelsText } from './bench_text.ts';

/** What `bench kernels --json` prints, and what --baseline reads. */
export interface KernelsReport {
  readonly subject: 'kernels';
  readonly place: Place;
  readonly clock: ClockKind;
  readonly peaks: Peaks;
  readonly rows: readonly KernelRow[];
  readonly baseline: {
    readonly file: string;
    readonly maxRegress: number;
    readonly rows: readonly BaselineRow[];
    /** Rows of the baseline that nothing was timed for now. */
    readonly notTimed: readonly string[];
  } | null;
}

const MAX_REGRESS = 0.1;

/**
 * Checks and times kernels, and compares with a baseline where there is one. `ops` replaces what is timed, for tests.
 *
 * @returns exit code 0
 * @throws CheckError, after everything is printed, where a kernel is wrong or became slower than --max-regress allows
 */
export async function benchKernelsCommand(
  options: BenchOptions,
  ops?: Readonly<Record<KernelOpName, KernelOp>>,
): Promise<number> {
  const { baseline: file, shapes: list, maxRegress = MAX_REGRESS } = options;
  if (file === undefined && options.maxRegress !== undefined) {
    throw new UsageError(
      '--max-regress compares with a baseline; add --baseline FILE, as bench kernels --json printed it',
    );
  }
  const baseline = file === undefined ? undefined : parseBaseline(await readJson(file), file);
  const given = list === undefined ? undefined : parseShapes(await readJson(list), list);
  const report = await benchSession(options, async ({ device, opened, clock, place, status, peaks: measure }) => {
    if (baseline) requireSameAdapter(baseline, place, file as string);
    const shapes = chosen(given ?? defaultShapes(opened.software, opened.matrixUnit !== undefined), options.ops);
    const peaks = await measure();
    const effort = effortFor(opened.software, options.repeats);
    const tell = (row: KernelRow) => status.tell(kernelLine(row));
    const rows = options.ways
      ? await byEveryWay(opened, (forced) => benchKernels({ clock, peaks, effort, ...forced }, shapes, tell))
      : await benchKernels({ device, clock, peaks, effort, ops }, shapes, tell);
    return { subject: 'kernels', place, clock: clock.kind, peaks, rows, baseline: against(rows, baseline) } as const;
  });
  process.stdout.write(`${options.json ? JSON.stringify(report, null, 2) : kernelsText(report)}\n`);
  const problems = failures(report.rows, report.baseline?.rows ?? [], maxRegress);
  if (problems.length > 0) throw new CheckError(problems.join('; '));
  return 0;

  function against(rows: readonly KernelRow[], then: Baseline | undefined): KernelsReport['baseline'] {
    if (!then || file === undefined) return null;
    return { file, maxRegress, rows: compareBaseline(rows, then, maxRegress, file), notTimed: notTimedNow(rows, then) };
  }
}

/** Convolutions by every way, on a device that takes the one that is told. */
async function byEveryWay<T>(
  opened: OpenedGpu,
  body: (forced: Required<Pick<KernelBench, 'device' | 'ops'>>) => Promise<T>,
): Promise<T> {
  const { choose, everyWay } = forceWays();
  const device = new Device(opened.device, { ...opened, choose });
  try {
    const { conv3d, conv3d_f16, conv_transpose3d, ...others } = OPS;
    return await body({
      device,
      ops: {
        ...others,
        ...{ conv3d: everyWay(conv3d), conv3d_f16: everyWay(conv3d_f16) },
        conv_transpose3d: everyWay(conv_transpose3d),
      },
    });
  } finally {
    device.destroy();
  }
}

function chosen(shapes: readonly KernelShape[], ops: readonly string[] | undefined): readonly KernelShape[] {
  const found = ops ? shapes.filter(({ op }) => ops.includes(op)) : shapes;
  if (found.length > 0) return found;
  throw new UsageError(`no shape is of the ops ${ops?.join(', ')}; add one to the file of --shapes`);
}

async function readJson(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((failure) => {
    throw readFailure(path, failure);
  });
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DataError(`${path} is not JSON (${(cause as Error).message}); correct it or leave it out`, { cause });
  }
}
