import { readdirSync, readFileSync } from 'node:fs';

/**
 * CPU milliseconds of all threads of this process but the main one: on a software adapter, what its kernels took, whatever else
 * the machine does. Undefined where the system does not tell (it is read from Linux's /proc).
 */
export function workerCpuMs(): number | undefined {
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
