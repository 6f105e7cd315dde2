/** How a command that failed tells it: a sentence on stderr, an exit code, and under --json one value on stdout. */
import { CommanderError } from 'commander';
import { ActionError, CheckError, NoGpuError } from '../../engine/errors.ts';

export interface FailureOptions {
  readonly json: boolean;
  /** With the stack of what is not the user's doing. */
  readonly debug: boolean;
  readonly color: boolean;
}

const UNEXPECTED = 1;
const USAGE = 2;
const REPORT =
  'This is a fault of action3d. Please report it with the output of `action3d doctor --json` and of this command with --debug.';

/** Prints the failure. @returns the exit code */
export function reportFailure(failure: unknown, options: FailureOptions): number {
  // commander has printed its own message, or the help that was asked for
  if (failure instanceof CommanderError) {
    if (failure.exitCode === 0) return 0;
    const message = failure.code === 'commander.help' ? 'no verb was given' : failure.message.replace(/^error: /, '');
    if (options.json) printJson('UsageError', message, [], USAGE);
    return USAGE;
  }
  const expected = failure instanceof ActionError;
  const message = failure instanceof Error ? failure.message : String(failure);
  const hints = failure instanceof NoGpuError ? failure.hints : expected ? [] : [REPORT];
  const exitCode = expected ? failure.exitCode : UNEXPECTED;
  process.stderr.write(`${errorPrefix(options.color)}${message}\n`);
  for (const hint of hints) process.stderr.write(`  ${hint}\n`);
  if (options.debug && failure instanceof Error) process.stderr.write(`${stackOf(failure)}\n`);
  // a check fails after the command has printed its value
  const printed = failure instanceof CheckError;
  if (options.json && !printed) {
    printJson(failure instanceof Error ? failure.name : 'Error', message, hints, exitCode);
  }
  return exitCode;
}

/** `error: `, red on a terminal that shows colours. */
export function errorPrefix(color: boolean): string {
  return color ? '\u001b[31merror:\u001b[39m ' : 'error: ';
}

function printJson(type: string, message: string, hints: readonly string[], exitCode: number): void {
  process.stdout.write(`${JSON.stringify({ error: { type, message, hints, exitCode } }, null, 2)}\n`);
}

function stackOf(failure: Error): string {
  const cause = failure.cause instanceof Error ? `\ncaused by ${stackOf(failure.cause)}` : '';
  return `${failure.stack}${cause}`;
}
