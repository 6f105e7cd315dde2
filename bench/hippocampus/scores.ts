/** Statistics of finished runs. */

/** Foreground means over the cases; distances in mm, null where no case has one. */
export interface Scores {
  readonly Dice: number;
  /** The Jaccard index. */
  readonly IoU: number;
  readonly HD95: number | null;
  readonly ASD: number | null;
  readonly ASSD: number | null;
}

/** One method trained once and scored. */
export interface Run {
  readonly method: string;
  /** Labelled cases it was trained on. */
  readonly labelled: number;
  readonly seed: number;
  readonly scores: Scores;
  /** Foreground Dice of each case; absent where only means are known. */
  readonly cases?: Readonly<Record<string, number>>;
  /** Network operations of the training. */
  readonly gflop: number;
  /** Of the training. */
  readonly cpuSeconds: number;
  readonly wallSeconds: number | null;
}

export interface Margin {
  /** Mean difference in Dice over the seeds that both have. */
  readonly mean: number;
  /** Of the seeds' differences. */
  readonly sd: number | null;
  /** Of pairs of a case and a seed, how many the first wins; null where the cases are not known. */
  readonly wins: number | null;
  readonly pairs: number;
}

/** Null where there are no values, or one of them is missing. */
export function mean(values: readonly (number | null)[]): number | null {
  if (values.length === 0 || values.includes(null)) return null;
  return (values as number[]).reduce((sum, value) => sum + value, 0) / values.length;
}

/** Standard deviation of a sample (n - 1); null for fewer than two values. */
export function sd(values: readonly number[]): number | null {
  if (values.length < 2) return null;
  const centre = mean(values) as number;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
}

/** `runs` over `others`, seed against equal seed and case against equal case; null where they share no seed. */
export function margin(runs: readonly Run[], others: readonly Run[]): Margin | null {
  const paired = runs.flatMap((run) => others.filter(({ seed }) => seed === run.seed).map((other) => [run, other]));
  if (paired.length === 0) return null;
  const differences = paired.map(([run, other]) => run.scores.Dice - other.scores.Dice);
  const cases = paired.flatMap(([run, other]) =>
    Object.entries(run.cases ?? {}).flatMap(([name, dice]) =>
      other.cases?.[name] === undefined ? [] : [dice - other.cases[name]],
    ),
  );
  return {
    mean: mean(differences) as number,
    sd: sd(differences),
    wins: cases.length > 0 ? cases.filter((difference) => difference > 0).length : null,
    pairs: cases.length,
  };
}

/**
 * Share of the gap between supervised and fully supervised mean Dice that `runs` close by their margin; null where one of them
 * is missing, or full supervision is no better.
 */
export function gapClosed(runs: readonly Run[], supervised: readonly Run[], full: readonly Run[]): number | null {
  const over = margin(runs, supervised);
  const [low, high] = [supervised, full].map((some) => mean(some.map(({ scores }) => scores.Dice)));
  if (!over || low === null || high === null || high <= low) return null;
  return over.mean / (high - low);
}
