import { DataError } from '../errors.ts';
import type { Optimiser } from './optimiser.ts';
import type { Parameters, ParameterValues } from './parameters.ts';

/** Host copies by group: 'student', 'teacher', 'optimiser.network.velocity', …; what a checkpoint holds. */
export type State = ReadonlyMap<string, ParameterValues>;

/** One group of a training's state. */
export interface StatePart {
  readonly name: string;
  save(): Promise<ParameterValues>;
  /** Errors: DataError when names or shapes do not fit. */
  load(values: ParameterValues): void;
}

/** The values of a parameter set. */
export function parametersState(name: string, parameters: Parameters): StatePart {
  return { name, save: () => parameters.read(), load: (values) => parameters.load(values) };
}

/** An optimiser's memory, as `optimiser.NAME.KEY`. */
export function optimiserState(name: string, parameters: Parameters, { state }: Optimiser): StatePart[] {
  return Object.entries(state).map(([key, memory]) => ({
    name: `optimiser.${name}.${key}`,
    save: () => parameters.read(memory),
    load: (values) => parameters.load(values, memory),
  }));
}

export async function saveState(parts: readonly StatePart[]): Promise<Map<string, ParameterValues>> {
  const saved = new Map<string, ParameterValues>();
  for (const part of parts) saved.set(part.name, await part.save());
  return saved;
}

/** Loads every part; groups that no part asks for are left. Errors: DataError when a group is missing or does not fit. */
export function loadState(parts: readonly StatePart[], saved: State): void {
  const missing = parts.find(({ name }) => !saved.has(name));
  if (missing) {
    throw new DataError(
      `the checkpoint has no '${missing.name}', which this training needs; it is of another stage or method: start a new run folder`,
    );
  }
  for (const part of parts) part.load(saved.get(part.name) as ParameterValues);
}
