/** The process of one peer in JavaScript: `peer_child PEER GPU`, forked by peer_process.ts. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openJaxJs } from '../bench/peers/jax_js.ts';
import type { Answer, Request } from '../bench/peers/messages.ts';
import { openOnnxRuntime } from '../bench/peers/onnxruntime.ts';
import {
  type JavaScriptPeer,
  type OpenPeer,
  PEER_PACKAGES,
  type PeerContext,
  type Prepared,
  type System,
} from '../bench/peers/protocol.ts';
import { openTfjs } from '../bench/peers/tfjs.ts';
import { exit, type OpenedGpu, openGpu } from '../host/node.ts';
import { foundPackage } from '../host/packages.ts';
import { placeOf } from './bench_place.ts';
import { timedRun } from './timed_run.ts';

const PEERS: Readonly<Record<JavaScriptPeer, OpenPeer>> = {
  ...{ tfjs: openTfjs, 'jax-js': openJaxJs, onnxruntime: openOnnxRuntime },
};

const [peer, gpu] = process.argv.slice(2) as [JavaScriptPeer, string];
const tell = (answer: Answer) => process.send?.(answer);
const failed = (failure: unknown): Answer => {
  const { name, message } = failure instanceof Error ? failure : { name: '', message: String(failure) };
  return { answer: name === 'Unsupported' ? 'unsupported' : 'failed', reason: message.split('\n')[0] };
};

function packageOf(name: string) {
  const found = foundPackage(name);
  if (found) return found;
  throw new Error(`npm's ${name} is not installed`);
}

const fileOf = (name: string, file: string) => join(packageOf(name).folder, file);

const context = ({ device }: OpenedGpu): PeerContext => ({
  device,
  load: (name, file = packageOf(name).main ?? 'index.js') => import(pathToFileURL(fileOf(name, file)).href),
  file: (name, file) => ({ url: pathToFileURL(fileOf(name, file)).href, bytes: readFileSync(fileOf(name, file)) }),
});

/** What libraries made for browsers look for; whoever asks for an adapter and a device gets ours. */
function actAsBrowser({ adapter, device }: OpenedGpu): void {
  const { features, limits, info } = adapter;
  const given = { features, limits, info, isFallbackAdapter: false, requestDevice: async () => device };
  const navigator = {
    ...{ userAgent: 'node', language: 'en', hardwareConcurrency: 1 },
    gpu: { requestAdapter: async () => given, getPreferredCanvasFormat: () => 'rgba8unorm' },
  };
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
  Object.defineProperty(globalThis, 'window', { value: globalThis, configurable: true });
}

/** Dawn refuses views of shared memory, which is where libraries in WebAssembly keep everything; it gets copies of those. */
function copySharedMemory(): void {
  const { writeBuffer } = GPUQueue.prototype;
  GPUQueue.prototype.writeBuffer = function (buffer, offset, data, from = 0, size) {
    const shared = (ArrayBuffer.isView(data) ? data.buffer : data) instanceof SharedArrayBuffer;
    if (!shared) return writeBuffer.call(this, buffer, offset, data as GPUAllowSharedBufferSource, from, size);
    const unit = ArrayBuffer.isView(data) && 'BYTES_PER_ELEMENT' in data ? Number(data.BYTES_PER_ELEMENT) : 1;
    const all = ArrayBuffer.isView(data)
      ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      : new Uint8Array(data as SharedArrayBuffer);
    const end = size === undefined ? all.length : (from + size) * unit;
    return writeBuffer.call(this, buffer, offset, Uint8Array.from(all.subarray(from * unit, end)));
  };
}

/** Counts the dispatches until the returned function is called, which gives their number. */
function countDispatches(): () => number {
  const prototype = GPUComputePassEncoder.prototype;
  const { dispatchWorkgroups, dispatchWorkgroupsIndirect } = prototype;
  let count = 0;
  prototype.dispatchWorkgroups = function (...groups) {
    count++;
    return dispatchWorkgroups.apply(this, groups);
  };
  prototype.dispatchWorkgroupsIndirect = function (...where) {
    count++;
    return dispatchWorkgroupsIndirect.apply(this, where);
  };
  return () => {
    Object.assign(prototype, { dispatchWorkgroups, dispatchWorkgroupsIndirect });
    return count;
  };
}

let system: System;
let prepared: Prepared | undefined;
/** What WebGPU refused and nobody caught: from then on times mean nothing. */
let refused: string | undefined;

async function answer(request: Request): Promise<Answer> {
  if (request.ask === 'run') {
    const time = await timedRun(prepared as Prepared, request.times);
    return refused === undefined ? { answer: 'ran', ...time } : { answer: 'failed', reason: refused };
  }
  prepared?.destroy();
  prepared = undefined;
  refused = undefined;
  if (request.ask === 'release') return { answer: 'released' };
  const counted = countDispatches();
  try {
    prepared = await system.prepare(request.work);
  } finally {
    counted();
  }
  if (refused !== undefined) return { answer: 'failed', reason: refused };
  const { results, notes = [], gpuBytes } = prepared;
  return { answer: 'prepared', results, notes, gpuBytes, dispatches: counted() };
}

process.on('message', (request: Request) => {
  answer(request).catch(failed).then(tell);
});
process.on('disconnect', () => exit(0));

try {
  const opened = await openGpu({ gpu, unsafe: true });
  opened.device.addEventListener('uncapturederror', ({ error }) => {
    refused ??= `WebGPU refused: ${error.message.split('\n')[0]}`;
  });
  actAsBrowser(opened);
  copySharedMemory();
  system = await PEERS[peer](context(opened));
  const { adapter, backend } = placeOf(opened);
  const version = packageOf(PEER_PACKAGES[peer][0]).version;
  tell({ answer: 'open', backend: system.backend, adapter: `${adapter} (${backend})`, version });
} catch (failure) {
  tell(failed(failure));
}
