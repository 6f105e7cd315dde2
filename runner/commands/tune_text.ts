/** The report of `tune` as people read it. */
import { percent, significant } from '../report/format.ts';
import { table } from '../report/table.ts';
import type { TuneRow } from '../tune/tune.ts';
import { placeText } from './bench_place.ts';
import type { TuneReport } from './tune.ts';

export function tuneText(report: TuneReport): string {
  const { place, network, rows, problems, stopped, stored, clock } = report;
  const head = ['op', 'shape', 'uses', 'usual way', 'ms', 'best way', 'ms', 'gain', 'timed'];
  const faster = rows.filter(({ usual, best }) => usual.way !== best.way).length;
  const done = `${rows.length} of ${problems} problems${stopped ? ' before it was stopped' : ''}`;
  if (rows.length === 0) return [placeText(place), network, '', done].join('\n');
  const [before, after] = [total(rows, 'usual'), total(rows, 'best')];
  return [
    ...[placeText(place), network, ''],
    ...[table([head, ...rows.map(cells)], { align: 'llrlrlrrr' }), ''],
    `${done}, ${faster} of them faster by another way than the usual one`,
    ...(before > 0
      ? [
          `all uses: ${significant(before, 3)} ms by the usual ways, ${significant(after, 3)} ms by the best, ${percent(1 - after / before)} less`,
        ]
      : []),
    `uses: in one step of every method and stage, and one window; ms: median by ${clock}; timed: ways of those that can compute it`,
    stored.problem ? `not stored: ${stored.problem}` : `stored in ${stored.file}`,
  ].join('\n');
}

/** A row while the others are still being timed. */
export function tuneLine({ op, shape, usual, best }: TuneRow): string {
  const timed = ({ way, ms }: TuneRow['best']) => `${way} ${significant(ms, 3)} ms`;
  return `${op} ${shape}: ${timed(usual)}${best.way === usual.way ? '' : `, ${timed(best)}`}`;
}

function cells({ op, shape, uses, usual, best, tried, serving }: TuneRow): string[] {
  const [before, after] = [usual, best].map(({ ms }) => significant(ms, 3));
  const timed = tried === null ? 'kept' : `${tried}/${serving}`;
  if (usual.way === best.way) return [op, shape, String(uses), usual.way, before, '=', '', '', timed];
  const gain = `${significant(usual.ms / best.ms, 3)} x`;
  return [op, shape, String(uses), usual.way, before, best.way, after, gain, timed];
}

function total(rows: readonly TuneRow[], of: 'usual' | 'best'): number {
  return rows.reduce((sum, row) => sum + row.uses * row[of].ms, 0);
}
