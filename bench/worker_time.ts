import { readdirSync, readFileSync } from 'node:fs';

/**
 * CPU milliseconds of all threads of this process but the main one: on a software adapter, what its kernels took, whatever else
 * the machine does. Undefined where the system does not tell (it is read from Linux's /proc).
 */
function workerCpuMs(): number | undefined {
  try {
    let total = 0;
    for (const thread of readdirSync('/proc/self/task')) {
      if (Number(thread) === process.pid) continue;
      total += Number(readFileSync(`/proc/self/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
    }
    return total;
  } catch {
    return undefined;
  }
}

/** What a bench times with: CPU time of the worker threads on a software adapter where the system tells it, else the wall's clock. */
export function workClock(software: boolean): { readonly now: () => number; readonly unit: 'CPU ms' | 'ms' } {
  if (!software || workerCpuMs() === undefined) return { now: () => performance.now(), unit: 'ms' };
  return { now: () => workerCpuMs() as number, unit: 'CPU ms' };
}
