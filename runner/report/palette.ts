/** Colours that people with any colour vision can tell apart, on grey images and dark ground (Okabe and Ito 2008). */
import type { Color } from './raster.ts';

const LABEL_COLORS: readonly Color[] = [
  [230, 159, 0],
  [86, 180, 233],
  [240, 228, 66],
  [204, 121, 167],
  [0, 158, 115],
  [213, 94, 0],
  [0, 114, 178],
];

export const GROUND: Color = [17, 19, 24];
export const BLACK: Color = [0, 0, 0];
export const TEXT: Color = [236, 238, 242];
export const MUTED: Color = [150, 156, 168];
export const REFERENCE: Color = [255, 255, 255];

/** The colour of a label from 1 upwards; with more labels than colours each further round is half as far from white. */
export function labelColor(label: number): Color {
  const index = Math.max(0, label - 1);
  const [red, green, blue] = LABEL_COLORS[index % LABEL_COLORS.length];
  const share = 0.5 ** Math.floor(index / LABEL_COLORS.length);
  const lighten = (value: number) => Math.round(255 - (255 - value) * share);
  return [lighten(red), lighten(green), lighten(blue)];
}
