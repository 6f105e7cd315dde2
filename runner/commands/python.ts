/** Which Python has PyTorch. */
import { execFile } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { UsageError } from '../../engine/errors.ts';
import { PYTORCH_PROBE } from '../bench/peers/pytorch.ts';

const PROGRAM = process.platform === 'win32' ? 'python.exe' : 'python3';

function canRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/**
 * The Python that is asked for, else each one on the PATH.
 *
 * @throws UsageError where the one asked for cannot be run
 */
export function pythonsToTry(asked: string | undefined): readonly string[] {
  const folders = (process.env.PATH ?? '').split(delimiter);
  if (asked === undefined) return folders.map((folder) => join(folder, PROGRAM)).filter(canRun);
  const named = [asked, ...(/[\\/]/.test(asked) ? [] : folders.map((folder) => join(folder, asked)))].find(canRun);
  if (named !== undefined) return [named];
  throw new UsageError(`--python ${asked} is no program that can be run here; give the path of a Python with PyTorch`);
}

export interface FoundPytorch {
  readonly python: string;
  readonly cuda: boolean;
}

/** The first Python that imports torch, or undefined. */
export async function findPytorch(pythons: readonly string[]): Promise<FoundPytorch | undefined> {
  for (const python of pythons) {
    const told = await promisify(execFile)(python, ['-c', PYTORCH_PROBE]).catch(() => undefined);
    if (told) return { python, cuda: told.stdout.trim() === 'True' };
  }
  return undefined;
}
