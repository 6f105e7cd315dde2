import { roundUp } from '../shape.ts';

/** The widest of 16, 8, 4, 2, 1 up to `most` that wastes no more than a quarter of a row. */
export function tileWidth(width: number, most: number): number {
  for (const tile of [16, 8, 4, 2]) if (tile <= most && roundUp(width, tile) <= width * 1.25) return tile;
  return 1;
}

/** The largest of 4, 2, 1 up to `most` that divides a number of channel vec4. */
export function largestTile(vec4s: number, most: number): number {
  return [4, 2].find((tile) => tile <= most && vec4s % tile === 0) ?? 1;
}
