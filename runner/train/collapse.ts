import { COLLAPSED } from '../../engine/action/distill.ts';

/** Steps in a row before anything is said; chosen. */
const PATIENCE = 20;

/** Watches the mean cosine between keys, which stage 1 reports for both banks, and warns once a bank. */
export class CollapseWatch {
  private readonly inARow = new Map<string, number>();

  /** @returns a sentence for the user at the step where it is due */
  after(losses: Readonly<Record<string, number>>): string | undefined {
    for (const part of ['global', 'local']) {
      const cosine = losses[`${part}_cosine`];
      if (cosine === undefined) continue;
      const count = cosine > COLLAPSED ? (this.inARow.get(part) ?? 0) + 1 : 0;
      this.inARow.set(part, count);
      if (count === PATIENCE) {
        return `the ${part} keys have collapsed: their mean cosine has been above ${COLLAPSED} for ${PATIENCE} steps (${cosine.toFixed(4)} now), so that the ${part} distillation teaches next to nothing; try action.${part}.centre=true, more bins or a lower rate`;
      }
    }
    return undefined;
  }
}
