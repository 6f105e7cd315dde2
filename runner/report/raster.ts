/** An RGB picture in memory, and the few ways the reports draw on one. Coordinates are pixels from the top left. */

export type Color = readonly [red: number, green: number, blue: number];

export interface Raster {
  readonly width: number;
  readonly height: number;
  /** Three bytes a pixel, row by row. */
  readonly pixels: Uint8Array;
}

export type Point = readonly [x: number, y: number];

export function createRaster(width: number, height: number, color: Color): Raster {
  const raster = { width, height, pixels: new Uint8Array(width * height * 3) };
  fillRect(raster, 0, 0, width, height, color);
  return raster;
}

/** Lays `color` over one pixel; `alpha` 0 leaves it, 1 replaces it. Outside the picture nothing happens. */
export function blend(raster: Raster, x: number, y: number, color: Color, alpha = 1): void {
  if (x < 0 || y < 0 || x >= raster.width || y >= raster.height) return;
  const at = (y * raster.width + x) * 3;
  for (let c = 0; c < 3; c++) raster.pixels[at + c] += Math.round((color[c] - raster.pixels[at + c]) * alpha);
}

export function fillRect(raster: Raster, x: number, y: number, width: number, height: number, color: Color): void {
  for (let j = y; j < y + height; j++) for (let i = x; i < x + width; i++) blend(raster, i, j, color);
}

/** Lines through the points of each path, antialiased, with round ends and joints. */
export function strokePaths(raster: Raster, paths: readonly (readonly Point[])[], width: number, color: Color): void {
  const reach = width / 2 + 1;
  const all = paths.flat();
  const left = Math.floor(Math.min(...all.map(([x]) => x)) - reach);
  const right = Math.ceil(Math.max(...all.map(([x]) => x)) + reach);
  const top = Math.floor(Math.min(...all.map(([, y]) => y)) - reach);
  const bottom = Math.ceil(Math.max(...all.map(([, y]) => y)) + reach);
  const segments = paths.flatMap((path) => path.slice(1).map((to, i) => [path[i], to] as const));
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const at: Point = [x + 0.5, y + 0.5];
      const distance = Math.min(...segments.map(([from, to]) => distanceToSegment(at, from, to)));
      const coverage = width / 2 + 0.5 - distance;
      if (coverage > 0) blend(raster, x, y, color, Math.min(1, coverage));
    }
  }
}

function distanceToSegment([x, y]: Point, [x0, y0]: Point, [x1, y1]: Point): number {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const square = dx * dx + dy * dy;
  const t = square === 0 ? 0 : Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / square));
  return Math.hypot(x - x0 - t * dx, y - y0 - t * dy);
}
