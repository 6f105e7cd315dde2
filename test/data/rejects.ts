import * as assert from 'uvu/assert';

/** Runs what must fail with one sentence that matches `message`, as an error of this exit code. */
export async function rejects(run: () => Promise<unknown>, exitCode: number, message: RegExp): Promise<void> {
  let caught: unknown;
  try {
    await run();
  } catch (error) {
    caught = error;
  }
  assert.instance(caught, Error, `nothing was thrown where ${message} was expected`);
  const { exitCode: code, message: said } = caught as Error & { exitCode: number };
  assert.match(said, message);
  assert.is(code, exitCode, said);
  assert.not.match(said, /\n/);
}
