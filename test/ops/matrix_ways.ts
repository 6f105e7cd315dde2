/** What the tests of convolutions and of weight gradients on matrix units share. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import type { MatrixUnit } from '../../engine/matrix_unit.ts';
import { compute } from '../../engine/program.ts';
import type { Recording } from '../../engine/recording.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Way } from '../../engine/ways.ts';
import { assertClose } from '../compare.ts';
import { gpuTest, matrixUnit } from '../harness.ts';
import type { Dense } from '../reference/dense.ts';
import { emulated, NVIDIA, UNLIKE } from './matrix_emulation.ts';

export interface MatrixCase<Problem> {
  readonly name: string;
  readonly expected: Dense;
  /** The problem with its tensors, and the one that its ways write. */
  make(rec: Recording): { readonly problem: Problem; readonly output: Tensor };
}

interface Subject<Tile, Problem> {
  readonly op: string;
  /** Every way that devices may take. */
  readonly all: readonly Way<Problem>[];
  readonly wayOf: (tile: Tile) => Way<Problem>;
  /** Three that together have everything that a tile can have, with few products in a loop. */
  readonly small: readonly Tile[];
  readonly cases: readonly MatrixCase<Problem>[];
  /** Length of the longest sum. */
  readonly terms: number;
}

/**
 * Tests every way on emulated units, small ones with NVIDIA's extents, and on the adapter's own units what these compile in a
 * reasonable time: software adapters take some seconds for each product in a shader.
 */
export function testMatrixWays<Tile, Problem>(subject: Subject<Tile, Problem>): void {
  const { op, all, small, wayOf } = subject;
  testWays(UNLIKE, all, subject);
  NVIDIA.forEach((unit, i) => {
    testWays(unit, [wayOf({ ...small[i + 1], rows: [2, 2] })], subject);
  });
  if (matrixUnit) {
    testWays(matrixUnit, matrixUnit.subgroup < 32 ? small.map(wayOf) : all, subject);
    return;
  }
  test('this adapter has no matrix units: none of the ways that use them serves a problem', () => {
    console.log(
      `${op} was not computed on real matrix units: this adapter offers none (of software adapters, lavapipe of Mesa 26 does)`,
    );
    const problem = { products: 'f16' } as Problem;
    assert.ok(all.every((way) => !way.serves({ limits: {} } as Device, problem)));
  });
}

/** Each on the first case, from one of its own on, that it serves. The unit is emulated where the adapter has another one or none. */
function testWays<Tile, Problem>(
  unit: MatrixUnit,
  ways: readonly Way<Problem>[],
  { op, cases, terms }: Subject<Tile, Problem>,
): void {
  const emulate = unit !== matrixUnit;
  const what = `${emulate ? 'emulated ' : ''}units ${unit.m} x ${unit.n} x ${unit.k}`;
  for (const [i, way] of ways.entries()) {
    const body = async (device: Device) => {
      for (let k = 0; k < cases.length; k++) {
        const { name, expected, make } = cases[(i + k) % cases.length];
        const results = await compute(device, (rec): Record<string, Tensor> => {
          const { problem, output } = make(rec);
          if (!way.serves(device, problem)) return {};
          way.record(rec, problem);
          return { output };
        });
        if (!results.output) continue;
        assertClose(`${op} '${way.name}' on ${what} ${name}`, results.output, expected, { terms });
        return;
      }
      assert.unreachable(`${way.name} serves none of the cases, so nothing was tested`);
    };
    gpuTest(`${op} '${way.name}' on ${what} equals the reference`, body, {
      ...{ software: true, matrixUnit: unit },
      ...(emulate && { wrap: (gpu) => emulated(gpu, unit) }),
    });
  }
}
