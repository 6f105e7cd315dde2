import { repeat } from './wgsl.ts';

/**
 * How the outputs of a piece of a row come from its inputs x0, x1, ... and the weights of the taps along x: the inner loop
 * of every convolution kernel. Sums live in variables a<sum>_<vec4 of output channels>.
 */
export interface Row {
  /** Outputs, and inputs that they reach. */
  readonly outputs: number;
  readonly inputs: number;
  /** Sums an output channel, and weights an input and output channel. */
  readonly sums: number;
  readonly weights: number;
  /** The weights out of the taps along x: code with names that begin with `name`, and expressions. */
  weigh(taps: readonly string[], name: string): { readonly code: string; readonly weights: readonly string[] };
  /** Code between the loads of the inputs (named `x0`, ... with this prefix) and the products. */
  prepare(x: string): string;
  /** The sums that one of the weights feeds, each with the vec4 of inputs that it multiplies. */
  products(weight: number, x: string): readonly { readonly sum: number; readonly value: string }[];
  /** Output `t` as an expression of sums. */
  output(t: number, sum: (index: number) => string): string;
}

/** One sum an output, one weight a tap. */
export function directRow(outputs: number, taps: number, stride: number): Row {
  return {
    ...{ outputs, inputs: (outputs - 1) * stride + taps, sums: outputs, weights: taps },
    weigh: (taps) => ({ code: '', weights: taps }),
    prepare: () => '',
    products: (tap, x) => Array.from({ length: outputs }, (_, t) => ({ sum: t, value: `${x}${t * stride + tap}` })),
    output: (t, sum) => sum(t),
  };
}

/** Outputs and points of F(4, 3). */
export const WINOGRAD_OUTPUTS = 4;
export const WINOGRAD_POINTS = 6;

/**
 * F(4, 3) along x, for three taps and stride 1: 6 products where the direct row has 12. Winograd 1980, "Arithmetic Complexity
 * of Computations"; Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks", equations 6 and 13, in one
 * dimension. Rounding errors are a few times those of the direct row (test/ops/conv3d_ways.test.ts).
 */
export function winogradRow(outputs: number): Row {
  const tiles = outputs / WINOGRAD_OUTPUTS;
  const point = (x: string, tile: number, p: number) => `${x}t${tile}_${p}`;
  return {
    ...{ outputs, inputs: outputs + 2, sums: tiles * WINOGRAD_POINTS, weights: WINOGRAD_POINTS },
    weigh: winogradWeights,
    prepare: (x) =>
      repeat(tiles, (tile) =>
        winogradInput(
          (i) => `${x}${4 * tile + i}`,
          (p) => point(x, tile, p),
        ),
      ),
    products: (p, x) =>
      Array.from({ length: tiles }, (_, tile) => ({ sum: tile * WINOGRAD_POINTS + p, value: point(x, tile, p) })),
    output: (t, sum) => {
      const a = (p: number) => sum(Math.floor(t / 4) * WINOGRAD_POINTS + p);
      return [
        `((${a(0)} + ${a(1)}) + (${a(2)} + ${a(3)})) + ${a(4)}`,
        `(${a(1)} - ${a(2)}) + 2.0 * (${a(3)} - ${a(4)})`,
        `(${a(1)} + ${a(2)}) + 4.0 * (${a(3)} + ${a(4)})`,
        `((${a(1)} - ${a(2)}) + 8.0 * (${a(3)} - ${a(4)})) + ${a(5)}`,
      ][t % 4];
    },
  };
}

/** `let`s of the six points of four outputs, out of their six inputs: B^T d. */
export function winogradInput(d: (i: number) => string, point: (p: number) => string): string {
  const even = `${point(0)}e`;
  const odd = `${point(0)}o`;
  return [
    `let ${point(0)} = 4.0 * ${d(0)} - 5.0 * ${d(2)} + ${d(4)};`,
    `let ${even}1 = ${d(4)} - 4.0 * ${d(2)};`,
    `let ${odd}1 = ${d(3)} - 4.0 * ${d(1)};`,
    `let ${point(1)} = ${even}1 + ${odd}1;`,
    `let ${point(2)} = ${even}1 - ${odd}1;`,
    `let ${even}2 = ${d(4)} - ${d(2)};`,
    `let ${odd}2 = 2.0 * (${d(3)} - ${d(1)});`,
    `let ${point(3)} = ${even}2 + ${odd}2;`,
    `let ${point(4)} = ${even}2 - ${odd}2;`,
    `let ${point(5)} = 4.0 * ${d(1)} - 5.0 * ${d(3)} + ${d(5)};`,
  ].join('\n');
}

/** G: the six points of three weights, as WGSL rows. */
export const WINOGRAD_WEIGHTS = [
  [1 / 4, 0, 0],
  [-1 / 6, -1 / 6, -1 / 6],
  [-1 / 6, 1 / 6, -1 / 6],
  [1 / 24, 1 / 12, 1 / 6],
  [1 / 24, -1 / 12, 1 / 6],
  [0, 0, 1],
] as const;

/** The six points of the weights of three taps: G g. */
function winogradWeights([first, second, third]: readonly string[], name: string): ReturnType<Row['weigh']> {
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((part) => `${name}_${part}`);
  return {
    code: `let ${a} = (${first} + ${third}) * (-1.0 / 6.0);
    let ${b} = ${second} * (1.0 / 6.0);
    let ${c} = ${first} * (1.0 / 24.0) + ${third} * (1.0 / 6.0);
    let ${d} = ${second} * (1.0 / 12.0);`,
    weights: [`0.25 * ${first}`, `${a} - ${b}`, `${a} + ${b}`, `${c} + ${d}`, `${c} - ${d}`, third],
  };
}

export interface RowTile {
  readonly row: Row;
  /** vec4 of output channels. */
  readonly tileC: number;
}

/** `var`s of all sums. */
export const declareSums = ({ row, tileC }: RowTile): string =>
  repeat(row.sums, (s) => repeat(tileC, (o) => `var a${s}_${o} = vec4f(0.0);`));

/**
 * Adds the products of `channels` input channels; `weight` is the expression of one vec4 of weights, `before` what all channels at a
 * weight have in common.
 */
export function addProducts(
  { row, tileC }: RowTile,
  channels: number,
  x: string,
  weight: (weight: number, channel: number, o: number) => string,
  before?: (weight: number, outputs: number) => string,
): string {
  return repeat(row.weights, (j) => {
    const products = repeat(channels, (c) =>
      [
        '{',
        repeat(tileC, (o) => `let w${o} = ${weight(j, c, o)};`),
        ...row
          .products(j, x)
          .map(({ sum, value }) =>
            repeat(tileC, (o) => `a${sum}_${o} = fma(vec4f(${value}.${'xyzw'[c]}), w${o}, a${sum}_${o});`),
          ),
        '}',
      ].join('\n'),
    );
    return before ? `{\n${before(j, tileC)}\n${products}\n}` : products;
  });
}

/**
 * The same sum by sum: the products of one stand together, so that a compiler for a CPU, whose registers do not hold all sums, moves
 * each of them twice and not twice a product.
 */
export function addProductsBySum(
  { row, tileC }: RowTile,
  channels: number,
  x: string,
  weight: (weight: number, channel: number, o: number) => string,
): string {
  const feeds = Array.from({ length: row.weights }, (_, j) => row.products(j, x).map((product) => ({ ...product, j })));
  const products = (s: number) => feeds.flat().filter(({ sum }) => sum === s);
  const all = (line: (j: number, c: number, o: number) => string) =>
    repeat(row.weights, (j) => repeat(channels, (c) => repeat(tileC, (o) => line(j, c, o))));
  const chain = (s: number, o: number) =>
    products(s).flatMap(({ j, value }) =>
      Array.from({ length: channels }, (_, c) => ({ a: `vec4f(${value}.${'xyzw'[c]})`, b: `w${j}_${c}_${o}` })),
    );
  return [
    '{',
    all((j, c, o) => `let w${j}_${c}_${o} = ${weight(j, c, o)};`),
    repeat(tileC, (o) => repeat(row.sums, (s) => `a${s}_${o} = ${addedTo(`a${s}_${o}`, chain(s, o))};`)),
    '}',
  ].join('\n');
}

/** The sum with products added one after the other. */
export function addedTo(sum: string, products: readonly { readonly a: string; readonly b: string }[]): string {
  return products.reduce((before, { a, b }) => `fma(${a}, ${b}, ${before})`, sum);
}

/** Output `t` of vec4 `o`. */
export const outputOf = ({ row }: RowTile, t: number, o: number): string => row.output(t, (s) => `a${s}_${o}`);
