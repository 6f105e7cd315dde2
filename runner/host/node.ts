/**
 * GPU access in Node through Dawn (npm `webgpu`).
 *
 * Usage: `const gpu = await openGpu({ gpu: flags.gpu })` gives a GPUDevice with everything its adapter offers; print `gpu.notes`
 * once, hand `gpu.device` to the engine, and leave by `await exit(code)` (or let the process run out: devices are destroyed on
 * the way out in any case). `gpu` is 'auto' (default), an index of `listAdapters()`, a part of an adapter's name, 'llvmpipe' or
 * 'swiftshader'. No environment variable is read or needed. `auto` takes a hardware adapter where there is one, else Mesa's
 * llvmpipe through Dawn's OpenGL ES backend, else SwiftShader out of npm's @sparticuz/chromium. Nothing usable, or not the one
 * asked for, throws NoGpuError with hints. `unsafe: true` turns off bounds clamping and the zeroing of workgroup memory: faster,
 * and only for kernels that guard every index and write workgroup memory before they read it. `tuned: false` leaves the ways alone
 * that `action3d tune` found for the adapter, which a Device made with what this gives takes otherwise.
 */
import { NoGpuError } from '../../engine/errors.ts';
import { matrixUnitOf } from '../../engine/matrix_unit.ts';
import { best, pick, probe, SOURCE_OF_KIND, settlesAuto } from './choose.ts';
import type { Candidate, CreateGpu, Refusal } from './enumerate.ts';
import { kindOf, limitsOf, loadTuning, type OpenedGpu, requestFullDevice } from './opened_gpu.ts';
import { installedPackage } from './packages.ts';
import { sources } from './sources.ts';
import { tuningFile } from './tuning_file.ts';

export type { OpenedGpu } from './opened_gpu.ts';

export interface OpenOptions {
  gpu?: string;
  unsafe?: boolean;
  tuned?: boolean;
}

const open = new Set<OpenedGpu>();

function closeAll(): void {
  for (const gpu of open) gpu.close();
}

/** Loads Dawn and puts its constants (GPUBufferUsage, GPUMapMode ...) where a browser has them. */
async function loadDawn(): Promise<CreateGpu> {
  try {
    const dawn = await import('webgpu');
    Object.assign(globalThis, dawn.globals);
    return dawn.create;
  } catch (cause) {
    const hints = [
      `npm webgpu has binaries for Linux (glibc), macOS and Windows on x64 and arm64; this is ${process.platform}-${process.arch}`,
      'run npm ci again, without --ignore-scripts',
      'on macOS lift the quarantine: xattr -dr com.apple.quarantine node_modules/webgpu',
      'on Alpine use an image with glibc (node:20-slim); on older systems update glibc and libstdc++',
    ];
    throw new NoGpuError(`Dawn (npm webgpu) does not load here: ${firstLine(cause)}.`, hints, { cause });
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0];
}

function noGpu(message: string, refusals: Refusal[]): NoGpuError {
  const hints = refusals.flatMap(({ source, reason, fixes }) => [
    `${source}: ${reason}`,
    ...fixes.map((fix) => `  ${fix}`),
  ]);
  return new NoGpuError(message, hints);
}

/** Opens the adapter that `options.gpu` names. Throws NoGpuError. */
export async function openGpu(options: OpenOptions = {}): Promise<OpenedGpu> {
  const wanted = options.gpu ?? 'auto';
  const unsafe = options.unsafe ?? false;
  const create = await loadDawn();
  // An index counts all adapters; a name or kind is looked for only until it is found.
  const enough = (found: Candidate[]) => {
    if (wanted === 'auto') return found.some(settlesAuto);
    return !/^\d+$/.test(wanted) && pick(wanted, found) !== undefined;
  };
  const { candidates, refusals } = await probe(sources(create, unsafe), SOURCE_OF_KIND[wanted], enough);
  const chosen = wanted === 'auto' ? best(candidates) : pick(wanted, candidates);
  if (!chosen) {
    const names = candidates.map(({ name, backend }, i) => `${i}: ${name} (${backend})`).join(', ');
    if (wanted === 'auto') throw noGpu('No usable GPU was found; action3d doctor explains each refusal.', refusals);
    const message = `There is no adapter "${wanted}" here; found: ${names || 'none'}; choose one of these, or auto.`;
    // Where there are adapters, and not a kind was asked for that may have been refused, the name is likely misspelt.
    if (names && !(wanted in SOURCE_OF_KIND)) {
      throw new NoGpuError(message, refusals.length > 0 ? ['action3d doctor tells why others are not available'] : []);
    }
    throw noGpu(message, refusals);
  }
  const adapter = await chosen.open();
  if (!adapter)
    throw noGpu(`The adapter ${chosen.name} (${chosen.backend}) vanished while it was opened; try again.`, refusals);
  const gpu = await opened(chosen, adapter);
  if (options.tuned ?? true) await loadTuning(gpu, installedPackage('webgpu')?.version ?? '', tuningFile);
  return gpu;
}

async function opened(chosen: Candidate, adapter: GPUAdapter): Promise<OpenedGpu> {
  const notes: string[] = [];
  const kind = kindOf(chosen.name, adapter.info.isFallbackAdapter);
  let device: GPUDevice;
  try {
    device = await requestFullDevice(adapter, notes);
  } catch (cause) {
    throw new NoGpuError(
      `The adapter ${chosen.name} (${chosen.backend}) gives no device: ${firstLine(cause)}.`,
      ['close other programs that use the GPU', 'update its driver', 'choose another adapter with --gpu'],
      { cause },
    );
  }
  const software = kind !== 'hardware';
  if (software)
    notes.push(
      `${chosen.name} is a software adapter: correct, but slow. A GPU is taken by itself once action3d doctor lists it.`,
    );
  if (!process.listeners('exit').includes(closeAll)) process.once('exit', closeAll);
  const gpu: OpenedGpu = {
    ...{ device, adapter, name: chosen.name, kind, backend: chosen.backend, software, notes, close },
    ...{ vendor: adapter.info.vendor, matrixUnit: matrixUnitOf(adapter) },
  };
  function close(): void {
    if (open.delete(gpu)) device.destroy();
  }
  open.add(gpu);
  return gpu;
}

export interface AdapterReport {
  index: number;
  name: string;
  kind: OpenedGpu['kind'];
  backend: string;
  software: boolean;
  driver: string;
  /** Smallest and largest subgroup, where the adapter has subgroups. */
  subgroupSize: [number, number] | undefined;
  features: string[];
  limits: Record<string, number>;
}

export interface AdapterList {
  adapters: AdapterReport[];
  refusals: Refusal[];
  /** Index of the adapter that 'auto' opens; undefined without any. */
  auto: number | undefined;
}

/** Every adapter of every source with what it offers, and every source that was refused. */
export async function listAdapters(): Promise<AdapterList> {
  const { candidates, refusals } = await probe(sources(await loadDawn(), false), undefined, () => false);
  const adapters: AdapterReport[] = [];
  for (const [index, { name, kind, backend, software, open }] of candidates.entries()) {
    const adapter = await open();
    if (!adapter) continue;
    const { description: driver, subgroupMinSize, subgroupMaxSize } = adapter.info;
    adapters.push({
      index,
      name,
      kind,
      backend,
      software,
      driver,
      subgroupSize: adapter.features.has('subgroups') ? [subgroupMinSize, subgroupMaxSize] : undefined,
      features: [...adapter.features].sort(),
      limits: limitsOf(adapter.limits),
    });
  }
  const chosen = best(candidates);
  return { adapters, refusals, auto: chosen && candidates.indexOf(chosen) };
}

/** Ends the process: destroys every device, waits until what was printed has left, and exits with `code`. */
export async function exit(code: number): Promise<never> {
  closeAll();
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', () => {}); // the reader left (| head): nothing more to say
    await new Promise<void>((done) => stream.write('', () => done()));
  }
  process.exit(code);
}
