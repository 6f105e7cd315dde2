/** What earlier problems tell of later ones: ways that were far too slow for two like it need not be tried again. */
import type { Way } from '../../engine/ways.ts';
import type { Tunable } from './tunables.ts';

export interface Experience {
  /** How many times the best way's time each way took, the least of two or more like problems; undefined where none tell. */
  of(tunable: Tunable, problem: unknown): (way: string) => number | undefined;
  learn(tunable: Tunable, problem: unknown, ratios: ReadonlyMap<string, number>): void;
}

interface Past {
  readonly op: string;
  readonly group: string;
  readonly size: number;
  readonly ratios: ReadonlyMap<string, number>;
}

/** Problems are alike up to this factor of size. */
const ALIKE = 8;
const FEWEST = 2;

export function createExperience(): Experience {
  const all: Past[] = [];
  const described = ({ choice, likeness }: Tunable, problem: unknown) => ({ op: choice.op, ...likeness(problem) });
  return {
    of(tunable, problem) {
      const { op, group, size } = described(tunable, problem);
      const alike = all.filter(
        (past) => past.op === op && past.group === group && past.size <= ALIKE * size && size <= ALIKE * past.size,
      );
      return (way) => {
        const known = alike.map(({ ratios }) => ratios.get(way)).filter((ratio) => ratio !== undefined);
        return known.length >= FEWEST ? Math.min(...known) : undefined;
      };
    },
    learn(tunable, problem, ratios) {
      all.push({ ...described(tunable, problem), ratios });
    },
  };
}

/** The ways of one problem as far as they were timed; those that differ in their tiles alone are a family. */
export function createFamilies() {
  const times = new Map<string, number>();
  /** A name without the words that have digits, which are its tiles. */
  const of = (name: string) =>
    name
      .split(' ')
      .filter((word) => !/\d/.test(word))
      .join(' ');
  return {
    add: ({ name }: Way<unknown>, ms: number) => times.set(name, ms),
    /** How many times the best one's time the family takes, where two of it tell and that exceeds `limit`. */
    hopeless({ name }: Way<unknown>, best: number, limit: number): number | undefined {
      const known = [...times].filter(([other]) => of(other) === of(name)).map(([, ms]) => ms / best);
      const least = Math.min(...known);
      return known.length >= 2 && least > limit ? least : undefined;
    },
    ratios: (best: number) => new Map([...times].map(([name, ms]) => [name, ms / best])),
  };
}
