/** Stopping on request: the first Ctrl-C (or SIGTERM) asks, the second insists. */
import { exit } from './node.ts';

/** Exit code of a run that stopped early because it was asked to, and that the same command can continue. */
export const STOPPED = 75;
/** Exit code after the second Ctrl-C. */
const INTERRUPTED = 130;

export interface StopRequest {
  /** Aborted by the first signal. */
  readonly signal: AbortSignal;
  /** Puts the signals back to what they do without us. */
  dispose(): void;
}

/** Listens for SIGINT, SIGTERM and `more` until `dispose`; `onRequest` is told once. A second signal ends the process. */
export function stopOnSignal(onRequest: () => void, more: readonly NodeJS.Signals[] = []): StopRequest {
  const controller = new AbortController();
  const listener = () => {
    if (controller.signal.aborted) {
      void exit(INTERRUPTED);
      return;
    }
    controller.abort();
    onRequest();
  };
  const signals = ['SIGINT', 'SIGTERM', ...more] as const;
  for (const name of signals) process.on(name, listener);
  return {
    signal: controller.signal,
    dispose: () => {
      for (const name of signals) process.off(name, listener);
    },
  };
}
