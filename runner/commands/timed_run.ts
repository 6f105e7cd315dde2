import type { RunTime } from '../bench/peers/compare.ts';
import type { Prepared } from '../bench/peers/protocol.ts';

/** Computes `times` over and waits, on the wall's clock and on that of all threads of this process. */
export async function timedRun(prepared: Prepared, times: number): Promise<RunTime> {
  const [start, before] = [performance.now(), process.cpuUsage()];
  await prepared.run(times);
  const { user, system } = process.cpuUsage(before);
  return { wallMs: performance.now() - start, cpuMs: (user + system) / 1000 };
}
