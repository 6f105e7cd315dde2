/**
 * Every measurement of the machine's GPU, the most wanted first, each a command of the program in a process of its own, with what
 * it prints in a file. For an adapter that is at hand for minutes only.
 *
 *   npx tsx bench/everything.ts [-o measured] [--minutes 25] [--gpu hardware] [--only doctor,step]
 *
 * A measurement that fails or takes too long is told and does not stop the others. Ends with 1 where one did. A software adapter is
 * measured only where --gpu names it, so that a driver that does not load is not overlooked.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { number, someOf } from '../runner/commands/arguments.ts';
import { reportFailure } from '../runner/commands/failure.ts';
import { makeEmptyFolder } from '../runner/host/files.ts';
import { STOPPED, stopOnSignal } from '../runner/host/stop.ts';
import { duration } from '../runner/report/format.ts';
import { table } from '../runner/report/table.ts';

interface Measurement {
  readonly name: string;
  readonly words: readonly string[];
  /** Longest time, in minutes. */
  readonly limit: number;
  /** By the usual kernels, whatever was tuned on this machine before. */
  readonly untuned?: boolean;
  /** What takes the words, by its path without ending; default the program. */
  readonly entry?: string;
}

const bench = (...words: string[]) => ['bench', ...words];
const MEASUREMENTS: readonly Measurement[] = [
  { name: 'doctor', words: ['doctor'], limit: 3 },
  { name: 'step-untuned', words: bench('step', '--method', 'supervised'), limit: 2, untuned: true },
  { name: 'tune', words: ['tune', '--method', 'supervised'], limit: 5 },
  { name: 'step', words: bench('step', '--method', 'supervised'), limit: 2 },
  { name: 'peers', words: bench('peers'), limit: 6 },
  { name: 'tune-matrix', words: ['tune', '--method', 'supervised', '--precision', 'matrix'], limit: 4 },
  { name: 'step-matrix', words: bench('step', '--method', 'supervised', '--precision', 'matrix'), limit: 2 },
  { name: 'tune-action', words: ['tune', '--method', 'action'], limit: 4 },
  { name: 'step-action', words: bench('step', '--method', 'action'), limit: 3 },
  { name: 'predict', words: bench('predict'), limit: 2 },
  { name: 'predict-matrix', words: bench('predict', '--precision', 'matrix'), limit: 2 },
  {
    ...{ name: 'precision', entry: 'bench/precision', limit: 3 },
    words: ['--patch', '48,48,48', '--channels', '16,32,64'],
  },
  { name: 'kernels', words: bench('kernels'), limit: 6 },
  { name: 'step-action-matrix', words: bench('step', '--method', 'action', '--precision', 'matrix'), limit: 3 },
  { name: 'step-mixed', words: bench('step', '--method', 'supervised,action', '--precision', 'mixed'), limit: 4 },
  { name: 'predict-mixed', words: bench('predict', '--precision', 'mixed'), limit: 2 },
  { name: 'step-others', words: bench('step', '--method', 'mean-teacher,ua-mt,cps'), limit: 4 },
  { name: 'ways', words: bench('kernels', '--ops', 'conv3d', '--ways'), limit: 8 },
];

const GRACE_MS = 20_000;
const PROGRAM = 'runner/cli';
/** The same in sources and in the bundle. */
const fileOf = (entry: string) => fileURLToPath(new URL(`../${entry}${extname(import.meta.url)}`, import.meta.url));
const text = ({ entry, words }: Measurement) => ['action3d', ...(entry ? [entry] : []), ...words].join(' ');

const command = new Command('everything')
  .option('-o, --output <folder>', 'what they print, a file each', 'measured')
  .option('--minutes <m>', 'time for all of them together', number(0), 25)
  .option('--gpu <adapter>', 'as for action3d bench', 'hardware')
  .option('--only <names>', 'only some of them', someOf(...MEASUREMENTS.map(({ name }) => name)))
  .exitOverride();

/** Runs the program into a file. @returns its exit code, or why there is none */
async function measured(measurement: Measurement, gpu: string, file: string, ms: number, stop: AbortSignal) {
  const { words, untuned, entry = PROGRAM } = measurement;
  const cache = untuned ? await mkdtemp(join(tmpdir(), 'action3d-untuned-')) : undefined;
  const log = await open(file, 'wx');
  try {
    await log.write(`${text(measurement)}\n\n`);
    return await ended(
      spawn(process.execPath, [...process.execArgv, fileOf(entry), ...words, '--gpu', gpu], {
        stdio: ['ignore', log.fd, log.fd],
        env: { ...process.env, ...(cache && { XDG_CACHE_HOME: cache, TMPDIR: cache }) },
        // A group of its own: Ctrl-C reaches it through us alone, once.
        detached: process.platform !== 'win32',
      }),
      ms,
      stop,
    );
  } finally {
    await log.close();
    if (cache) await rm(cache, { recursive: true, force: true });
  }
}

/** The exit code of a process, which is asked to end after `ms` or on request, and then killed. */
function ended(child: ChildProcess, ms: number, stop: AbortSignal): Promise<number | string> {
  let why: string | undefined;
  let last: NodeJS.Timeout | undefined;
  const end = (reason: string) => {
    why ??= reason;
    kill(child, 'SIGINT'); // tune keeps what it found
    last ??= setTimeout(() => kill(child, 'SIGKILL'), GRACE_MS);
  };
  const stopped = () => end('stopped');
  const timer = setTimeout(() => end('too long'), ms);
  stop.addEventListener('abort', stopped, { once: true });
  return new Promise<number | string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(why ?? code ?? `${signal}`));
  }).finally(() => {
    clearTimeout(timer);
    clearTimeout(last);
    stop.removeEventListener('abort', stopped);
  });
}

/** Its group, with the processes of peers, which would compute on beside what is measured next. */
function kill(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (child.pid === undefined || process.platform === 'win32') child.kill(signal);
    else process.kill(-child.pid, signal);
  } catch {
    // It has ended by itself.
  }
}

/** The error that a file tells of, else its last line. */
async function lastWords(file: string): Promise<string> {
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
  return lines.findLast((line) => line.startsWith('error: ')) ?? lines[lines.length - 1];
}

async function main(): Promise<number> {
  const { output, minutes, gpu, only } = command.parse().opts();
  await makeEmptyFolder(output);
  const deadline = performance.now() + 60_000 * minutes;
  const { signal } = stopOnSignal(() => undefined);
  const rows: string[][] = [];
  let failed = false;
  for (const measurement of MEASUREMENTS) {
    const { name, limit } = measurement;
    if (only && !only.includes(name)) continue;
    const left = deadline - performance.now();
    if (left <= 0 || signal.aborted) {
      rows.push([name, signal.aborted ? 'left out' : 'no time left', '']);
      failed = true;
      continue;
    }
    process.stderr.write(`${name}: ${text(measurement)}\n`);
    const started = performance.now();
    const file = join(output, `${name}.txt`);
    const end = await measured(measurement, gpu, file, Math.min(left, limit * 60_000), signal);
    failed ||= end !== 0;
    const row = [name, end === 0 ? 'done' : `${end}`, duration((performance.now() - started) / 1000)];
    rows.push(row);
    process.stderr.write(`${row.join('  ')}${end === 0 ? '' : `  ${await lastWords(file)}`}\n`);
  }
  process.stdout.write(`${table([['measurement', 'end', 'time'], ...rows], { align: 'l' })}\n`);
  return signal.aborted ? STOPPED : Number(failed);
}

process.exitCode = await main().catch((failure) => reportFailure(failure, { json: false, debug: false, color: false }));
