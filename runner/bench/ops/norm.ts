import { instanceNorm } from '../../../engine/ops/norm.ts';
import { product } from '../../../engine/shape.ts';
import { differentiable, type KernelOp, noiseInput } from '../case.ts';
import { places, type Sampled, sampleCount } from '../samples.ts';

const EPS = 1e-5;
const SLOPE = 0.01;
/** So near its bend rounding alone decides the side of the leaky ReLU that a value is on. */
const BEND = 1e-4;

/** Instance norm with the leaky ReLU behind it, as in the U-Net's blocks; the first parts of its float64 values. */
export const normOp: KernelOp = (device, { input }) => {
  const channels = input[4];
  const voxels = product(input.slice(1, 4));
  const inputs = [noiseInput('x', input, 1), noiseInput('gamma', [channels], 2), noiseInput('beta', [channels], 3)];
  const [x, gamma, beta] = inputs.map(({ data }) => data);

  /** One channel of one sample: normalised values, 1 / standard deviation. */
  function normalised(n: number, c: number): { at: (v: number) => number; scale: number; values: Float64Array } {
    const at = (v: number) => (n * voxels + v) * channels + c;
    const values = new Float64Array(voxels);
    let mean = 0;
    for (let v = 0; v < voxels; v++) mean += x[at(v)] / voxels;
    let variance = 0;
    for (let v = 0; v < voxels; v++) variance += (x[at(v)] - mean) ** 2 / voxels;
    const scale = 1 / Math.sqrt(variance + EPS);
    for (let v = 0; v < voxels; v++) values[v] = (x[at(v)] - mean) * scale;
    return { at, scale, values };
  }

  const before = (value: number, c: number) => gamma[c] * value + beta[c];
  const chosen = places(input[0] * channels, Math.min(8, sampleCount(voxels)), 5);
  const some = () => places(voxels, 32, 7);

  function output(): Sampled {
    const found: [number, number][] = chosen.flatMap((place) => {
      const [n, c] = [Math.floor(place / channels), place % channels];
      const { at, values } = normalised(n, c);
      return some().map((v): [number, number] => {
        const z = before(values[v], c);
        return [at(v), z > 0 ? z : SLOPE * z];
      });
    });
    return { at: found.map(([at]) => at), expected: found.map(([, value]) => value), terms: voxels };
  }

  /** Gradient through the leaky ReLU, its sum and its sum with the normalised values. */
  function sums(n: number, c: number, dy: Float32Array) {
    const parts = normalised(n, c);
    const g = parts.values.map((value, v) => dy[parts.at(v)] * (before(value, c) > 0 ? 1 : SLOPE));
    let sum = 0;
    let along = 0;
    for (let v = 0; v < voxels; v++) {
      sum += g[v];
      along += g[v] * parts.values[v];
    }
    return { ...parts, g, sum, along };
  }

  function gradInput(dy: Float32Array): Sampled {
    const found = chosen.flatMap((place) => {
      const [n, c] = [Math.floor(place / channels), place % channels];
      const { at, values, scale, g, sum, along } = sums(n, c, dy);
      return some()
        .filter((v) => Math.abs(before(values[v], c)) > BEND)
        .map((v): [number, number] => [at(v), gamma[c] * scale * (g[v] - (sum + values[v] * along) / voxels)]);
    });
    return { at: found.map(([at]) => at), expected: found.map(([, value]) => value), terms: voxels };
  }

  function gradVector(which: 'along' | 'sum', dy: Float32Array): Sampled {
    const at = places(channels, 4, 5);
    const expected = at.map((c) => {
      let total = 0;
      for (let n = 0; n < input[0]; n++) total += sums(n, c, dy)[which];
      return total;
    });
    return { at, expected, terms: input[0] * voxels };
  }

  return differentiable(device, {
    inputs,
    output: input,
    flops: 0,
    record: (rec, [a, b, c]) =>
      instanceNorm(rec, a, b, c, { eps: EPS, activation: { kind: 'leaky_relu', slope: SLOPE } }),
    gradients: [{ name: 'backward', leaves: [0, 1, 2], reads: [0, 1, 2], flops: 0 }],
    expected: {
      output,
      gradient: (i, dy) => (i === 0 ? gradInput(dy) : gradVector(i === 1 ? 'along' : 'sum', dy)),
    },
  });
};
