import { roundUp } from '../shape.ts';

/** Whether tiles of this width leave at most a quarter of a row's work to nothing. */
export function wastesLittle(width: number, tile: number): boolean {
  return roundUp(width, tile) <= width * 1.25;
}

/** The widest of 16, 8, 4, 2, 1 up to `most` that wastes little. */
export function tileWidth(width: number, most: number): number {
  return [16, 8, 4, 2].find((tile) => tile <= most && wastesLittle(width, tile)) ?? 1;
}

/** The largest of 4, 2, 1 up to `most` that divides a number of channel vec4. */
export function largestTile(vec4s: number, most: number): number {
  return [4, 2].find((tile) => tile <= most && vec4s % tile === 0) ?? 1;
}
