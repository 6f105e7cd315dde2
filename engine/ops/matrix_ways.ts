import type { Device } from '../device.ts';
import type { MatrixUnit } from '../matrix_unit.ts';
import type { Way } from '../ways.ts';
import { type Geometry, unitStride } from './convolution.ts';

/** A way that multiplies on matrix units. */
export interface MatrixWay<Problem> extends Way<Problem> {
  /** Products it computes for each that the problem wants: boxes reach over the volume's edge, matrices over the channels. */
  waste(unit: MatrixUnit, problem: Problem): number;
}

/** Waste above which other kernels are worth more than matrix units. */
const MOST_WASTE = 4;

type HasUnit = Pick<Device, 'matrixUnit'>;

const unitFor = ({ matrixUnit }: HasUnit, { products }: Geometry) => (products === 'f16' ? matrixUnit : undefined);

/** The unit for a problem that lets factors be rounded, has taps that reuse what is loaded, and does not waste most of it. */
export function worthyUnit<Problem extends Geometry>(
  device: HasUnit,
  problem: Problem,
  waste: MatrixWay<Problem>['waste'],
): MatrixUnit | undefined {
  const unit = unitFor(device, problem);
  const worthy = unit && unitStride(problem) && problem.kernel.some((k) => k > 1) && waste(unit, problem) <= MOST_WASTE;
  return worthy ? unit : undefined;
}

/** The ways in the order of what they waste on a problem; none where there is no unit for it. */
export function leastWasteFirst<Problem extends Geometry>(
  device: HasUnit,
  problem: Problem,
  ways: readonly MatrixWay<Problem>[],
): readonly Way<Problem>[] {
  const unit = unitFor(device, problem);
  if (!unit) return [];
  const wasted = ways.map((way) => ({ way, waste: way.waste(unit, problem) }));
  return wasted.sort((a, b) => a.waste - b.waste).map(({ way }) => way);
}
