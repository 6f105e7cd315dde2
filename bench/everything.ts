/**
 * Every measurement of the machine's GPU, the most wanted first, each a command of the program in a process of its own, with what
 * it prints in a file. For an adapter that is at hand for minutes only.
 *
 *   npx tsx bench/everything.ts [-o measured] [--minutes 25] [--gpu auto] [--only doctor,step]
 *
 * A measurement that fails or takes too long is told and does not stop the others. Ends with 1 where one did.
 */
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
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
}

const MEASUREMENTS: readonly Measurement[] = [
  { name: 'doctor', words: ['doctor'], limit: 3 },
  { name: 'step-untuned', words: ['bench', 'step', '--method', 'supervised'], limit: 3 },
  { name: 'tune', words: ['tune', '--method', 'supervised,action'], limit: 6 },
  { name: 'step', words: ['bench', 'step'], limit: 4 },
  { name: 'peers', words: ['bench', 'peers'], limit: 6 },
  { name: 'tune-mixed', words: ['tune', '--method', 'supervised', '--precision', 'mixed'], limit: 5 },
  { name: 'step-mixed', words: ['bench', 'step', '--precision', 'mixed'], limit: 4 },
  { name: 'predict', words: ['bench', 'predict'], limit: 3 },
  { name: 'predict-mixed', words: ['bench', 'predict', '--precision', 'mixed'], limit: 3 },
  { name: 'kernels', words: ['bench', 'kernels'], limit: 5 },
  { name: 'ways', words: ['bench', 'kernels', '--ops', 'conv3d', '--ways'], limit: 8 },
];

const GRACE_MS = 10_000;
const PROGRAM = fileURLToPath(import.meta.url).replace(/bench\/everything\.(ts|js)$/, 'runner/cli.$1');

const command = new Command('everything')
  .option('-o, --output <folder>', 'what they print, a file each', 'measured')
  .option('--minutes <m>', 'time for all of them together', number(0), 25)
  .option('--gpu <adapter>', 'as for action3d bench', 'auto')
  .option('--only <names>', 'only some of them', someOf(...MEASUREMENTS.map(({ name }) => name)))
  .exitOverride();

/** @returns the exit code, or 'too long' */
function measured(words: readonly string[], file: string, ms: number, stop: AbortSignal): Promise<number | string> {
  const log = createWriteStream(file);
  log.write(`action3d ${words.join(' ')}\n\n`);
  const child = spawn(process.execPath, [...process.execArgv, PROGRAM, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) stream.pipe(log, { end: false });
  let late = false;
  let last: NodeJS.Timeout | undefined;
  const end = () => {
    child.kill('SIGINT'); // tune keeps what it found
    last = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
  };
  const timer = setTimeout(() => {
    late = true;
    end();
  }, ms);
  stop.addEventListener('abort', end, { once: true });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      clearTimeout(last);
      stop.removeEventListener('abort', end);
      log.end(() => resolve(late ? 'too long' : (code ?? `${signal}`)));
    });
  });
}

async function main(): Promise<number> {
  const { output, minutes, gpu, only } = command.parse().opts();
  await makeEmptyFolder(output);
  const deadline = performance.now() + 60_000 * minutes;
  const { signal } = stopOnSignal(() => undefined);
  const rows: string[][] = [];
  let failed = false;
  for (const { name, words, limit } of MEASUREMENTS) {
    if (only && !only.includes(name)) continue;
    const left = deadline - performance.now();
    if (left <= 0 || signal.aborted) {
      rows.push([name, 'no time left', '']);
      failed = true;
      continue;
    }
    process.stderr.write(`${name}: action3d ${words.join(' ')}\n`);
    const started = performance.now();
    const file = join(output, `${name}.txt`);
    const end = await measured([...words, '--gpu', gpu], file, Math.min(left, limit * 60_000), signal);
    failed ||= end !== 0;
    rows.push([name, end === 0 ? 'done' : `${end}`, duration((performance.now() - started) / 1000)]);
  }
  process.stdout.write(`${table([['measurement', 'end', 'time'], ...rows], { align: 'l' })}\n`);
  return signal.aborted ? STOPPED : Number(failed);
}

process.exitCode = await main().catch((failure) => reportFailure(failure, { json: false, debug: false, color: false }));
