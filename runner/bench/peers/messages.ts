/** What goes between the bench and the process of a peer: one answer to each request, and one unasked at the start. */
import type { Results, Work } from './protocol.ts';

export type Request =
  | { readonly ask: 'prepare'; readonly work: Work }
  | { readonly ask: 'run'; readonly times: number }
  | { readonly ask: 'release' };

export type Answer =
  | { readonly answer: 'open'; readonly backend: string; readonly adapter: string; readonly version: string }
  | {
      readonly answer: 'prepared';
      readonly results: Results;
      readonly notes: readonly string[];
      readonly gpuBytes?: number;
      readonly dispatches?: number;
    }
  | { readonly answer: 'ran'; readonly wallMs: number; readonly cpuMs: number }
  | { readonly answer: 'released' }
  | { readonly answer: 'unsupported' | 'failed'; readonly reason: string };

/** The process of a peer. */
export interface PeerChannel {
  /** Its first answer. Errors, as of `ask`: the process ended, or did not answer in time. */
  readonly opened: Promise<Answer>;
  ask(request: Request): Promise<Answer>;
  /** Ends the process. */
  close(): void;
}
