/** An op timed by every way that there is to compute it, instead of by the one that the adapter takes. */
import type { Device } from '../../engine/device.ts';
import { CONV3D, CONV3D_GRAD_WEIGHT } from '../../engine/ops/conv3d_ways.ts';
import { Recording } from '../../engine/recording.ts';
import type { Choice, ChooseWay } from '../../engine/ways.ts';
import type { KernelOp, Pass } from './case.ts';

export interface Forced {
  /** For the device that the op is made on. */
  readonly choose: ChooseWay;
  /** The op with a pass for each way of each pass; the op's own passes where they have no choice. */
  everyWay(op: KernelOp): KernelOp;
}

const CHOICES: readonly Choice<unknown>[] = [CONV3D, CONV3D_GRAD_WEIGHT];

/** What a pass times is chosen last: a gradient comes after its output. */
export function forceWays(): Forced {
  let asked: { readonly op: string; readonly problem: unknown }[] = [];
  let forced: { readonly last: number; readonly way: string } | undefined;

  function ways(device: Device, pass: Pass): Pass[] {
    asked = [];
    pass.record(new Recording(device, pass.name));
    const last = asked.length - 1;
    const choice = CHOICES.find(({ op }) => op === asked[last]?.op);
    if (!choice) return [pass];
    const { problem } = asked[last];
    return choice.ways
      .filter((way) => way.serves(device, problem))
      .map(({ name: way }) => ({
        ...{ ...pass, name: `${pass.name}, ${way}` },
        record(rec) {
          asked = [];
          forced = { last, way };
          try {
            return pass.record(rec);
          } finally {
            forced = undefined;
          }
        },
      }));
  }

  return {
    choose(op, _, problem) {
      asked.push({ op, problem });
      return forced?.last === asked.length - 1 ? forced.way : undefined;
    },
    everyWay: (op) => (device, shape) => {
      const { passes, destroy } = op(device, shape);
      return { passes: passes.flatMap((pass) => ways(device, pass)), destroy };
    },
  };
}
