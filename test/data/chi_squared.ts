import * as assert from 'uvu/assert';

/**
 * Pearson's test that counts come from equally likely cells: fails where chance alone would in about one of 30,000 tests
 * (4 standard deviations after the cube root of Wilson and Hilferty 1931). Draws here are seeded.
 */
export function assertUniform(name: string, counts: readonly number[]): void {
  const expected = counts.reduce((a, b) => a + b, 0) / counts.length;
  const statistic = counts.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
  const freedom = counts.length - 1;
  const spread = 2 / (9 * freedom);
  const limit = freedom * (1 - spread + 4 * Math.sqrt(spread)) ** 3;
  assert.ok(statistic < limit, `${name}: chi-squared ${statistic} beyond ${limit} for counts ${counts}`);
}

/** How many of `values` fall into each of `cells` equal parts of [low, high]; one outside fails. */
export function histogram(values: readonly number[], low: number, high: number, cells: number): number[] {
  const counts = new Array<number>(cells).fill(0);
  for (const value of values) {
    assert.ok(value >= low && value <= high, `${value} is outside [${low}, ${high}]`);
    counts[Math.min(cells - 1, Math.floor(((value - low) / (high - low)) * cells))]++;
  }
  return counts;
}
