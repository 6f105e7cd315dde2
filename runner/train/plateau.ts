/** Soft Dice loss of labelled patches above which a network does not tell the classes apart; chosen. */
const CONFUSED = 0.2;
/** Last steps of the stage that are averaged; chosen. */
const LAST = 20;

/**
 * Watches the labelled Dice loss of a stage whose network makes the next stage's pseudo-labels: these keep what it confuses
 * (bench/results.md, the first run on real volumes).
 */
export class PlateauWatch {
  private readonly recent: number[] = [];

  /** @returns a sentence for the user behind the last step, where one is due */
  after(losses: Readonly<Record<string, number>>, last: boolean): string | undefined {
    if (losses.dice === undefined) return undefined;
    if (this.recent.push(losses.dice) > LAST) this.recent.shift();
    const mean = this.recent.reduce((sum, loss) => sum + loss, 0) / this.recent.length;
    if (!last || mean <= CONFUSED) return undefined;
    return `the labelled Dice loss ends at ${mean.toFixed(3)}, above ${CONFUSED}: the classes are not told apart yet, and the pseudo-labels of stage 2 would keep what is confused; give stage 1b more steps with a higher --steps or action.stage1b.steps`;
  }
}
