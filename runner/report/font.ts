/** A small single-stroke typeface for captions, drawn antialiased at any size. */
import { type Color, type Point, type Raster, strokePaths } from './raster.ts';

/**
 * One glyph a word pair: the character, then its strokes. A point is two base-36 digits, x then y, on a grid where capitals
 * reach from y = 0 to the baseline at 12 (c), small letters start at 4 and descenders end at 16 (g); `/` lifts the pen.
 */
const GLYPHS = new Map(
  `
A 0c,40,8c/28,68             B 0c,00,50,72,74,56,06/56,78,7a,5c,0c   C 82,60,30,03,09,3c,6c,8a    D 00,50,83,89,5c,0c,00
E 70,00,0c,7c/06,66          F 70,00,0c/06,66                       G 82,60,30,03,09,3c,6c,8a,87,57  H 00,0c/80,8c/06,86
I 00,0c                      J 60,69,4c,2c,0a                       K 00,0c/80,08/35,8c          L 00,0c,6c
M 0c,00,58,a0,ac             N 0c,00,8c,80                          O 30,60,93,99,6c,3c,09,03,30 P 0c,00,50,72,75,57,07
Q 30,60,93,99,6c,3c,09,03,30/69,9c  R 0c,00,50,72,75,57,07/47,8c    S 72,50,20,02,04,26,56,78,7a,5c,2c,0a
T 00,80/40,4c                U 00,09,3c,5c,89,80                    V 00,4c,80                   W 00,3c,62,9c,c0
X 00,8c/80,0c                Y 00,46,80/46,4c                       Z 00,80,0c,8c
a 14,54,76,7c/78,28,09,0b,1c,5c,7a  b 00,0c/06,24,54,76,7a,5c,2c,0a c 65,54,24,06,0a,2c,5c,6b
d 70,7c/76,54,24,06,0a,2c,5c,7a     e 08,78,76,54,24,06,0a,2c,5c,7b f 50,40,22,2c/04,54
g 74,7e,5g,2g,1f/76,54,24,06,0a,2c,5c,7a                            h 00,0c/06,24,54,76,7c       i 04,0c/00,01
j 24,2e,1g,0g/20,21          k 00,0c/64,09/27,6c                    l 00,0a,1c,2c                     m 04,0c/06,24,44,56,5c/56,74,94,a6,ac
n 04,0c/06,24,54,76,7c       o 24,54,76,7a,5c,2c,0a,06,24           p 04,0g/06,24,54,76,7a,5c,2c,0a
q 74,7g/76,54,24,06,0a,2c,5c,7a     r 04,0c/06,24,54                s 65,54,14,05,07,18,58,69,6b,5c,1c,0b
t 20,2a,3c,5c/04,54          u 04,0a,2c,5c,7a/74,7c                 v 04,3c,64                   w 04,2c,55,8c,a4
x 04,6c/64,0c                y 04,3c/64,2f,1g,0g                    z 04,64,0c,6c
0 20,50,73,79,5c,2c,09,03,20 1 13,40,4c                             2 02,20,50,72,74,0c,7c
3 01,20,50,72,74,56,26/56,78,7a,5c,2c,0b                            4 5c,50,08,78                5 70,10,06,25,55,77,7a,5c,2c,0b
6 61,50,20,03,09,2c,5c,7a,78,56,26,08                               7 00,70,2c
8 20,50,72,74,56,26,04,02,20/26,08,0a,2c,5c,7a,78,56                9 1b,2c,5c,79,73,50,20,02,04,26,56,74
. 0b,0c    , 1b,0e    : 04,05/0b,0c    ; 14,15/1b,0e    - 07,57    _ 0d,8d    + 07,67/34,3a    = 05,65/09,69    / 60,0e
\\ 00,6e    ( 30,03,09,3c    ) 00,33,39,0c    [ 30,00,0c,3c    ] 00,30,3c,0c    < 64,07,6a    > 04,67,0a    | 00,0e
{ 30,22,25,06,27,2a,3c    } 00,12,15,36,17,1a,0c    ! 00,08/0b,0c    ? 02,20,50,72,74,47,48/4b,4c    # 20,1c/60,5c/04,84/08,88
% 10,20,31,33,24,14,03,01,10/78,88,99,9b,8c,7c,6b,69,78/80,1c       & 8c,13,12,20,40,52,53,08,0a,2c,4c,78
* 32,38/03,67/63,07    ' 00,03    " 00,03/30,33    ~ 08,16,26,48,58,66    ^ 03,30,63    · 06,07    – 07,87    ± 05,65/32,38/0b,6b
× 05,5a/55,0a    $ 72,50,20,02,04,26,56,78,7a,5c,2c,0a/40,4c    @ 95,74,54,36,38,5a,7a,98/94,98,aa,ca,e8,e4,b0,50,03,09,4c,9c
`
    .trim()
    .split(/\s+/)
    .reduce<[string, Point[][]][]>((glyphs, word, i, words) => {
      if (i % 2 === 1) glyphs.push([words[i - 1], parsePaths(word)]);
      return glyphs;
    }, []),
);

const CAP_HEIGHT = 12;
const GAP = 3.2;
const SPACE = 5;

function parsePaths(text: string): Point[][] {
  const digit = (character: string) => Number.parseInt(character, 36);
  return text.split('/').map((path) => path.split(',').map(([x, y]): Point => [digit(x), digit(y)]));
}

/** Width in pixels of one line of text whose capitals are `size` pixels high. */
export function textWidth(text: string, size: number): number {
  const units = characters(text).reduce((sum, character) => sum + advance(character), 0);
  return Math.max(0, ((units - GAP) * size) / CAP_HEIGHT);
}

/**
 * Draws one line of text with the top left of its capitals at (x, y). Accents are left out; unknown signs become `?`.
 * A halo keeps it legible on an image.
 */
export function drawText(
  raster: Raster,
  text: string,
  x: number,
  y: number,
  size: number,
  color: Color,
  halo?: Color,
): void {
  if (halo) strokeText(raster, text, x, y, size, strokeWidth(size) + 3, halo);
  strokeText(raster, text, x, y, size, strokeWidth(size), color);
}

function strokeWidth(size: number): number {
  return Math.max(1.1, 0.13 * size);
}

function strokeText(
  raster: Raster,
  text: string,
  x: number,
  y: number,
  size: number,
  width: number,
  color: Color,
): void {
  const unit = size / CAP_HEIGHT;
  let pen = x;
  for (const character of characters(text)) {
    const paths = GLYPHS.get(character);
    if (paths) {
      const placed = paths.map((path) => path.map(([px, py]): Point => [pen + px * unit, y + py * unit]));
      strokePaths(raster, placed, width, color);
    }
    pen += advance(character) * unit;
  }
}

/** The text, or as much of its start as fits `width` pixels with three dots behind it. */
export function fitText(text: string, size: number, width: number): string {
  if (textWidth(text, size) <= width) return text;
  let kept = Array.from(text);
  while (kept.length > 0 && textWidth(`${kept.join('')}...`, size) > width) kept = kept.slice(0, -1);
  return `${kept.join('')}...`;
}

function characters(text: string): string[] {
  const plain = text.normalize('NFD').replace(/\p{Mark}/gu, '');
  return Array.from(plain, (c) => (GLYPHS.has(c) ? c : /\s/.test(c) ? ' ' : '?'));
}

function advance(character: string): number {
  const paths = GLYPHS.get(character);
  if (!paths) return SPACE;
  const extent = /\d/.test(character) ? 7 : Math.max(...paths.flat().map(([x]) => x));
  return extent + GAP;
}
