import type { PeerRow, SystemTiming } from '../bench/peers/compare.ts';
import { bytes, percent, significant } from '../report/format.ts';
import { table } from '../report/table.ts';
import type { PeersReport } from './bench_peers.ts';
import { placeText } from './bench_place.ts';

const HEAD = [
  'computation',
  'peer',
  'on',
  'error',
  'wall ms',
  'CPU ms',
  'GFLOP/s',
  'ours: wall ms',
  'CPU ms',
  'GFLOP/s',
];

/** The report of `bench peers` as people read it. */
export function peersText({ place, rows, missing, patch, batch, channels }: PeersReport): string {
  const absent = missing.map(({ peer, reason, remedy }) => `${peer} ${reason}${remedy ? `: ${remedy}` : ''}`);
  const head = [
    placeText(place),
    `U-Net ${channels.join('-')}, patch ${patch.join(' x ')} (z, y, x), batch ${batch}; conv3d 3x3x3, fp32`,
  ];
  if (rows.length === 0) return [...head, '', 'no peer to compare with', ...absent].join('\n');
  const basis = place.software ? 'cpuMs' : 'wallMs';
  const cells = rows.map((row) => [row.work, row.peer, row.backend, errorText(row), ...timed(row, basis)]);
  return [
    ...[...head, ''],
    table([[...HEAD, 'faster: wall', 'CPU', 'n'], ...cells], { align: 'lllr' }),
    '',
    'faster: how many times ours is faster, medians of n samples of each in turns; CPU: of all threads of the process,',
    `on a software adapter the fairer number; GFLOP/s: of convolutions by ${place.software ? 'CPU' : 'wall'} time`,
    'error: of the result that is furthest off, relative to its norm, of what is allowed; what is WRONG is not timed',
    ...remarks(rows),
    ...memory(rows),
    ...absent,
  ].join('\n');
}

/** A row while the others are still being timed. */
export function peerLine(row: PeerRow): string {
  const times =
    row.ours && row.theirs ? `${significant(row.theirs.wallMs, 3)} ms, ours ${significant(row.ours.wallMs, 3)} ms` : '';
  return `${row.work}, ${row.peer}: ${times || errorText(row)}`;
}

function errorText({ outcome, check }: PeerRow): string {
  if (outcome === 'unsupported') return 'not there';
  if (outcome === 'failed') return 'FAILED';
  if (!check) return '-';
  const { error, tolerance, result, ok } = check;
  return `${error === null ? 'none' : error.toExponential(1)} of ${tolerance.toExponential(0)} (${result})${ok ? '' : ' WRONG'}`;
}

function timed({ flops, ours, theirs, faster }: PeerRow, basis: 'cpuMs' | 'wallMs'): string[] {
  if (!ours || !theirs || !faster) return Array.from({ length: 9 }, () => '-');
  const times = (timing: SystemTiming) => [
    ...[significant(timing.wallMs, 3), significant(timing.cpuMs, 3)],
    significant(flops / 1e6 / timing[basis], 3),
  ];
  return [
    ...[...times(theirs), ...times(ours)],
    ...[significant(faster.wall, 3), significant(faster.cpu, 3), String(theirs.samples)],
  ];
}

/** Each remark once, with the peer and the works that it is about. */
function remarks(rows: readonly PeerRow[]): string[] {
  const works = new Map<string, string[]>();
  for (const { peer, work, notes } of rows) {
    for (const note of notes) {
      const about = works.get(`${peer}: ${note}`) ?? [];
      about.push(work);
      works.set(`${peer}: ${note}`, about);
    }
  }
  return [...works].map(([remark, about]) => `${remark} [${about.join('; ')}]`);
}

function memory(rows: readonly PeerRow[]): string[] {
  return rows.flatMap(({ work, peer, ours, theirs }) => {
    if (!ours?.gpuBytes || !theirs?.gpuBytes) return [];
    const share = percent(ours.gpuBytes / theirs.gpuBytes);
    return [`GPU memory of ${work}: ${bytes(ours.gpuBytes)}, ${peer} ${bytes(theirs.gpuBytes)} at its peak (${share})`];
  });
}
