import { execFileSync } from 'node:child_process';
import { statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { ActionError, NoGpuError } from '../../engine/errors.ts';
import type { Refusal } from '../host/enumerate.ts';
import { type AdapterReport, listAdapters, type OpenedGpu, openGpu } from '../host/node.ts';
import { installedPackage, ownVersion } from '../host/packages.ts';
import { doctorText } from './doctor_text.ts';

/** One line of the self-test: a kernel against its float64 reference. */
export interface SelfTestLine {
  name: string;
  maxError: number;
  ok: boolean;
}

export type SelfTest = (opened: OpenedGpu) => Promise<SelfTestLine[]>;

export interface DoctorOptions {
  /** One JSON value instead of lines for people. */
  readonly json?: boolean;
  /** As every command's --gpu: index, name, llvmpipe, swiftshader or auto. */
  readonly gpu?: string;
}

/** Everything a bug report needs; what `doctor --json` prints. */
export interface DoctorReport {
  exitCode: number;
  node: { version: string; supported: boolean; platform: string };
  action3d: string | null;
  webgpu: string | null;
  adapters: AdapterReport[];
  refusals: Refusal[];
  /** The adapter that a run with the same --gpu takes, and why. */
  uses: { index: number; name: string; backend: string; kind: OpenedGpu['kind']; why: string } | null;
  /** What action3d tune found on that adapter: problems compared, and those with another way than the usual one. */
  tuning: { file: string; problems: number; faster: number } | null;
  problem: { message: string; hints: string[] } | null;
  notes: string[];
  /** Null when it was not run. */
  selfTest: SelfTestLine[] | null;
  disk: { path: string; freeBytes: number } | null;
  optional: { name: string; install: string; version: string | null; purpose: string }[];
}

const OLDEST_NODE = 20;

const OPTIONAL = [
  { name: 'h5wasm', install: 'h5wasm', purpose: 'reads left-atrium and SSL4MIS .h5 data sets' },
  {
    name: '@sparticuz/chromium',
    install: '@sparticuz/chromium@143',
    purpose: 'holds SwiftShader, the GPU of a linux-x64 machine that has none',
  },
];

/**
 * Tells what this machine offers, which adapter a run would take and why, and how to mend what is refused; then compares kernels
 * with their references on that adapter. @returns the exit code: 3 without a usable GPU, 8 when the self-test fails.
 */
export async function doctor(options: DoctorOptions = {}, selfTest?: SelfTest): Promise<number> {
  const report = await examine(options.gpu ?? 'auto', selfTest);
  process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : `${doctorText(report).join('\n')}\n`);
  return report.exitCode;
}

async function examine(wanted: string, selfTest: SelfTest | undefined): Promise<DoctorReport> {
  const version = process.versions.node;
  const supported = Number.parseInt(version, 10) >= OLDEST_NODE;
  const report: DoctorReport = {
    exitCode: 0,
    node: { version, supported, platform: `${process.platform}-${process.arch}` },
    action3d: ownVersion() ?? null,
    webgpu: installedPackage('webgpu')?.version ?? null,
    adapters: [],
    refusals: [],
    uses: null,
    tuning: null,
    problem: null,
    notes: quarantined() ? ['macOS holds Dawn in quarantine: xattr -dr com.apple.quarantine node_modules/webgpu'] : [],
    selfTest: null,
    disk: await freeSpace('runs'),
    optional: OPTIONAL.map((item) => ({ ...item, version: installedPackage(item.name)?.version ?? null })),
  };
  try {
    await examineGpu(report, wanted, selfTest);
  } catch (error) {
    if (!(error instanceof ActionError)) throw error;
    report.problem = { message: error.message, hints: error instanceof NoGpuError ? error.hints : [] };
    report.exitCode = error.exitCode;
  }
  return report;
}

async function examineGpu(report: DoctorReport, wanted: string, selfTest: SelfTest | undefined): Promise<void> {
  const { adapters, refusals } = await listAdapters();
  report.adapters = adapters;
  report.refusals = refusals;
  const gpu = await openGpu({ gpu: wanted });
  try {
    const { name, backend, kind } = gpu;
    const index = adapters.findIndex((item) => item.name === name && item.backend === backend);
    report.uses = { index, name, backend, kind, why: why(gpu, wanted) };
    report.notes.push(...gpu.notes);
    report.tuning = tuningOf(gpu);
    if (!selfTest) return;
    report.selfTest = await selfTest(gpu);
    if (report.selfTest.some((line) => !line.ok)) report.exitCode = 8;
  } finally {
    gpu.close();
  }
}

function tuningOf({ tuning }: OpenedGpu): DoctorReport['tuning'] {
  const problems = tuning?.valid().length ?? 0;
  return tuning && problems > 0
    ? { file: tuning.store.name, problems, faster: tuning.valid().filter(({ way, usual }) => way !== usual).length }
    : null;
}

function why(gpu: OpenedGpu, wanted: string): string {
  if (wanted !== 'auto') return `asked for with --gpu ${wanted}`;
  if (gpu.kind === 'hardware') return 'the first hardware adapter by performance';
  if (gpu.kind === 'llvmpipe') return 'there is no hardware adapter, and llvmpipe is the fastest software adapter';
  return 'there is neither a hardware adapter nor llvmpipe';
}

/** Free space of the nearest folder that exists, going up from `folder`. */
async function freeSpace(folder: string): Promise<DoctorReport['disk']> {
  for (let path = resolve(folder); ; path = dirname(path)) {
    const space = await statfs(path).catch(() => undefined);
    if (space) return { path, freeBytes: space.bavail * space.bsize };
    if (path === dirname(path)) return null;
  }
}

/** Whether macOS would refuse to load Dawn's binary because it came from the network. */
function quarantined(): boolean {
  const dawn = process.platform === 'darwin' ? installedPackage('webgpu') : undefined;
  if (!dawn) return false;
  try {
    const binary = join(dawn.folder, 'dist', 'darwin-universal', 'dawn.node');
    execFileSync('xattr', ['-p', 'com.apple.quarantine', binary], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
