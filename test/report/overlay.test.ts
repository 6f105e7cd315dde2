import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { drawText, fitText, textWidth } from '../../runner/report/font.ts';
import { drawOverlay, type OverlayCase } from '../../runner/report/overlay.ts';
import { labelColor } from '../../runner/report/palette.ts';
import { createRaster, type Raster, strokePaths } from '../../runner/report/raster.ts';

/** Positions of the pixels that a colour passes through `holds`. */
function find({ width, pixels }: Raster, holds: (r: number, g: number, b: number) => boolean): [number, number][] {
  const found: [number, number][] = [];
  for (let i = 0; i < pixels.length / 3; i++) {
    if (holds(pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2])) found.push([i % width, Math.floor(i / width)]);
  }
  return found;
}

const close = (color: readonly number[]) => (r: number, g: number, b: number) =>
  Math.abs(r - color[0]) + Math.abs(g - color[1]) + Math.abs(b - color[2]) < 12;
const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** A dark volume of 2 x 1 x 1 mm voxels with a block of the label in the middle or aside. */
function block(label: number, from: number[], to: number[]): Uint8Array {
  const labels = new Uint8Array(10 * 20 * 20);
  for (let z = from[0]; z < to[0]; z++) {
    for (let y = from[1]; y < to[1]; y++) labels.fill(label, (z * 20 + y) * 20 + from[2], (z * 20 + y) * 20 + to[2]);
  }
  return labels;
}

const base = { image: new Float32Array(4000), shape: [10, 20, 20], spacing: [2, 1, 1] } as const;

function draw(item: Partial<OverlayCase>, options = {}): Raster {
  return drawOverlay([{ name: '', ...base, ...item }], { planes: ['axial'], panel: 200, ...options });
}

test('the outline of the prediction has its label colour and lies where the block does', () => {
  const prediction = block(2, [3, 5, 5], [7, 15, 15]);
  const raster = draw({ prediction, image: new Float32Array(4000).fill(1) });
  const panel = find(raster, close(labelColor(2))).filter(([, y]) => y < 242);
  const left = Math.min(...panel.map(([x]) => x));
  const right = Math.max(...panel.map(([x]) => x));
  const top = Math.min(...panel.map(([, y]) => y));
  const bottom = Math.max(...panel.map(([, y]) => y));
  // 20 mm over 200 pixels from (20, 42): the block runs from 5 to 15 mm, so its outline from 70 to 170 and 92 to 192.
  for (const [side, expected] of [
    [left, 70],
    [right, 169],
    [top, 92],
    [bottom, 191],
  ]) {
    assert.ok(Math.abs(side - expected) <= 2, `${side}, expected ${expected}`);
  }
});

test('the patient right is on the left and the front at the top', () => {
  const prediction = block(1, [3, 14, 14], [7, 18, 18]);
  prediction[(5 * 20 + 2) * 20 + 2] = 1;
  const found = find(draw({ prediction }), close(labelColor(1))).filter(([, y]) => y < 242);
  assert.ok(mean(found.map(([x]) => x)) < 120);
  assert.ok(mean(found.map(([, y]) => y)) < 142);
});

test('a reference alone is drawn in white, without a fill', () => {
  const reference = block(1, [3, 5, 5], [7, 15, 15]);
  const raster = draw({ reference });
  const white = find(raster, (r, g, b) => Math.min(r, g, b) > 150).filter(([, y]) => y > 50 && y < 242);
  assert.ok(white.some(([x, y]) => Math.abs(x - 70) < 3 && Math.abs(y - 142) < 3));
  assert.equal(
    [...raster.pixels.subarray((142 * raster.width + 120) * 3, (142 * raster.width + 120) * 3 + 3)],
    [0, 0, 0],
  );
  assert.is(find(raster, close(labelColor(1))).length, 0);
});

test('grey values are windowed between percentiles, outliers saturate', () => {
  const image = Float32Array.from({ length: 4000 }, (_, i) => (i % 20 < 10 ? 10 : 20));
  image[(5 * 20 + 10) * 20 + 15] = 1e6;
  const raster = draw({ image });
  assert.ok(find(raster, (r, g, b) => r === 255 && g === 255 && b === 255).length > 9000);
  const rightHalf = raster.pixels[(142 * raster.width + 200) * 3];
  assert.is(rightHalf, 0);
});

test('all planes of all cases at one scale: anisotropic voxels keep their proportions', () => {
  const one = { name: 'a', ...base };
  const { width, height } = drawOverlay([one, one], { panel: 200 });
  assert.is(width, 20 + 3 * 200 + 2 * 6 + 20);
  assert.is(height, 20 + 2 * (22 + 200 + 20) + 8);
  const flat = drawOverlay([{ ...one, shape: [5, 20, 40] }], { panel: 200, planes: ['coronal'] });
  assert.equal([flat.width, flat.height], [20 + 200 + 20, 20 + 22 + 50 + 20 + 8]);
});

test('single planes fill a near square, and a title and a legend take their own lines', () => {
  const items = Array.from({ length: 5 }, () => ({
    name: 'a',
    note: 'b',
    ...base,
    prediction: block(1, [0, 0, 0], [1, 1, 1]),
  }));
  const plain = drawOverlay(items, { planes: ['axial'], panel: 100 });
  const titled = drawOverlay(items, { planes: ['axial'], panel: 100, title: 'Test cases' });
  assert.is(plain.width, 20 + 3 * 120);
  assert.is(plain.height, 20 + 2 * (22 + 100 + 20) + 22 + 8);
  assert.is(titled.height, plain.height + 32);
});

test('text: every printable ASCII sign has ink of its own, accents fall away, other signs become a question mark', () => {
  const ink = (text: string) => {
    const raster = createRaster(40, 30, [0, 0, 0]);
    drawText(raster, text, 10, 6, 12, [255, 255, 255]);
    return raster.pixels.join();
  };
  const seen = new Map<string, string>();
  for (let code = 33; code < 127; code++) {
    const sign = String.fromCharCode(code);
    if (sign === '`') continue;
    const twin = seen.get(ink(sign));
    assert.not(twin, `${sign} looks like ${twin}`);
    seen.set(ink(sign), sign);
  }
  assert.not(seen.has(ink(' ')));
  assert.is(ink('é'), ink('e'));
  assert.is(ink('中'), ink('?'));
});

test('text is as wide as stated, and is cut to fit', () => {
  const raster = createRaster(300, 40, [0, 0, 0]);
  drawText(raster, 'Hippocampus', 20, 10, 12, [255, 255, 255]);
  const columns = find(raster, (r) => r > 100).map(([x]) => x);
  const drawn = Math.max(...columns) - Math.min(...columns);
  assert.ok(Math.abs(drawn - textWidth('Hippocampus', 12)) <= 2, `${drawn}`);
  assert.is(fitText('Hippocampus', 12, 500), 'Hippocampus');
  const cut = fitText('Hippocampus', 12, 60);
  assert.match(cut, /^Hip.*\.\.\.$/);
  assert.ok(textWidth(cut, 12) <= 60);
});

test('a line covers its width in pixels and nothing outside the picture', () => {
  const raster = createRaster(20, 9, [0, 0, 0]);
  strokePaths(
    raster,
    [
      [
        [-5, 4.5],
        [30, 4.5],
      ],
    ],
    3,
    [200, 100, 50],
  );
  const column = Array.from({ length: 9 }, (_, y) => raster.pixels[(y * 20 + 10) * 3]);
  assert.equal(column, [0, 0, 0, 200, 200, 200, 0, 0, 0]);
});

test('the first colours differ, and later rounds are lighter', () => {
  const colors = Array.from({ length: 14 }, (_, i) => labelColor(i + 1).join());
  assert.is(new Set(colors).size, 14);
  assert.equal(labelColor(8), [243, 207, 128]);
});

test.run();
