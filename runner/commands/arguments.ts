/** From the words of the command line to values. Each parser throws commander's error, which names the option and the word. */
import { InvalidArgumentError } from 'commander';
import type { Triple } from '../../engine/shape.ts';

type Parser<T> = (text: string) => T;

/** A whole number of at least `low`. */
export function whole(low = 0): Parser<number> {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= low && Number.isSafeInteger(value)) return value;
    throw new InvalidArgumentError(`Give a whole number from ${low}.`);
  };
}

/** A number in [low, high], or in [low, high) with `below`. */
export function number(low: number, high = Infinity, options: { below?: boolean } = {}): Parser<number> {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (value >= low && (options.below ? value < high : value <= high)) return value;
    const range = high === Infinity ? `from ${low}` : `from ${low} to ${options.below ? 'below ' : ''}${high}`;
    throw new InvalidArgumentError(`Give a number ${range}.`);
  };
}

/** `10%` or `0.1`, as a share of one. */
export const share: Parser<number> = (text) => {
  const match = /^(\d+(?:\.\d+)?|\.\d+)\s*(%?)$/.exec(text.trim());
  const value = match ? Number(match[1]) / (match[2] ? 100 : 1) : Number.NaN;
  if (value >= 0 && (match?.[2] || value <= 1)) return value;
  throw new InvalidArgumentError('Give a share such as 10% or 0.1.');
};

/** `8,16,32` as whole numbers from 1. */
export const counts: Parser<number[]> = (text) => {
  const values = text.split(',').map(Number);
  if (values.every((n) => Number.isInteger(n) && n > 0)) return values;
  throw new InvalidArgumentError('Give whole numbers from 1, separated by commas.');
};

/** `32,48,32` as voxels along z, y, x. */
export const voxels: Parser<Triple> = (text) => {
  const sizes = text.split(/[,x]/).map(Number);
  if (sizes.length === 3 && sizes.every((n) => Number.isInteger(n) && n > 0)) return sizes as unknown as Triple;
  throw new InvalidArgumentError('Give three whole numbers along z,y,x, for example 32,48,32.');
};

/** `6G`, `512M` or a plain number, in bytes. */
export const bytes: Parser<number> = (text) => {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?$/i.exec(text);
  if (match && Number(match[1]) > 0) {
    return Math.floor(Number(match[1]) * 1024 ** ['', 'K', 'M', 'G', 'T'].indexOf(match[2].toUpperCase()));
  }
  throw new InvalidArgumentError('Give a size such as 6G or 512M.');
};

/** A number of cases, or the path of a list with one case id a line. */
export const countOrFile: Parser<number | string> = (text) => (/^\d+$/.test(text) ? Number(text) : text);

/** Collects an option that may be given several times. */
export function repeated(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text];
}

/** One of a few words. */
export function oneOf(...words: readonly string[]): Parser<string> {
  return (text) => {
    if (words.includes(text)) return text;
    throw new InvalidArgumentError(`Give one of ${words.join(', ')}.`);
  };
}

/** Some of a few words, separated by commas. */
export function someOf(...words: readonly string[]): Parser<string[]> {
  return (text) => {
    const chosen = text.split(',').map((word) => word.trim());
    if (chosen.every((word) => words.includes(word))) return chosen;
    throw new InvalidArgumentError(`Give one or more of ${words.join(', ')}, separated by commas.`);
  };
}
