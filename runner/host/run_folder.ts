import { appendFile, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { RunStore } from '../train/run_store.ts';
import { makeFolder, readFailure, writeFailure, writeFileAtomic } from './files.ts';

/** A run folder on disk. Errors: FitError for a full disk, UsageError for a place that cannot be written. */
export function runFolder(folder: string): RunStore {
  return {
    name: folder,
    async read(path) {
      try {
        return await readFile(join(folder, path));
      } catch (failure) {
        if ((failure as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw readFailure(join(folder, path), failure);
      }
    },
    write: (path, content) => writeFileAtomic(join(folder, path), content, { overwrite: true }),
    async append(path, text) {
      try {
        await makeFolder(dirname(join(folder, path)));
        await appendFile(join(folder, path), text);
      } catch (failure) {
        throw writeFailure(join(folder, path), failure);
      }
    },
  };
}
