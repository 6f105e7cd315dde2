/** Who may import whom, and that nothing below the hosts knows a host. The layers: core <- ops <- nn <- action and baselines, runner above. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

interface Rule {
  files: RegExp;
  /** What these files may import: paths from the root, or packages. */
  may: RegExp[];
}

const core = /^engine\/(?!index\.ts)[^/]+$/;
const shaders = /^shaders\//;
const ops = /^engine\/ops\//;
const nn = /^engine\/nn\//;
const action = /^engine\/action\//;
const baselines = /^engine\/baselines\//;
const hostless = /^runner\/(data|train|predict|report|bench|tune)\//;

/** The first rule whose `files` fit a file holds for it. */
const RULES: Rule[] = [
  { files: /^engine\/index\.ts$/, may: [core, ops, nn, action, baselines] },
  { files: core, may: [core, shaders] },
  { files: ops, may: [core, shaders, ops] },
  { files: nn, may: [core, shaders, ops, nn] },
  { files: action, may: [core, shaders, ops, nn, action] },
  { files: baselines, may: [core, shaders, ops, nn, baselines] },
  {
    files: /^shaders\/shared\//,
    may: [/^shaders\/shared\//, /^engine\/(matrix_unit|shape)\.ts$/, /^wgsl-preprocessor\//],
  },
  // A kernel may take constants and functions of the kernels it works with.
  { files: shaders, may: [shaders, /^engine\/(kernel|matrix_unit|shape)\.ts$/] },
  {
    files: hostless,
    may: [/^engine\//, shaders, hostless, /^(valibot|nifti-reader-js|h5wasm)$/],
  },
  {
    files: /^runner\/host\/(web|opened_gpu|indexed_db)\.ts$/,
    may: [/^engine\//, /^runner\/tune\//, /^runner\/host\/(web|opened_gpu|indexed_db)\.ts$/],
  },
  // The host's random numbers are themselves the twin of the device's (test/random.test.ts).
  { files: /^test\/reference\//, may: [/^test\/reference\//, /^engine\/random\.ts$/] },
];

/** Names of what only a host has; nothing under these folders may speak of them. */
const HOST_NAMES = new Set(['process', 'navigator', 'document', 'window', 'Buffer', 'require', 'localStorage']);
const WITHOUT_HOST = [/^engine\//, shaders, hostless];

const files = ['engine', 'shaders', 'runner', 'test/reference'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${folder}/${name.replaceAll('\\', '/')}`),
);
const text = (file: string) => readFileSync(join(ROOT, file), 'utf8');

/** Everything a file imports, types too: paths from the root, or package names. */
function imports(file: string, source: string): string[] {
  return ts
    .preProcessFile(source, true, true)
    .importedFiles.map(({ fileName }) =>
      fileName.startsWith('.') ? posix.join(posix.dirname(file), fileName) : fileName,
    );
}

function forbidden(file: string, source: string): string[] {
  const rule = RULES.find(({ files }) => files.test(file));
  if (!rule) return [];
  return imports(file, source)
    .filter((imported) => !rule.may.some((pattern) => pattern.test(imported)))
    .map((imported) => `${file} imports ${imported}`);
}

/** Host names that a file uses without having declared them. */
function hostNames(file: string, source: string): string[] {
  const declared = new Set<string>();
  const used = new Set<string>();
  const visit = (node: ts.Node) => {
    if (ts.isIdentifier(node) && HOST_NAMES.has(node.text)) {
      const { parent } = node;
      const isDeclared =
        (ts.isVariableDeclaration(parent) || ts.isParameter(parent) || ts.isBindingElement(parent)) &&
        parent.name === node;
      const isProperty =
        (ts.isPropertyAccessExpression(parent) && parent.name === node) ||
        ts.isPropertyAssignment(parent) ||
        ts.isPropertySignature(parent);
      if (isDeclared) declared.add(node.text);
      else if (!isProperty) used.add(node.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true));
  return [...used].filter((name) => !declared.has(name)).map((name) => `${file} uses ${name}`);
}

test('imports go downward only: core <- ops <- nn <- action and baselines; shaders and references stand alone', () => {
  assert.equal(
    files.flatMap((file) => forbidden(file, text(file))),
    [],
  );
});

test('only hosts and commands touch node:, webgpu and files', () => {
  const allowed = /^runner\/(host|commands)\/|^runner\/[^/]+\.ts$/;
  const found = files
    .filter((file) => !allowed.test(file))
    .flatMap((file) => imports(file, text(file)).map((imported) => `${file} imports ${imported}`))
    .filter((line) =>
      / (node:|webgpu$|runner\/(host\/(?!web\.ts|opened_gpu\.ts|indexed_db\.ts)|commands\/))/.test(line),
    );
  assert.equal(found, []);
});

test('engine, shaders and hostless parts of the runner name nothing that only a host has', () => {
  const found = files
    .filter((file) => WITHOUT_HOST.some((pattern) => pattern.test(file)))
    .flatMap((file) => hostNames(file, text(file)));
  assert.equal(found, []);
});

test('the rules catch what they are for', () => {
  assert.equal(forbidden('engine/tape.ts', "import { relu } from './ops/activation.ts';"), [
    'engine/tape.ts imports engine/ops/activation.ts',
  ]);
  assert.equal(forbidden('engine/ops/x.ts', "import type { Sgd } from '../nn/sgd.ts';").length, 1);
  assert.equal(forbidden('engine/nn/x.ts', "export * from '../action/bank.ts';").length, 1);
  assert.equal(forbidden('engine/ops/x.ts', "const fs = await import('node:fs');").length, 1);
  assert.equal(forbidden('engine/action/x.ts', "export * from '../baselines/cps.ts';").length, 1);
  assert.equal(forbidden('engine/baselines/x.ts', "import type { Bank } from '../action/bank.ts';").length, 1);
  assert.equal(forbidden('shaders/x.wgsl.ts', "import { rows } from '../engine/tensor.ts';").length, 1);
  assert.equal(forbidden('runner/data/x.ts', "import { openGpu } from '../host/node.ts';").length, 1);
  assert.equal(forbidden('test/reference/x.ts', "import { relu } from '../../engine/ops/activation.ts';").length, 1);
  assert.equal(hostNames('engine/x.ts', 'export const memory = () => process.memoryUsage();'), [
    'engine/x.ts uses process',
  ]);
  assert.equal(
    hostNames('engine/x.ts', 'export const f = (window: { z: number }) => window.z + `process`.length;'),
    [],
  );
  assert.ok(files.length > 100);
});

test.run();
