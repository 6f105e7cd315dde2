import { FitError } from '../../engine/errors.ts';
import { product } from '../../engine/shape.ts';
import { bytes } from '../report/format.ts';
import type { Fingerprint } from './fingerprint.ts';
import type { Forecast } from './forecast.ts';
import { MOST_VOXELS, type Plan, type PlanWishes, planRun } from './plan.ts';
import { VOLUME_BYTES } from './stage.ts';

export interface FittedPlan extends Plan {
  readonly forecast: Forecast;
  /** GPU bytes for whole volumes (StageInput). */
  readonly volumeBytes: number;
}

/** A training's forecast with so many GPU bytes for whole volumes. */
type ForecastOf = (config: Plan['config'], volumeBytes: number) => Promise<Forecast>;

/** Below this a patch shows a network nothing but edges. */
const FEWEST_VOXELS = 4096;

/**
 * The plan of `planRun`, with one patch a step and then smaller patches until its training fits: the adapter's limits, and
 * `most` GPU bytes where given. What was wished for stays. Whole volumes get what is left.
 *
 * @throws FitError where nothing fits, with the ways out
 */
export async function fitPlan(
  f: Fingerprint,
  wishes: PlanWishes,
  forecast: ForecastOf,
  most = Infinity,
): Promise<FittedPlan> {
  const asked = wishes.voxels ?? MOST_VOXELS[wishes.software ? 'software' : 'hardware'];
  const first = planRun(f, wishes);
  let at = { ...wishes, voxels: asked };
  for (;;) {
    const plan = planRun(f, at);
    const found = await attempt(() => forecastWithin(most, plan.config, forecast));
    if (!(found instanceof FitError) && peakBytes(found.forecast) <= most) {
      return { ...plan, ...found, reasons: [...plan.reasons, ...concessions(first, plan, most)] };
    }
    if (wishes.batch === undefined && plan.config.batch > 1) at = { ...at, batch: 1 };
    else if (wishes.patch === undefined && product(plan.config.patch) > FEWEST_VOXELS) {
      at = { ...at, voxels: Math.floor(Math.min(at.voxels, product(plan.config.patch)) * 0.8) };
    } else {
      const needed =
        found instanceof FitError ? found.message : `it needs ${bytes(peakBytes(found.forecast))} of GPU memory`;
      throw new FitError(doesNotFit(plan, needed, most));
    }
  }
}

/** While a volume is predicted. */
const peakBytes = ({ memory, predictionBytes }: Forecast): number => memory.total + predictionBytes;

/**
 * With as much room for whole volumes as the rest leaves: the step, and beside it a prediction, or a checkpoint on its way back, which
 * is never larger than all parameters.
 */
async function forecastWithin(most: number, config: Plan['config'], forecast: ForecastOf) {
  const forecastWith = async (volumeBytes: number) => ({ volumeBytes, forecast: await forecast(config, volumeBytes) });
  const usual = await forecastWith(VOLUME_BYTES);
  const needed = ({ memory, predictionBytes }: Forecast) => memory.total + Math.max(predictionBytes, memory.parameters);
  if (needed(usual.forecast) <= most) return usual;
  const none = await forecastWith(0);
  const left = most - needed(none.forecast);
  return left > 0 ? forecastWith(Math.min(left, VOLUME_BYTES)) : none;
}

async function attempt<T>(action: () => Promise<T>): Promise<T | FitError> {
  try {
    return await action();
  } catch (failure) {
    if (failure instanceof FitError) return failure;
    throw failure;
  }
}

function concessions(first: Plan, plan: Plan, most: number): string[] {
  const limit = most < Infinity ? bytes(most) : "the adapter's limits";
  const changed: string[] = [];
  if (plan.config.batch < first.config.batch) {
    changed.push(`${plan.config.batch} patch a step instead of ${first.config.batch}`);
  }
  const patches = [plan, first].map(({ config }) => config.patch.join(' x '));
  if (patches[0] !== patches[1]) changed.push(`patch ${patches[0]} instead of ${patches[1]}`);
  return changed.length > 0 ? [`to fit ${limit}: ${changed.join(', ')}`] : [];
}

function doesNotFit({ config }: Plan, needed: string, most: number): string {
  const { patch, batch } = config;
  const [channels] = config.network?.channels ?? [];
  const limit = most < Infinity ? `${bytes(most)} (--vram)` : 'this adapter';
  const ways = [
    ...(most < Infinity ? ['a larger --vram'] : ['an adapter with larger limits (--gpu)']),
    `fewer --channels than ${channels}`,
    `a smaller --patch than ${patch.join(',')}${batch > 1 ? ` or a --batch below ${batch}` : ''}`,
  ];
  return `training with ${batch} ${batch === 1 ? 'patch' : 'patches'} of ${patch.join(' x ')} does not fit ${limit}: ${needed}; use ${ways[0]}, ${ways[1]}, or ${ways[2]}`;
}
