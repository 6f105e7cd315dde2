import { MATMUL_ROWS, matmulKernel } from '../../shaders/matmul.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, formatShape, padChannels, roundUp } from '../shape.ts';
import { channels, rows, type Tensor } from '../tensor.ts';
import { matmulWindows, type PackedOperands } from './matmul_windows.ts';
import { sumRowsInto } from './reduce.ts';

export interface MatmulOptions {
  transposeA?: boolean;
  transposeB?: boolean;
  /** [n], added to every row of y. */
  bias?: Tensor;
  /** Operands that lie in blocks already (sampleFeatures). */
  packed?: PackedOperands;
}

/** Products with fewer invocations than `enough` split a long inner axis, into slices of `depth` at least. */
const SPLIT = { software: { enough: 4096, depth: 256 }, hardware: { enough: 65536, depth: 32 } };

/**
 * y = op(a) op(b) + bias, [m, k] x [k, n] -> [m, n], op(x) = x or its transpose (then stored [k, m] or [n, k]). Axes of `a`
 * before the last count as rows and are kept in y when `a` is not transposed. torch.matmul, torch.addmm.
 */
export function matmul(rec: Recording, a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false, bias } = options;
  const { packed = [] } = options;
  const y = product(rec, a, b, { ...options, packed });
  const inputs = bias ? [a, b, bias] : [a, b];
  return rec.node('matmul', inputs, y, (dy, gradients) => {
    const da = gradients.out(0);
    if (da && transposeA) product(rec, b, dy, { transposeA: transposeB, transposeB: true, packed }, da);
    else if (da) product(rec, dy, b, { transposeB: !transposeB, packed }, da);
    const db = gradients.out(1);
    if (db && transposeB) product(rec, dy, a, { transposeA: true, transposeB: transposeA, packed }, db);
    else if (db) product(rec, a, dy, { transposeA: !transposeA, packed }, db);
    const dbias = bias && gradients.out(2);
    if (dbias) sumRowsInto(rec, dy, dbias);
  });
}

/** y = x weight + bias over the last axis: x [..., in], weight [in, out], bias [out]. torch.nn.Linear with its weight transposed. */
export function linear(rec: Recording, x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  return matmul(rec, x, weight, { bias });
}

/** The product written into `y`, [m, n] or a view of as many rows of that pitch; no node on the tape. */
export function matmulInto(rec: Recording, a: Tensor, b: Tensor, y: Tensor, options: MatmulOptions = {}): Tensor {
  return product(rec, a, b, options, y);
}

function product(rec: Recording, a: Tensor, b: Tensor, options: MatmulOptions, into?: Tensor): Tensor {
  const { transposeA = false, transposeB = false, bias, packed } = options;
  const [m, k] = transposeA ? [channels(a), rows(a)] : [rows(a), channels(a)];
  const [inner, n] = transposeB ? [channels(b), rows(b)] : [rows(b), channels(b)];
  if (inner !== k || (bias && channels(bias) !== n)) {
    const shown = [a, b, ...(bias ? [bias] : [])].map((t) => `'${t.label}' ${formatShape(t.shape)}`).join(', ');
    throw new ShapeError(
      `matmul: ${shown} give [${m}, ${k}]${transposeA ? ' (transposed)' : ''} x [${inner}, ${n}]${transposeB ? ' (transposed)' : ''}; inner axes and the bias must agree`,
    );
  }
  const y = into ?? rec.tensor(transposeA ? [m, n] : [...a.shape.slice(0, -1), n], 'matmul');
  if (matmulWindows(rec, a, b, y, { transposeA, transposeB, bias, packed, m, n, k })) return y;
  const yPitch = padChannels(n) / 4;
  const columns = yPitch > 1 ? 2 : 1;
  const across = ceilDiv(yPitch, columns);
  const down = ceilDiv(m, MATMUL_ROWS);
  const split = SPLIT[rec.device.software ? 'software' : 'hardware'];
  const wanted = Math.min(ceilDiv(split.enough, across * down), ceilDiv(k, split.depth));
  const depth = roundUp(ceilDiv(k, wanted), 4);
  const slices = ceilDiv(k, depth);
  const count = across * down * slices;
  const params = { count, m, n, k, depth, a_pitch: a.pitch / 4, b_pitch: b.pitch / 4, y_pitch: yPitch, across, down };
  const kernel = matmulKernel({ transposeA, transposeB, bias: !!bias, columns });
  const inputs: Record<string, Tensor> = bias ? { a, b, bias } : { a, b };
  if (slices === 1) {
    rec.dispatch(kernel, { ...inputs, y }, params, count);
    return y;
  }
  const partial = rec.tensor([slices, m * yPitch * 4], 'matmul_partial');
  rec.dispatch(kernel, { ...inputs, y: partial }, params, count);
  return sumRowsInto(rec, partial, y);
}
