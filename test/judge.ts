/** Reads the outcome of one test file's process. */

export const TIMEOUT_SECONDS = 600;

export interface Verdict {
  passed: number;
  /** Failed tests, and one more where `trouble` says why. */
  failed: number;
  skipped: number;
  /** What went wrong beside failed tests: "crashed with SIGABRT". Empty when nothing did. */
  trouble: string;
}

/** uvu's last summary: [total, passed, skipped], or undefined when the tests never came to their end. */
export function summary(output: string): [number, number, number] | undefined {
  const found = [...output.matchAll(/Total:\s+(\d+)\s+Passed:\s+(\d+)\s+Skipped:\s+(\d+)/g)].at(-1);
  return found && [Number(found[1]), Number(found[2]), Number(found[3])];
}

/** Passed, failed and skipped tests of one file, and what else went wrong. */
export function judge(output: string, code: number | null, signal: string | null, timedOut: boolean): Verdict {
  const counts = summary(output);
  const [total, passed, skipped] = counts ?? [0, 0, 0];
  let trouble = '';
  if (timedOut) trouble = `hung: killed after ${TIMEOUT_SECONDS} s`;
  else if (signal) trouble = `crashed with ${signal}`;
  else if (!counts) trouble = `ended with code ${code} before its tests ran`;
  else if (total === 0) trouble = 'has no tests';
  else if (code !== 0 && total === passed) trouble = `ended with code ${code} after its tests passed`;
  return { passed, failed: total - passed + (trouble ? 1 : 0), skipped, trouble };
}
