/** One slice of one case: the grey image, the labels of the prediction over it, and the outline of the reference. */
import type { Triple } from '../../engine/shape.ts';
import { drawText, textWidth } from './font.ts';
import { BLACK, labelColor, REFERENCE, TEXT } from './palette.ts';
import { blend, type Color, fillRect, type Raster } from './raster.ts';
import type { Labelled } from './region.ts';
import {
  CATMULL_ROM,
  extractSlice,
  PLANES,
  type Plane,
  QUADRATIC_SPLINE,
  type Region,
  resampleSlice,
  type Slice,
} from './slice.ts';

/** One case, its volumes all on the same canonical (RAS) grid of `shape` [z, y, x], x fastest. */
export interface PanelCase extends Labelled {
  readonly image: ArrayLike<number>;
  /** Millimetres along [z, y, x]. */
  readonly spacing: Triple;
}

/** A rectangle of the picture in pixels. */
export interface Frame {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** The grey values shown as black and as white. */
export type Window = readonly [black: number, white: number];

/** Widths of the two outlines in pixels. */
export const PREDICTION_WIDTH = 3;
export const REFERENCE_WIDTH = 1.4;
const LETTER = 8;

/** A dark rim keeps the white line visible on white matter; it lies under the prediction, which it must not dim. */
const REFERENCE_RIM: ContourStyle = { color: BLACK, width: REFERENCE_WIDTH + 1.8, opacity: 0.5 };
const REFERENCE_LINE: ContourStyle = { color: REFERENCE, width: REFERENCE_WIDTH };

/** Draws slice `index` of a plane, `scale` pixels a millimetre, in the middle of the frame. */
export function drawPanel(
  raster: Raster,
  item: PanelCase,
  plane: Plane,
  index: number,
  region: Region,
  window: Window,
  scale: number,
  frame: Frame,
): void {
  const { row, column, left, top } = PLANES[plane];
  const pixels = (axis: 0 | 1 | 2, most: number) =>
    Math.min(most, Math.max(1, Math.round((region.hi[axis] - region.lo[axis]) * item.spacing[axis] * scale)));
  const rows = pixels(row, frame.height);
  const columns = pixels(column, frame.width);
  const x = frame.x + ((frame.width - columns) >> 1);
  const y = frame.y + ((frame.height - rows) >> 1);

  const grey = resampleSlice(extractSlice(item.image, item.shape, plane, index, region), rows, columns, CATMULL_ROM);
  const [black, white] = window;
  grey.data.forEach((value, i) => {
    const shade = Math.round(255 * Math.min(1, Math.max(0, (value - black) / (white - black || 1))));
    blend(raster, x + (i % columns), y + Math.floor(i / columns), [shade, shade, shade]);
  });

  const field = (labels: ArrayLike<number>, label: number) => {
    const mask = extractSlice(labels, item.shape, plane, index, region, (voxel) => (voxel === label ? 1 : 0));
    return resampleSlice(mask, rows, columns, QUADRATIC_SPLINE);
  };
  const outlines = labelsIn(item.reference, item.shape, plane, index, region).map((label) =>
    field(item.reference!, label),
  );
  for (const outline of outlines) drawContour(raster, outline, x, y, REFERENCE_RIM);
  for (const label of labelsIn(item.prediction, item.shape, plane, index, region)) {
    const style = { color: labelColor(label), width: PREDICTION_WIDTH, fill: 0.22 };
    drawContour(raster, field(item.prediction!, label), x, y, style);
  }
  for (const outline of outlines) drawContour(raster, outline, x, y, REFERENCE_LINE);
  drawText(raster, left, x + 6, frame.y + ((frame.height - LETTER) >> 1), LETTER, TEXT, BLACK);
  drawText(raster, top, frame.x + ((frame.width - textWidth(top, LETTER)) >> 1), y + 6, LETTER, TEXT, BLACK);
}

/** A bar of a round length in millimetres, at most a third of the frame, in its lower right corner. */
export function drawScaleBar(raster: Raster, scale: number, frame: Frame): void {
  const lengths = [100, 50, 20, 10, 5, 2, 1];
  const length = lengths.find((millimetres) => millimetres * scale <= frame.width / 3) ?? 1;
  const width = Math.round(length * scale);
  const x = frame.x + frame.width - width - 8;
  const y = frame.y + frame.height - 10;
  fillRect(raster, x - 1, y - 1, width + 2, 4, BLACK);
  fillRect(raster, x, y, width, 2, TEXT);
  const text = `${length} mm`;
  drawText(raster, text, x + (width - textWidth(text, LETTER)) / 2, y - LETTER - 5, LETTER, TEXT, BLACK);
}

/** The foreground labels of one slice, ascending. */
function labelsIn(
  labels: ArrayLike<number> | undefined,
  shape: Triple,
  plane: Plane,
  index: number,
  region: Region,
): number[] {
  if (!labels) return [];
  const found = new Set(extractSlice(labels, shape, plane, index, region).data);
  return [...found].filter((label) => label > 0).sort((a, b) => a - b);
}

/** How a contour looks: its line, and how much of the same colour lies over what it encloses. */
interface ContourStyle {
  color: Color;
  width: number;
  opacity?: number;
  fill?: number;
}

/** The 0.5 contour of a field as an antialiased line; the distance to it is the field over its slope. */
function drawContour(raster: Raster, field: Slice, x: number, y: number, style: ContourStyle): void {
  const { data, rows, columns } = field;
  const { color, width, opacity = 1, fill = 0 } = style;
  const at = (r: number, c: number) =>
    data[Math.min(rows - 1, Math.max(0, r)) * columns + Math.min(columns - 1, Math.max(0, c))];
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const value = at(r, c);
      const slope = Math.hypot(at(r, c + 1) - at(r, c - 1), at(r + 1, c) - at(r - 1, c)) / 2;
      const distance = slope > 0 ? (value - 0.5) / slope : value > 0.5 ? Number.MAX_VALUE : -Number.MAX_VALUE;
      const inside = Math.min(1, Math.max(0, distance + 0.5));
      const line = Math.min(1, Math.max(0, width / 2 + 0.5 - Math.abs(distance)));
      const alpha = Math.max(line * opacity, inside * fill);
      if (alpha > 0) blend(raster, x + c, y + r, color, alpha);
    }
  }
}
