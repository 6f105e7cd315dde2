/** Ours in this process and each peer in its own, as what is compared. */
import type { Participant, Preparation } from '../bench/peers/compare.ts';
import type { Answer, PeerChannel } from '../bench/peers/messages.ts';
import {
  type JavaScriptPeer,
  PEER_PACKAGES,
  type PeerName,
  type Prepared,
  type System,
} from '../bench/peers/protocol.ts';
import type { PytorchMode } from '../bench/peers/pytorch.ts';
import { foundPackage } from '../host/packages.ts';
import { forkPeer, startPytorch } from './peer_process.ts';
import { findPytorch } from './python.ts';
import { timedRun } from './timed_run.ts';

/** A peer that is not there or does not start. */
export interface MissingPeer {
  readonly peer: string;
  readonly reason: string;
  /** The command that installs it, where that helps. */
  readonly remedy: string | null;
}

export interface PeerPlace {
  /** As --gpu has it, and what that opened here: `llvmpipe (...) (opengles)`. */
  readonly gpu: string;
  readonly adapter: string;
  readonly software: boolean;
  readonly pythons: readonly string[];
}

export interface OpenedPeers {
  readonly peers: readonly Participant[];
  readonly missing: readonly MissingPeer[];
  close(): void;
}

/** Starts a process for each peer, PyTorch one for each mode. What does not work is told in `missing`. */
export async function openPeers(
  names: readonly PeerName[],
  place: PeerPlace,
  watch: (name: string) => void,
): Promise<OpenedPeers> {
  const peers: Participant[] = [];
  const missing: MissingPeer[] = [];
  const channels: PeerChannel[] = [];
  for (const name of names) {
    watch(name);
    if (name === 'pytorch') await openPytorch();
    else await openJavaScript(name);
  }
  const close = () => {
    for (const channel of channels) channel.close();
  };
  return { peers, missing, close };

  async function openJavaScript(peer: JavaScriptPeer): Promise<void> {
    const packages = PEER_PACKAGES[peer];
    if (packages.every((name) => foundPackage(name))) return accept(forkPeer(peer, place.gpu), peer, place.adapter);
    missing.push({ peer, reason: 'is not installed', remedy: `npm install --no-save ${packages.join(' ')}` });
  }

  /** On CUDA where the adapter is a GPU, else on the CPU: nothing else would be a comparison. */
  async function openPytorch(): Promise<void> {
    const found = await findPytorch(place.pythons);
    if (!found) {
      const reason = `is in none of the Pythons here (${place.pythons.join(', ') || 'there is none'})`;
      missing.push({ peer: 'pytorch', reason, remedy: 'pip install torch, or --python PATH' });
      return;
    }
    const modes: PytorchMode[] = found.cuda && !place.software ? ['cuda fp32', 'cuda tf32', 'cuda amp'] : ['cpu'];
    for (const mode of modes) await accept(startPytorch(found.python, mode), `pytorch ${mode}`);
  }

  /** Waits until it is open; one that must be on an adapter and is on another one is refused. */
  async function accept(channel: PeerChannel, peer: string, adapter?: string): Promise<void> {
    channels.push(channel);
    const told = await channel.opened.catch((failure: Error) => ({
      answer: 'failed' as const,
      reason: failure.message,
    }));
    if (told.answer === 'open' && (adapter === undefined || told.adapter === adapter)) {
      peers.push(remoteParticipant(channel, peer, told));
      return;
    }
    const why = told.answer === 'open' ? `it opened ${told.adapter}` : 'reason' in told ? told.reason : told.answer;
    missing.push({ peer, reason: `does not start: ${why}`, remedy: null });
  }
}

/** A system in this process. What it throws goes through. */
export function localParticipant(name: string, system: System): Participant {
  let prepared: Prepared | undefined;
  return {
    ...{ name, backend: system.backend, precision: 'fp32' },
    async prepare(work) {
      prepared = await system.prepare(work);
      const { results, notes = [], gpuBytes } = prepared;
      return { kind: 'ready', results, notes, gpuBytes };
    },
    run: (times) => timedRun(prepared as Prepared, times),
    async release() {
      prepared?.destroy();
      prepared = undefined;
    },
  };
}

type Opening = Extract<Answer, { answer: 'open' }>;

/** A system in another process. What goes wrong there becomes part of the result. */
function remoteParticipant(channel: PeerChannel, label: string, { backend, version, adapter }: Opening): Participant {
  const [peer, ...mode] = label.split(' ');
  return {
    name: [peer, version, ...mode].join(' '),
    backend: peer === 'pytorch' ? adapter : backend,
    precision: /tf32|amp/.test(label) ? 'reduced' : 'fp32',
    async prepare(work): Promise<Preparation> {
      const told = await channel
        .ask({ ask: 'prepare', work })
        .catch((failure: Error) => ({ answer: 'failed' as const, reason: failure.message }));
      if (told.answer === 'prepared') return { ...told, kind: 'ready' };
      if (told.answer === 'unsupported' || told.answer === 'failed') return { kind: told.answer, reason: told.reason };
      return { kind: 'failed', reason: `it answered '${told.answer}'` };
    },
    async run(times) {
      const told = await channel.ask({ ask: 'run', times });
      if (told.answer === 'ran') return told;
      throw new Error('reason' in told ? told.reason : `it answered '${told.answer}'`);
    },
    async release() {
      await channel.ask({ ask: 'release' }).catch(() => undefined); // one that has ended is told with the next work
    },
  };
}
