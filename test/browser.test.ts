/** The engine's own tests inside headless Chromium, and the losses of a page against Node's on the same adapter. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { stripVTControlCharacters } from 'node:util';
import type { Page } from 'playwright-core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { NoGpuError } from '../engine/errors.ts';
import { exit } from '../runner/host/node.ts';
import { bundle } from './browser/bundle.ts';
import { launchChromium } from './browser/chromium.ts';
import { tenLosses } from './browser/ten_losses.ts';
import { judge } from './judge.ts';

/**
 * What fits into the time of one test: each family of kernels, the losses, the optimisers. Every n-th test of a file runs, n
 * standing beside it; Node runs them all.
 */
const SUITE: readonly [file: string, every: number][] = [
  ['random.test', 1],
  ['ops/activation.test', 1],
  ['ops/elementwise.test', 1],
  ['ops/conv3d.test', 5],
  ['ops/norm.test', 5],
  ['ops/max_pool3d.test', 1],
  ['ops/avg_pool3d.test', 1],
  ['ops/resize3d.test', 1],
  ['ops/softmax.test', 1],
  ['ops/cross_entropy.test', 2],
  ['ops/soft_dice.test', 3],
  ['nn/optimisers.test', 3],
  ['tune/indexed_db.test', 1],
];
const LOSSES = 'browser/ten_losses';
const PAGE_SECONDS = 240;

// Outside of test.before: uvu keeps quiet about what fails there.
const scripts = await bundle([...SUITE.map(([file]) => file), LOSSES]);
const server = createServer((request, response) => {
  const script = scripts.get((request.url ?? '').slice(1).replace(/\.js$/, ''));
  response.setHeader('content-type', script ? 'text/javascript' : 'text/html');
  response.end(script ?? '<!doctype html><meta charset="utf-8"><title>action3d</title>');
});
await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
const home = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
const { browser, name: browserName } = await launchChromium();

async function inPage<T>(body: (page: Page) => Promise<T>, address = home): Promise<T> {
  const page = await browser.newPage();
  try {
    await page.goto(address);
    return await body(page);
  } finally {
    await page.close();
  }
}

/** Loads a test file; resolves to what it printed, once uvu has summed up or the page failed. */
function printed(page: Page, file: string): Promise<string> {
  let text = '';
  return new Promise((resolve) => {
    const end = (reason: string) => resolve(`${text}\n${reason}`);
    page.on('console', (message) => {
      text += stripVTControlCharacters(message.text());
      if (text.includes('Duration:')) end('');
    });
    page.on('pageerror', (error) => end(error.stack ?? error.message));
    page.on('crash', () => end('the page crashed'));
    page.on('close', () => end(`closed before it had results`));
    page.addScriptTag({ url: `${home}${file}.js`, type: 'module' }).catch((error) => end(String(error)));
    setTimeout(() => end(`no results after ${PAGE_SECONDS} s`), PAGE_SECONDS * 1000).unref();
  });
}

test('Chromium offers WebGPU', async () => {
  const adapter = await inPage((page) =>
    page.evaluate(async () => {
      const found = await navigator.gpu?.requestAdapter();
      return found && [found.info.vendor, found.info.architecture, found.info.description].filter(Boolean).join(' ');
    }),
  );
  assert.ok(adapter, `${browserName} offers no WebGPU adapter`);
  console.log(`${browserName}, adapter ${adapter}`);
});

for (const [file, every] of SUITE) {
  test(`${file}.ts passes in the page`, async () => {
    const text = await inPage((page) => printed(page, file), `${home}?every=${every}`);
    const { passed, failed, trouble } = judge(text, 0, null, false);
    assert.ok(failed === 0 && passed > 0, `${passed} passed, ${failed} failed ${trouble}\n${text}`);
    console.log(`${file}.ts: ${passed} passed in the page`);
  });
}

test("ten losses in the page equal PyTorch's to 1e-4, and Node's on the same adapter to the bit", async () => {
  const page: Awaited<ReturnType<typeof tenLosses>> = await inPage((page) =>
    page.evaluate((url) => import(url).then((module) => module.tenLosses()), `${home}${LOSSES}.js`),
  );
  page.steps.forEach(({ loss }, i) => {
    assert.ok(Math.abs(loss / page.torch[i] - 1) <= 1e-4, `loss ${i}: ${loss}, PyTorch ${page.torch[i]}`);
  });
  const node = await tenLosses().catch((error) => {
    if (error instanceof NoGpuError) return undefined;
    throw error;
  });
  if (node?.kind !== page.kind) {
    console.log(`The page is on ${page.name}, Node cannot be: the losses of the two are not compared.`);
    return;
  }
  assert.equal(page.steps, node.steps);
  console.log(`ten losses and gradient norms equal Node's to the bit on ${page.name} and ${node.name}`);
});

test.after(async () => {
  await browser.close();
  server.close();
  setTimeout(() => exit(Number(process.exitCode ?? 0)), 10);
});
test.run();
