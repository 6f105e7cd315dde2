/** Processes of peers: a forked Node for those in JavaScript, a Python for PyTorch. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { extname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ActionError } from '../../engine/errors.ts';
import type { Answer, PeerChannel, Request } from '../bench/peers/messages.ts';
import { CHECKED_STEPS, EPSILON, type HostArray, type JavaScriptPeer, type Work } from '../bench/peers/protocol.ts';
import { PYTORCH_SCRIPT, type PytorchMode } from '../bench/peers/pytorch.ts';

/** Longest wait for one answer; a training step of a peer on a software adapter takes minutes. */
const PATIENCE_MS = 15 * 60_000;
/** Characters of the last words that are told of a process that ended. */
const LAST_WORDS = 300;

/** Starts `peer` in a Node of its own, on the adapter that `gpu` names. */
export function forkPeer(peer: JavaScriptPeer, gpu: string): PeerChannel {
  const child = fork(childModule(), [peer, gpu], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const queue = channelOf(child, peer, (request) => child.send(request));
  child.on('message', (answer) => queue.answered(answer as Answer));
  return queue.channel;
}

/** Starts PyTorch in the Python of that path. */
export function startPytorch(python: string, mode: PytorchMode): PeerChannel {
  const child = spawn(python, ['-u', '-c', PYTORCH_SCRIPT, mode], { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', () => undefined); // its end is told by 'exit'
  const queue = channelOf(child, `pytorch ${mode}`, (request) => child.stdin.write(`${jsonOf(request)}\n`));
  createInterface({ input: child.stdout }).on('line', (line) => queue.answered(answerOf(line)));
  return queue.channel;
}

/** Beside this file in sources and in dist/; the bundle keeps it where it was, and this in a chunk. */
function childModule(): string {
  const name = `peer_child${extname(new URL(import.meta.url).pathname)}`;
  const places = [name, `../runner/commands/${name}`].map((at) => fileURLToPath(new URL(at, import.meta.url)));
  return places.find((path) => existsSync(path)) ?? places[0];
}

function channelOf(child: ChildProcess, name: string, send: (request: Request) => unknown) {
  let words = '';
  let ended: Error | undefined;
  let waiting: { resolve(answer: Answer): void; reject(failure: Error): void } | undefined;
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-LAST_WORDS);
  });
  const end = (what: string) => {
    const last = words.trim().split('\n').at(-1);
    ended ??= new ActionError(`the process of ${name} ${what}${last ? ` (${last.trim()})` : ''}`);
    waiting?.reject(ended);
    waiting = undefined;
  };
  child.on('error', (failure) => end(`does not start: ${failure.message}`));
  child.once('close', (code, signal) => end(`ended with ${signal ?? `exit code ${code}`}`));
  const next = () =>
    new Promise<Answer>((resolve, reject) => {
      if (ended) return reject(ended);
      const timer = setTimeout(() => {
        end(`did not answer within ${PATIENCE_MS / 60_000} minutes`);
        child.kill('SIGKILL');
      }, PATIENCE_MS);
      waiting = {
        resolve: (answer) => {
          clearTimeout(timer);
          resolve(answer);
        },
        reject: (failure) => {
          clearTimeout(timer);
          reject(failure);
        },
      };
    });
  const channel: PeerChannel = {
    opened: next(),
    ask(request) {
      const answer = next();
      if (!ended) send(request);
      return answer;
    },
    close() {
      child.kill('SIGKILL');
    },
  };
  return {
    channel,
    answered(answer: Answer) {
      waiting?.resolve(answer);
      waiting = undefined;
    },
  };
}

const base64 = (values: Float32Array) =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64');
const encoded = ({ shape, data }: HostArray) => ({ shape, base64: base64(data) });

function jsonOf(request: Request): string {
  return JSON.stringify(request.ask === 'prepare' ? { ...request, work: workOf(request.work) } : request);
}

function workOf(work: Work): object {
  if (work.kind === 'convolution') {
    return { ...work, x: encoded(work.x), w: encoded(work.w), dy: encoded(work.dy) };
  }
  return {
    ...{ ...work, epsilon: EPSILON, steps: CHECKED_STEPS, x: encoded(work.x) },
    labels: encoded({ shape: work.x.shape.slice(0, 4), data: Float32Array.from(work.labels) }),
    parameters: work.parameters.map((parameter) => ({ name: parameter.name, ...encoded(parameter) })),
  };
}

function answerOf(line: string): Answer {
  const answer = JSON.parse(line);
  if (answer.answer !== 'prepared') return answer;
  const decode = ({ base64: text }: { base64: string }) => {
    const bytes = Buffer.from(text, 'base64');
    return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  };
  const results = Object.entries<{ base64: string }>(answer.results).map(([key, value]) => [key, decode(value)]);
  return { ...answer, results: Object.fromEntries(results) };
}
