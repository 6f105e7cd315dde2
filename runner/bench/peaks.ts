import type { Device } from '../../engine/device.ts';
import { Program } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { copyKernel } from '../../shaders/copy.wgsl.ts';
import { FMA_UNROLL, type FmaLoop, fmaLoopKernel } from '../../shaders/fma_loop.wgsl.ts';
import { type Clock, type Effort, timePart } from './clock.ts';
import { median } from './statistics.ts';

/** What the adapter does at best, as measured in this process: the measure of everything else. */
export interface Peaks {
  /** Of a loop of multiply-adds in registers, a multiply-add as two. */
  readonly flopsPerSecond: number;
  /** Of a copy, bytes read and bytes written together. */
  readonly bytesPerSecond: number;
  /** Milliseconds from the submit of next to nothing until the host knows that it is done. */
  readonly launchMs: number;
}

/**
 * Threads that fill the adapter, milliseconds of a run that hide its ends, bytes of a copy that caches hardly hold, vec4
 * accumulators and vec4 copied by a thread.
 */
const SIZES = {
  software: { threads: 4096, runMs: 10, copyBytes: 16 * 2 ** 20, chains: [2, 4], copies: [1, 4] },
  hardware: { threads: 2 ** 19, runMs: 5, copyBytes: 512 * 2 ** 20, chains: [2, 4, 8], copies: [1, 4, 8] },
};
/** a = a factor + summand stays near summand / (1 - factor) = 1. */
const FACTOR = 0.5;
const SUMMAND = 0.5;

/** The best of a few loops and a few copies, since adapters differ in what suits them. Takes a few seconds. */
export async function measurePeaks(device: Device, clock: Clock, effort: Effort): Promise<Peaks> {
  const { threads, runMs, copyBytes, chains, copies } = SIZES[device.software ? 'software' : 'hardware'];
  let flopsPerSecond = 0;
  for (const loop of chains.flatMap((n) => [true, false].map((fused) => ({ chains: n, fused })))) {
    flopsPerSecond = Math.max(flopsPerSecond, await loopRate(device, clock, loop, { threads, runMs }, effort));
  }
  const { maxStorageBufferBindingSize, maxBufferSize } = device.limits;
  const bytes = Math.min(copyBytes, maxStorageBufferBindingSize, maxBufferSize);
  let bytesPerSecond = 0;
  for (const each of copies)
    bytesPerSecond = Math.max(bytesPerSecond, await copyRate(device, clock, each, bytes, effort));
  return { flopsPerSecond, bytesPerSecond, launchMs: await launchMs(device, clock) };
}

/** Rounds are doubled until a run takes `runMs`. */
async function loopRate(
  device: Device,
  clock: Clock,
  loop: FmaLoop,
  { threads, runMs }: { threads: number; runMs: number },
  effort: Effort,
): Promise<number> {
  for (let rounds = 16; ; rounds *= 4) {
    const program = await loopProgram(device, loop, threads, rounds);
    try {
      const first = await clock.measure(program);
      const second = await clock.measure(program);
      if (Math.min(first.ms, second.ms) < runMs && rounds < 2 ** 20) continue;
      const { ms } = await timePart(clock, program, { from: 0, to: 1 }, { ...effort, samples: 3 });
      return (8 * FMA_UNROLL * loop.chains * rounds * threads) / (ms / 1000);
    } finally {
      program.destroy();
    }
  }
}

function loopProgram(device: Device, loop: FmaLoop, threads: number, rounds: number): Promise<Program> {
  const rec = new Recording(device, 'arithmetic peak');
  const y = rec.tensor([threads, 4], 'sums');
  rec.dispatch(fmaLoopKernel(loop), { y }, { count: threads, rounds, factor: FACTOR, summand: SUMMAND }, threads);
  return Program.create(rec);
}

async function copyRate(device: Device, clock: Clock, each: number, bytes: number, effort: Effort): Promise<number> {
  const rec = new Recording(device, 'bandwidth peak');
  const threads = Math.floor(bytes / 16 / each);
  const shape = [threads * each, 4];
  const x = device.tensor(shape, 'copied');
  try {
    rec.dispatch(copyKernel(each), { x, y: rec.tensor(shape, 'copy') }, { threads }, threads);
    const program = await Program.create(rec);
    try {
      program.run();
      const { ms } = await timePart(clock, program, { from: 0, to: 1 }, { ...effort, samples: 3 });
      return (32 * threads * each) / (ms / 1000);
    } finally {
      program.destroy();
    }
  } finally {
    device.destroyTensor(x);
  }
}

async function launchMs(device: Device, clock: Clock): Promise<number> {
  const program = await loopProgram(device, { chains: 2, fused: true }, 1, 1);
  try {
    const times: number[] = [];
    for (let i = 0; i < 21; i++) times.push((await clock.measure(program)).wallMs);
    return median(times);
  } finally {
    program.destroy();
  }
}
