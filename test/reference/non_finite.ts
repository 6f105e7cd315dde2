/** Whether any of the values is NaN or an infinity. */
export function nonFinite(values: ArrayLike<number>): boolean {
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i]) || Math.abs(values[i]) === Infinity) return true;
  }
  return false;
}
