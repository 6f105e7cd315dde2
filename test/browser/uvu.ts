/** uvu for a page, which takes every n-th test of a file: its address ends in ?every=n. test/browser/bundle.ts puts it in uvu's place. */
import { test as all } from 'uvu';

const every = Number(new URLSearchParams(location.search).get('every') ?? 1);
let seen = 0;

function some(name: string, body: () => Promise<void> | void): void {
  if (seen++ % every === 0) all(name, body);
}

export const test = Object.assign(some, all);
