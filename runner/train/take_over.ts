import { DataError } from '../../engine/errors.ts';
import type { State } from '../../engine/nn/state.ts';
import type { Stage } from './stage.ts';
import type { Trainer } from './trainer.ts';

/**
 * Gives a stage that begins what the stage before, or another run, has left: each of its groups the first of those it takes
 * over that exist. Groups that nothing is there for keep their initial values.
 *
 * @throws DataError without a student, or where shapes do not fit
 */
export function takeOver({ state }: Trainer, { name, takesOver }: Stage, before: State): void {
  if (!before.has('student')) throw new DataError(`there is no student to begin stage ${name} with`);
  for (const part of state) {
    const from = takesOver[part.name]?.find((group) => before.has(group));
    const values = from && before.get(from);
    if (values) part.load(values);
  }
}
