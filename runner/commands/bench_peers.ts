import { compareWork, type PeerRow } from '../bench/peers/compare.ts';
import { ourSystem } from '../bench/peers/ours.ts';
import { PEER_NAMES } from '../bench/peers/protocol.ts';
import { peerWorks } from '../bench/peers/works.ts';
import type { StepShape } from '../bench/synthetic.ts';
import type { BenchOptions } from './bench.ts';
import { peerLine, peersText } from './bench_peers_text.ts';
import type { Place } from './bench_place.ts';
import { benchSession } from './bench_session.ts';
import { DEFAULTS } from './bench_step.ts';
import { localParticipant, type MissingPeer, openPeers } from './peer_participants.ts';
import { pythonsToTry } from './python.ts';

/** What `bench peers --json` prints. */
export interface PeersReport extends StepShape {
  readonly subject: 'peers';
  readonly place: Place;
  readonly rows: readonly PeerRow[];
  readonly missing: readonly MissingPeer[];
}

const SIZES = {
  software: { patch: [32, 48, 32], batch: 2, channels: [8, 16, 32, 64] } as const,
  hardware: DEFAULTS.hardware,
};
const EFFORT = {
  software: { sampleMs: 20, samples: 5, budgetMs: 30_000 },
  hardware: { sampleMs: 50, samples: 15, budgetMs: 10_000 },
};

/**
 * Computes the same convolutions, U-Net and training step here and in every peer that is installed, on the same adapter, and
 * prints how much faster ours is. A peer that is missing or wrong is told, and is no failure. `start` replaces what opens the
 * peers, for tests.
 *
 * @returns exit code 0
 * @throws UsageError for a patch that the network cannot halve and a --python that cannot be run
 */
export async function benchPeersCommand(options: BenchOptions, start = openPeers): Promise<number> {
  const pythons = pythonsToTry(options.python);
  const report = await benchSession(options, async ({ device, opened, place, status }): Promise<PeersReport> => {
    const kind = opened.software ? 'software' : 'hardware';
    const { patch = SIZES[kind].patch, batch = SIZES[kind].batch, channels = SIZES[kind].channels } = options;
    const works = peerWorks({ patch, batch, channels });
    const samples = options.repeats && { samples: options.repeats, budgetMs: Number.POSITIVE_INFINITY };
    const where = { gpu: options.gpu ?? 'auto', adapter: `${place.adapter} (${place.backend})` };
    const { peers, missing, close } = await start(
      options.peers ?? PEER_NAMES,
      { ...where, software: opened.software, pythons },
      (name) => status.show(`starting ${name}`),
    );
    try {
      const ours = localParticipant(`action3d ${place.action3d ?? ''}`.trim(), ourSystem(device));
      const rows: PeerRow[] = [];
      for (const work of peers.length > 0 ? works : []) {
        const watch = (peer: string) => status.show(`${work.name}: ours and ${peer}`);
        const found = await compareWork(ours, peers, work, { ...EFFORT[kind], ...samples }, watch);
        for (const row of found) status.tell(peerLine(row));
        rows.push(...found);
      }
      return { subject: 'peers', place, patch, batch, channels, rows, missing };
    } finally {
      close();
    }
  });
  process.stdout.write(`${options.json ? JSON.stringify(report, null, 2) : peersText(report)}\n`);
  return 0;
}
