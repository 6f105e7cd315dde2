/** `action3d bench SUBJECT`: how fast kernels, training steps and prediction are on an adapter, and beside other libraries. */
import { UsageError } from '../../engine/errors.ts';
import type { Triple } from '../../engine/shape.ts';
import type { PeerName } from '../bench/peers/protocol.ts';
import type { KernelOpName } from '../bench/shapes.ts';
import type { Method, Precision } from '../train/config.ts';
import { benchKernelsCommand } from './bench_kernels.ts';
import { benchPeersCommand } from './bench_peers.ts';
import { benchPredictCommand } from './bench_predict.ts';
import { benchStepCommand } from './bench_step.ts';

/** The options of all subjects. Triples are [z, y, x]. */
export interface BenchOptions {
  readonly gpu?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  /** Samples of each time, the median of which is told. */
  readonly repeats?: number;
  readonly ops?: readonly KernelOpName[];
  /** A file of shapes to take instead of the usual ones. */
  readonly shapes?: string;
  /** A file of earlier times, and the share by which one may be exceeded. */
  readonly baseline?: string;
  readonly maxRegress?: number;
  /** Convolutions by every way that computes them. */
  readonly ways?: boolean;
  readonly method?: readonly Method[];
  readonly precision?: Precision;
  readonly patch?: Triple;
  readonly batch?: number;
  /** Of each level. */
  readonly channels?: readonly number[];
  readonly size?: Triple;
  readonly peers?: readonly PeerName[];
  /** Program in which torch is looked for instead of those on the PATH. */
  readonly python?: string;
}

const ANY = ['gpu', 'json', 'quiet', 'repeats', 'color', 'debug'];

/** What each subject does, and the options that mean something to it. */
const SUBJECTS: Readonly<
  Record<string, { run(options: BenchOptions): Promise<number>; options: readonly (keyof BenchOptions)[] }>
> = {
  kernels: {
    run: (options) => benchKernelsCommand(options),
    options: ['ops', 'shapes', 'ways', 'baseline', 'maxRegress'],
  },
  step: { run: benchStepCommand, options: ['method', 'precision', 'patch', 'batch', 'channels'] },
  predict: { run: benchPredictCommand, options: ['size', 'precision', 'patch', 'batch', 'channels'] },
  peers: {
    run: (options) => benchPeersCommand(options),
    options: ['peers', 'python', 'patch', 'batch', 'channels'],
  },
};

/**
 * @returns exit code 0
 * @throws UsageError for an unknown subject and an option of another one, CheckError for what is wrong or slower than asked
 */
export async function bench(subject: string, options: BenchOptions = {}): Promise<number> {
  const names = Object.keys(SUBJECTS);
  if (!names.includes(subject)) {
    throw new UsageError(`bench has no subject '${subject}'; give one of ${names.join(', ')}`);
  }
  const stray = Object.keys(options).find((key) => ![...ANY, ...SUBJECTS[subject].options].includes(key));
  if (stray) {
    const flag = `--${stray.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    const owners = names.filter((name) => (SUBJECTS[name].options as readonly string[]).includes(stray));
    throw new UsageError(
      `${flag} means nothing to bench ${subject}; it is an option of bench ${owners.join(', bench ')}`,
    );
  }
  return SUBJECTS[subject].run(options);
}
