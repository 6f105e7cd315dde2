/**
 * A picture of predictions over their images: for every case the chosen planes through the slices that show most of each
 * label, the prediction as a coloured outline with a light fill, the reference as a thin white line, all at one scale.
 */
import { quantile } from '../predict/metrics.ts';
import { drawText, fitText, textWidth } from './font.ts';
import { BLACK, GROUND, labelColor, MUTED, REFERENCE, TEXT } from './palette.ts';
import { drawPanel, drawScaleBar, type PanelCase, PREDICTION_WIDTH, REFERENCE_WIDTH, type Window } from './panel.ts';
import { encodePng } from './png.ts';
import { type Color, createRaster, fillRect, type Point, type Raster, strokePaths } from './raster.ts';
import { bestSlices, regionOfInterest } from './region.ts';
import { PLANES, type Plane, type Region } from './slice.ts';

export interface OverlayCase extends PanelCase {
  readonly name: string;
  /** Shown behind the name, for instance its Dice. */
  readonly note?: string;
}

export interface OverlayOptions {
  title?: string;
  /** Default: all three. */
  planes?: readonly Plane[];
  /** Cases beside each other. Default: one where several planes are shown, else as near to a square as goes. */
  columns?: number;
  /** Longest side of a panel in pixels. Default 260. */
  panel?: number;
  /** What the legend calls each label; without a name it shows the number. */
  labelNames?: Record<string, string>;
}

const MARGIN = 20;
const GUTTER = 6;
const CAPTION = 22;
const TITLE_SIZE = 13;
const TITLE_HEIGHT = 32;
const TEXT_SIZE = 9;
const LEGEND_LINE = 22;

/** Draws the picture and encodes it as a PNG file. */
export async function overlayPng(cases: readonly OverlayCase[], options: OverlayOptions = {}): Promise<Uint8Array> {
  const { pixels, width, height } = drawOverlay(cases, options);
  return encodePng(pixels, width, height);
}

/** Draws the picture; needs at least one case. */
export function drawOverlay(cases: readonly OverlayCase[], options: OverlayOptions = {}): Raster {
  const { title, planes = ['axial', 'coronal', 'sagittal'], panel = 260, labelNames = {} } = options;
  const square = Math.ceil(Math.sqrt(cases.length));
  const columns = Math.min(cases.length, options.columns ?? (planes.length > 1 ? 1 : square));
  const regions = cases.map(regionOfInterest);
  const extents = cases.map(({ spacing }, i) =>
    [0, 1, 2].map((a) => (regions[i].hi[a] - regions[i].lo[a]) * spacing[a]),
  );
  const largest = (axis: 0 | 1 | 2) => Math.max(...extents.map((extent) => extent[axis]));
  const shown = planes.flatMap((plane) => [PLANES[plane].row, PLANES[plane].column]);
  const scale = panel / Math.max(...shown.map(largest));
  const slots = planes.map((plane) => Math.round(scale * largest(PLANES[plane].column)));
  const height = Math.round(scale * Math.max(...planes.map((plane) => largest(PLANES[plane].row))));

  const blockWidth = slots.reduce((a, b) => a + b, 0) + GUTTER * (planes.length - 1);
  const blockHeight = CAPTION + height;
  const top = MARGIN + (title ? TITLE_HEIGHT : 0);
  const width = MARGIN + columns * (blockWidth + MARGIN);
  const legendTop = top + Math.ceil(cases.length / columns) * (blockHeight + MARGIN);
  const legend = wrapLegend(legendOf(cases, labelNames), width - 2 * MARGIN);
  const raster = createRaster(width, legendTop + legend.length * LEGEND_LINE + MARGIN - 12, GROUND);
  if (title) drawText(raster, fitText(title, TITLE_SIZE, width - 2 * MARGIN), MARGIN, MARGIN, TITLE_SIZE, TEXT);

  cases.forEach((item, i) => {
    let x = MARGIN + (i % columns) * (blockWidth + MARGIN);
    const y = top + Math.floor(i / columns) * (blockHeight + MARGIN);
    drawCaption(raster, item, x, y, blockWidth);
    const slices = bestSlices(item, regions[i]);
    const window = greyWindow(item, regions[i]);
    planes.forEach((plane, p) => {
      const frame = { x, y: y + CAPTION, width: slots[p], height };
      fillRect(raster, frame.x, frame.y, frame.width, frame.height, BLACK);
      drawPanel(raster, item, plane, slices[PLANES[plane].normal], regions[i], window, scale, frame);
      if (i === 0 && p === planes.length - 1) drawScaleBar(raster, scale, frame);
      x += slots[p] + GUTTER;
    });
  });
  legend.forEach((line, i) => {
    drawLegend(raster, line, legendTop + i * LEGEND_LINE);
  });
  return raster;
}

function drawCaption(raster: Raster, { name, note }: OverlayCase, x: number, y: number, width: number): void {
  const shown = fitText(name, TEXT_SIZE, width);
  drawText(raster, shown, x, y, TEXT_SIZE, TEXT);
  const after = textWidth(shown, TEXT_SIZE) + 14;
  if (note && after < width) drawText(raster, fitText(note, TEXT_SIZE, width - after), x + after, y, TEXT_SIZE, MUTED);
}

/** A piece of the legend: a line in its colour, unless it is only a word, and the text behind it. */
interface LegendEntry {
  text: string;
  line?: { color: Color; width: number };
}

function legendOf(cases: readonly OverlayCase[], names: Record<string, string>): LegendEntry[] {
  const labels = new Set<number>();
  for (const { prediction } of cases) {
    if (prediction) for (let i = 0; i < prediction.length; i++) if (prediction[i] > 0) labels.add(prediction[i]);
  }
  const entries: LegendEntry[] = [...labels]
    .sort((a, b) => a - b)
    .map((label) => ({
      text: names[label] ?? `label ${label}`,
      line: { color: labelColor(label), width: PREDICTION_WIDTH },
    }));
  if (entries.length > 0) entries.unshift({ text: 'prediction' });
  if (cases.some(({ reference }) => reference))
    entries.push({ text: 'reference', line: { color: REFERENCE, width: REFERENCE_WIDTH } });
  return entries;
}

const SWATCH = 28;
const ENTRY_GAP = 22;

function entryWidth({ text, line }: LegendEntry): number {
  return (line ? SWATCH : 0) + textWidth(text, TEXT_SIZE) + ENTRY_GAP;
}

function wrapLegend(entries: readonly LegendEntry[], width: number): LegendEntry[][] {
  const lines: LegendEntry[][] = [];
  let used = 0;
  for (const entry of entries) {
    const size = entryWidth(entry);
    if (lines.length === 0 || used + size - ENTRY_GAP > width) {
      lines.push([]);
      used = 0;
    }
    lines[lines.length - 1].push(entry);
    used += size;
  }
  return lines;
}

function drawLegend(raster: Raster, entries: readonly LegendEntry[], y: number): void {
  let x = MARGIN;
  for (const entry of entries) {
    const { text, line } = entry;
    if (line) strokePaths(raster, [horizontal(x + 1, x + SWATCH - 9, y + TEXT_SIZE / 2)], line.width, line.color);
    drawText(raster, text, line ? x + SWATCH : x, y, TEXT_SIZE, line ? TEXT : MUTED);
    x += entryWidth(entry);
  }
}

function horizontal(from: number, to: number, y: number): Point[] {
  return [
    [from, y],
    [to, y],
  ];
}

/** The 1st and 99.5th percentiles of the image inside the region, from at most 64 samples along each axis. */
function greyWindow({ image, shape }: OverlayCase, { lo, hi }: Region): Window {
  const step = lo.map((low, axis) => Math.ceil((hi[axis] - low) / 64));
  const values: number[] = [];
  for (let z = lo[0]; z < hi[0]; z += step[0]) {
    for (let y = lo[1]; y < hi[1]; y += step[1]) {
      for (let x = lo[2]; x < hi[2]; x += step[2]) values.push(image[(z * shape[1] + y) * shape[2] + x]);
    }
  }
  const sorted = Float64Array.from(values).sort();
  return [quantile(sorted, 0.01), quantile(sorted, 0.995)];
}
