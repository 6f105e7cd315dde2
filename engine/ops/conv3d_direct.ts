import { conv3dKernel, UNIFORM_WEIGHTS } from '../../shaders/conv3d.wgsl.ts';
import { inputVec4s } from '../../shaders/shared/input_vec4s.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, roundUp } from '../shape.ts';
import { channels, storedElements, type Tensor } from '../tensor.ts';
import type { Way } from '../ways.ts';
import { wastesLittle } from './conv3d_tiles.ts';
import { type Convolution, inputChannels, packedTaps, packWeights, weightsOf, winogradServes } from './convolution.ts';
import { sumWithMoments } from './norm_passes.ts';
import { sumChunks } from './sum_partials.ts';

export interface DirectTile {
  /** Output voxels along x, and vec4 of output channels, that one invocation owns. */
  readonly x: number;
  readonly c: number;
  /** Weights through a uniform buffer, which software adapters read far faster. */
  readonly uniform?: boolean;
  /** F(4, 3) along x: half the products; x is a multiple of 4. */
  readonly winograd?: boolean;
  /** Shares the (z, y) taps out among this many invocations where voxels are too few to fill a GPU. */
  readonly split?: number;
}

/** Most memory for the partial sums of taps that are shared out; one that needs more has voxels enough. */
const PARTIAL_BYTES = 64 * 1024 * 1024;

/** shaders/conv3d.wgsl.ts: no workgroup memory, no barrier, any kernel and stride. */
export function direct({
  x: tileX,
  c: tileC,
  uniform = false,
  winograd = false,
  split = 1,
}: DirectTile): Way<Convolution> {
  const slices = (problem: Convolution) =>
    Math.floor(UNIFORM_WEIGHTS / (packedTaps(problem, winograd) * inputChannels(problem)));
  return {
    name: `direct x${tileX} c${tileC}${uniform ? ' uniform' : ''}${winograd ? ' winograd' : ''}${split > 1 ? ` split ${split}` : ''}`,
    serves: (_, problem) =>
      (problem.y.pitch / 4) % tileC === 0 &&
      wastesLittle(problem.y.shape[3], tileX) &&
      (!winograd || winogradServes(problem)) &&
      (!uniform || (!problem.also && slices(problem) >= tileC)) &&
      (split === 1 ||
        (!problem.bias &&
          (problem.kernel[0] * problem.kernel[1]) % split === 0 &&
          split * storedElements(problem.y) * 4 <= PARTIAL_BYTES)),
    record: (rec, problem) => {
      const cout4 = problem.y.pitch / 4;
      const slice = uniform ? Math.min(cout4, Math.floor(slices(problem) / tileC) * tileC) : cout4;
      if (split === 1) {
        convolve(rec, problem, problem.y, { tileX, tileC, uniform, winograd, split, slice });
        return;
      }
      const [n, ...rest] = problem.y.shape;
      const partial = rec.tensor([split * n, ...rest], `${problem.y.label}.partial`);
      convolve(rec, problem, partial, { tileX, tileC, uniform, winograd, split, slice });
      const sum = problem.moments ? sumWithMoments : sumChunks;
      sum(rec, partial, problem.y, split);
    },
  };
}

/** `y` holds `split` partial sums of the output, one after the other. */
function convolve(
  rec: Recording,
  problem: Convolution,
  y: Tensor,
  tile: { tileX: number; tileC: number; uniform: boolean; winograd: boolean; split: number; slice: number },
): void {
  const { tileX, tileC, uniform, winograd, split, slice } = tile;
  const { x, also, w, bias, ...g } = problem;
  const [n, depth, height, width] = x.shape;
  const cin = inputChannels(problem);
  const [, outDepth, outHeight, outWidth] = y.shape;
  const cout4 = y.pitch / 4;
  const slices = ceilDiv(cout4, slice);
  // A transpose is read as it lies: four columns of weights are as many loads as four rows.
  const adjoint = !uniform && !winograd && g.transpose && channels(problem.y) % 4 === 0;
  let packed = w;
  if (uniform || winograd || (!adjoint && (g.transpose || g.flip))) {
    const stride = uniform ? UNIFORM_WEIGHTS : roundUp(packedTaps(g, winograd) * cin * slice, 16);
    packed = rec.tensor([slices, stride, 4], `${w.label}.packed`);
    packWeights(rec, w, packed, { ...weightsOf(problem), winograd, slice, stride });
  }
  const variant = {
    ...{ kernel: g.kernel, stride: g.stride, tileX, tileC, uniformWeights: uniform, winograd, split },
    adjoint: adjoint ? (g.flip ? ('flipped' as const) : ('in order' as const)) : null,
  };
  const kernel = conv3dKernel({ ...variant, ...inputVec4s(cin), bias: bias !== undefined, joined: also !== undefined });
  for (let s = 0; s < slices; s++) {
    const size = Math.min(slice, cout4 - s * slice);
    const tiles = ceilDiv(outWidth, tileX);
    const groups = ceilDiv(size, tileC);
    const count = split * n * groups * outDepth * outHeight * tiles;
    const weights = uniform
      ? { ...packed, shape: [UNIFORM_WEIGHTS, 4], offset: packed.offset + s * UNIFORM_WEIGHTS * 16 }
      : packed;
    rec.dispatch(
      kernel,
      { x, w: weights, y, ...(bias && { bias }), ...(also && { also }) },
      {
        ...{ count, tiles, groups, samples: n, depth, height, width, cin },
        ...{ out_depth: outDepth, out_height: outHeight, out_width: outWidth },
        ...{ cout4, slice, first: s * slice, owned: size },
        ...{ pad_z: g.padding[0], pad_y: g.padding[1], pad_x: g.padding[2], own4: x.pitch / 4 },
        ...(adjoint && { rows: w.shape[3], first_row: weightsOf(problem).first }),
      },
      count,
    );
  }
}
