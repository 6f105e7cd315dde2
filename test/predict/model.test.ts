/** `model.json`: what is read, and the sentence for what cannot be. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DataError } from '../../engine/errors.ts';
import { parseModelCard } from '../../runner/predict/model.ts';
import { thresholdCard } from './threshold_model.ts';

type Json = { [key: string]: Json } | unknown;

/** The card's text with one entry changed; undefined takes it out. */
function withEntry(path: string, value: unknown): string {
  const card = structuredClone(thresholdCard()) as Json;
  const keys = path.split('.');
  let at = card as Record<string, Json>;
  for (const key of keys.slice(0, -1)) at = at[key] as Record<string, Json>;
  at[keys[keys.length - 1]] = value;
  return JSON.stringify(card);
}

function refused(text: string, problem: string): void {
  assert.throws(
    () => parseModelCard(text, 'run/model.json'),
    (error: Error) =>
      error instanceof DataError &&
      error.message === `run/model.json is not a model of this version: ${problem}; use the model.json of a run folder`,
    problem,
  );
}

test('a card comes back as it was written', () => {
  const card = thresholdCard({ spacing: [1, 2, 3] });
  assert.equal(parseModelCard(JSON.stringify(card), 'a'), card);
});

test('null in place of any entry is an error that names the key', () => {
  const network = ['inChannels', 'classes', 'channels', 'kernels', 'strides', 'blocksPerLevel', 'norm', 'groups'];
  const more = ['activation', 'slope', 'up', 'dropout'];
  const paths = [
    ...[...network, ...more].map((key) => `network.${key}`),
    ...['network', 'network.channels.0', 'network.kernels.0', 'network.kernels.0.1', 'patch', 'patch.2'],
    ...['channels', 'channels.0', 'channels.0.name', 'labels', 'labels.1', 'labels.1.value', 'labels.1.name'],
    ...['preprocessing', 'preprocessing.normalisation', 'preprocessing.window', 'preprocessing.window.0'],
  ];
  for (const path of paths) {
    assert.throws(
      () => parseModelCard(withEntry(path, null), 'run/model.json'),
      (error: Error) => error instanceof DataError && error.message.includes(`: '${path}' is null, expected `),
      path,
    );
  }
});

test('an entry that is missing or of the wrong kind is told, all at once', () => {
  refused(withEntry('patch', undefined), "'patch' is missing");
  refused(
    withEntry('network.norm', 'layer'),
    `'network.norm' is "layer", expected ("instance" | "group" | "batch" | "none")`,
  );
  refused(withEntry('network.channels', [8.5]), "'network.channels.0' is 8.5, expected a whole number");
  refused(withEntry('labels.2.value', 70000), "'labels.2.value' is 70000, expected <=65535");
  refused(
    withEntry('preprocessing', {}),
    "'preprocessing.spacing' is missing; 'preprocessing.normalisation' is missing",
  );
  refused('null', "'the whole file' is null, expected Object");
  assert.throws(() => parseModelCard('{', 'run/model.json'), /run\/model\.json is not JSON/);
});

test.run();
