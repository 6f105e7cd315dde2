import { FitError } from '../../engine/errors.ts';
import { product } from '../../engine/shape.ts';
import { bytes } from '../report/format.ts';
import type { Fingerprint } from './fingerprint.ts';
import type { Forecast } from './forecast.ts';
import { MOST_VOXELS, type Plan, type PlanWishes, planRun } from './plan.ts';

export interface FittedPlan extends Plan {
  readonly forecast: Forecast;
}

/** Below this a patch shows a network nothing but edges. */
const FEWEST_VOXELS = 4096;

/**
 * The plan of `planRun`, with one patch a step and then smaller patches until its training fits: the adapter's limits, and
 * `most` GPU bytes where given. What was wished for stays.
 *
 * @throws FitError where nothing fits, with the ways out
 */
export async function fitPlan(
  f: Fingerprint,
  wishes: PlanWishes,
  forecast: (config: Plan['config']) => Promise<Forecast>,
  most = Infinity,
): Promise<FittedPlan> {
  const asked = wishes.voxels ?? MOST_VOXELS[wishes.software ? 'software' : 'hardware'];
  const first = planRun(f, wishes);
  let at = { ...wishes, voxels: asked };
  for (;;) {
    const plan = planRun(f, at);
    const found = await attempt(() => forecast(plan.config));
    const needed = found instanceof FitError ? found.message : `it needs ${bytes(found.memory.total)} of GPU memory`;
    if (!(found instanceof FitError) && found.memory.total <= most) {
      return { ...plan, reasons: [...plan.reasons, ...concessions(first, plan, most)], forecast: found };
    }
    if (wishes.batch === undefined && plan.config.batch > 1) at = { ...at, batch: 1 };
    else if (wishes.patch === undefined && product(plan.config.patch) > FEWEST_VOXELS) {
      at = { ...at, voxels: Math.floor(Math.min(at.voxels, product(plan.config.patch)) * 0.8) };
    } else throw new FitError(doesNotFit(plan, needed, most));
  }
}

async function attempt(forecast: () => Promise<Forecast>): Promise<Forecast | FitError> {
  try {
    return await forecast();
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
