/**
 * `npm test`: runs each test/**\/*.test.ts in a process of its own and ends with one plain line, "N passed, N failed".
 *
 *   tsx test/run.ts [FILTER...] [--gpu NAME] [--jobs N]
 *
 * A filter is a part of a path; without one every file runs. `--gpu` forces the adapter of the tests that need one. A file
 * counts as failed when a test fails, when it crashes, hangs, exits other than 0, or ends before its tests ran.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { judge, TIMEOUT_SECONDS, type Verdict } from './judge.ts';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const TIMES = join(ROOT, 'node_modules', '.cache', 'action3d', 'test_seconds.json');

interface Result extends Verdict {
  file: string;
  seconds: number;
  output: string;
}

const running = new Set<ChildProcess>();

/** The whole process group, so that what a test started ends with it. */
function kill(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    if (process.platform === 'win32') child.kill('SIGKILL');
    else process.kill(-child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL');
  }
}

function runFile(file: string, gpu: string | undefined): Promise<Result> {
  const start = performance.now();
  const env = { ...process.env, FORCE_COLOR: '0', ...(gpu ? { ACTION3D_GPU: gpu } : {}) };
  const child = spawn(process.execPath, ['--import', 'tsx', file], {
    cwd: ROOT,
    env,
    detached: process.platform !== 'win32',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let output = '';
  let timedOut = false;
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  const timer = setTimeout(() => {
    timedOut = true;
    kill(child);
  }, TIMEOUT_SECONDS * 1000);
  return new Promise((resolve) => {
    // A process left behind keeps the pipes open: end it, and 'close' follows.
    child.on('exit', () => setTimeout(() => running.has(child) && kill(child), 2000).unref());
    child.on('error', (error) => (output += `${error}\n`));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      const seconds = (performance.now() - start) / 1000;
      resolve({ file, seconds, output, ...judge(output, code, signal, timedOut) });
    });
  });
}

function readTimes(): Record<string, number> {
  try {
    return JSON.parse(readFileSync(TIMES, 'utf8'));
  } catch {
    return {};
  }
}

function writeTimes(times: Record<string, number>): void {
  try {
    mkdirSync(dirname(TIMES), { recursive: true });
    writeFileSync(TIMES, JSON.stringify(times, null, 1));
  } catch (error) {
    console.log(`The times of this run could not be kept for the next: ${error}`);
  }
}

function report(result: Result): void {
  const { file, passed, failed, skipped, seconds, trouble } = result;
  const counts = `${passed} passed${failed ? `, ${failed} failed` : ''}${skipped ? `, ${skipped} skipped` : ''}`;
  console.log(
    `${failed ? 'FAIL' : 'ok  '} ${file.padEnd(44)} ${counts}  ${seconds.toFixed(1)} s${trouble && `  ${trouble}`}`,
  );
  if (failed) console.log(result.output.replace(/^/gm, '     | '));
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { gpu: { type: 'string' }, jobs: { type: 'string', default: '2' } },
    allowPositionals: true,
  });
  const jobs = Number(values.jobs);
  if (!Number.isInteger(jobs) || jobs < 1) throw new Error(`--jobs takes a whole number from 1, not "${values.jobs}".`);
  const times = readTimes();
  const all = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => `test/${name.replaceAll('\\', '/')}`);
  const queue = all
    .filter((file) => positionals.length === 0 || positionals.some((part) => file.includes(part)))
    .sort((a, b) => (times[b] ?? Infinity) - (times[a] ?? Infinity) || a.localeCompare(b));
  if (queue.length === 0) console.log(`No test file matches ${positionals.join(' ')}.`);

  const total = { passed: 0, failed: 0, skipped: 0 };
  const worker = async () => {
    for (let file = queue.shift(); file; file = queue.shift()) {
      const result = await runFile(file, values.gpu);
      report(result);
      times[file] = result.seconds;
      for (const key of ['passed', 'failed', 'skipped'] as const) total[key] += result[key];
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  writeTimes(Object.fromEntries(Object.entries(times).filter(([file]) => all.includes(file))));
  console.log(`${total.passed} passed, ${total.failed} failed${total.skipped ? `, ${total.skipped} skipped` : ''}`);
  process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    for (const child of running) kill(child);
    process.exit(signal === 'SIGINT' ? 130 : 143);
  });

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 2;
});
