/** A data set and options small enough to train in seconds, and the command line as a person starts it. */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { synth } from '../../runner/commands/synth.ts';
import { type TrainCommandOptions, train } from '../../runner/commands/train.ts';
import { RUN_FILES } from '../../runner/train/run_store.ts';

const CLI = new URL('../../runner/cli.ts', import.meta.url).pathname;
const GPU = process.env.ACTION3D_GPU;

/** Makes the data set `folder`/data: three phantoms of about 16 voxels a side with one structure. */
export async function tinyDataset(folder: string): Promise<string> {
  const data = join(folder, 'data');
  await synth(data, { cases: 3, labelled: 3, test: 1, size: 16, classes: 2, quiet: true });
  return data;
}

/** Flags of the tiny training; `settings` are --set's. */
const FLAGS = { method: 'supervised', steps: 24, patch: [16, 16, 16], channels: 4, levels: 2 } as const;
const SETTINGS = ['checkpointEvery=5'];

/** Runs `train` in this process. @returns its exit code */
export function trainHere(
  data: string,
  output: string,
  options: Partial<TrainCommandOptions> & { settings?: readonly string[] } = {},
): Promise<number> {
  const { settings = [], ...rest } = options;
  return train(data, { ...FLAGS, gpu: GPU, quiet: true, output, set: [...SETTINGS, ...settings], ...rest });
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

export interface Started {
  /** Resolves once stderr matches; rejects where the process ends before. */
  says(pattern: RegExp): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<Ended>;
}

/** Starts `action3d train` of the tiny training as a process of its own. */
export function startTraining(data: string, output: string, more: readonly string[] = []): Started {
  const flags = Object.entries(FLAGS).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const set = SETTINGS.flatMap((setting) => ['--set', setting]);
  const gpu = GPU ? ['--gpu', GPU] : [];
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', CLI, 'train', data, '-o', output, ...flags, ...set, ...gpu, ...more],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let out = '';
  let err = '';
  const waiting = new Set<() => void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
    for (const check of waiting) check();
  });
  const ended = new Promise<Ended>((done) => {
    child.on('close', (code, signal) => done({ code, signal, out, err }));
  });
  return {
    says: (pattern) =>
      new Promise((done, fail) => {
        const check = () => {
          if (!pattern.test(err)) return;
          waiting.delete(check);
          done();
        };
        waiting.add(check);
        ended.then(({ code }) => fail(new Error(`ended with ${code} before it said ${pattern}:\n${err}`)));
        check();
      }),
    kill: (signal) => child.kill(signal),
    ended,
  };
}

/** What a finished run is: its last checkpoint, its weights and its card, as bytes. */
export async function resultOf(run: string): Promise<Record<string, Buffer>> {
  const paths = [RUN_FILES.latest, RUN_FILES.weights, RUN_FILES.modelCard];
  return Object.fromEntries(await Promise.all(paths.map(async (path) => [path, await readFile(join(run, path))])));
}
