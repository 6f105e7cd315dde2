/** Which problems a piece of work has, found by recording it. */
import type { ChooseWay } from '../../engine/ways.ts';
import { dataOf, type ProblemData } from './problem_data.ts';

/** All problems of one key. */
export interface Collected {
  readonly op: string;
  readonly key: string;
  /** The problem that is met most often, which stands for the others. */
  readonly problem: ProblemData;
  /** How often any of them is met. */
  readonly uses: number;
}

export interface Collector {
  /** For the device that records; it chooses nothing. */
  readonly choose: ChooseWay;
  /** In the order in which they were met first. */
  collected(): Collected[];
}

export function createCollector(): Collector {
  const groups = new Map<
    string,
    { op: string; key: string; variants: Map<string, { data: ProblemData; uses: number }> }
  >();
  return {
    choose(op, key, problem) {
      const group = groups.get(`${op} ${key}`) ?? { op, key, variants: new Map() };
      groups.set(`${op} ${key}`, group);
      const data = dataOf(problem as object);
      const text = JSON.stringify(data);
      group.variants.set(text, { data, uses: (group.variants.get(text)?.uses ?? 0) + 1 });
      return undefined;
    },
    collected: () =>
      [...groups.values()].map(({ op, key, variants }) => {
        const all = [...variants.values()];
        const { data } = all.reduce((a, b) => (b.uses > a.uses ? b : a));
        return { op, key, problem: data, uses: all.reduce((sum, { uses }) => sum + uses, 0) };
      }),
  };
}
