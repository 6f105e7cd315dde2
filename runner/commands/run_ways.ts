/** The ways of a run: those in effect when it was first started on an adapter, however that is tuned later. */
import * as v from 'valibot';
import type { ChooseWay } from '../../engine/ways.ts';
import type { OpenedGpu } from '../host/node.ts';
import { RUN_FILES, type RunStore } from '../train/run_store.ts';
import { identityText } from '../tune/adapter.ts';
import { type ChosenWay, chooseAmong } from '../tune/tuning.ts';
import { parseSaved } from './run_identity.ts';

/** Written to tuning.json: an entry for each adapter that the run was on. */
const SavedWays = v.array(
  v.object({
    adapter: v.string(),
    ways: v.array(v.object({ op: v.string(), key: v.string(), way: v.string() })),
  }),
);

export interface RunWays {
  readonly choose: ChooseWay;
  /** Writes them into the run folder where they are not there yet. */
  save(): Promise<void>;
}

/**
 * The same seed on the same adapter gives the same bytes, also after kill and resume, only where the same kernels compute. A run
 * that was started without this file goes on without tuning. `fresh` forgets what the folder says.
 *
 * @throws DataError for a damaged file
 */
export async function runWays(store: RunStore, { tuning }: OpenedGpu, fresh: boolean): Promise<RunWays> {
  const held = fresh ? undefined : await store.read(RUN_FILES.tuning);
  const untuned = !fresh && !held && (await store.read(RUN_FILES.config)) !== undefined;
  const saved = held ? parseSaved(store, RUN_FILES.tuning, held, SavedWays) : [];
  const adapter = tuning ? identityText(tuning.adapter) : '';
  const mine = saved.find((entry) => entry.adapter === adapter);
  const ways: readonly ChosenWay[] = mine?.ways ?? (untuned ? [] : (tuning?.chosen() ?? []));
  return {
    choose: chooseAmong(ways),
    async save() {
      if (mine) return;
      await store.write(RUN_FILES.tuning, `${JSON.stringify([...saved, { adapter, ways }], null, 2)}\n`);
    },
  };
}
