import { maxPool3d } from '../../../engine/ops/max_pool3d.ts';
import { product, type Triple } from '../../../engine/shape.ts';
import { differentiable, type KernelOp, noiseInput } from '../case.ts';
import { places, type Sampled, sampleCount } from '../samples.ts';

/** Windows side by side; the places of what they hold, and which of it is the largest. Extents that fill no window are dropped. */
export const maxPool3dOp: KernelOp = (device, { input, kernel = [2, 2, 2] }) => {
  const [batch, ...rest] = input;
  const channels = rest[3];
  const size = rest.slice(0, 3) as unknown as Triple;
  const out = size.map((n, a) => Math.floor(n / kernel[a]));
  const output = [batch, ...out, channels];
  const x = noiseInput('x', input, 1);

  /** Place of the maximum of an output's window. */
  function largest(place: number): number {
    const c = place % channels;
    let rest = Math.floor(place / channels);
    const at = [0, 0, 0];
    for (const a of [2, 1, 0]) {
      at[a] = (rest % out[a]) * kernel[a];
      rest = Math.floor(rest / out[a]);
    }
    let best = -1;
    for (let z = at[0]; z < at[0] + kernel[0]; z++)
      for (let y = at[1]; y < at[1] + kernel[1]; y++)
        for (let xx = at[2]; xx < at[2] + kernel[2]; xx++) {
          const here = (((rest * size[0] + z) * size[1] + y) * size[2] + xx) * channels + c;
          if (best < 0 || x.data[here] > x.data[best]) best = here;
        }
    return best;
  }

  const chosen = () => places(product(output), sampleCount(product(kernel)));
  function gradient(dy: Float32Array): Sampled {
    const pairs = chosen().map((place): [number, number] => [largest(place), dy[place]]);
    // A neighbour of the maximum along x that is in the same window has none.
    const others = pairs
      .filter(([at]) => kernel[2] > 1 && Math.floor(at / channels) % size[2] < out[2] * kernel[2])
      .map(([at]): [number, number] => {
        const x = Math.floor(at / channels) % size[2];
        return [x % kernel[2] === 0 ? at + channels : at - channels, 0];
      });
    const all = [...pairs, ...others];
    return { at: all.map(([at]) => at), expected: all.map(([, value]) => value), terms: 1 };
  }

  return differentiable(device, {
    inputs: [x],
    output,
    flops: 0,
    record: (rec, [a]) => maxPool3d(rec, a, kernel),
    gradients: [{ name: 'backward', leaves: [0], reads: [0], flops: 0 }],
    expected: {
      output() {
        const at = chosen();
        return { at, expected: at.map((place) => x.data[largest(place)]), terms: 1 };
      },
      gradient: (_, dy) => gradient(dy),
    },
  });
};
