/** What a host hands to the engine, and the one way both hosts turn an adapter into it. No Node, no DOM. */
import type { MatrixUnit } from '../../engine/matrix_unit.ts';
import type { ChooseWay } from '../../engine/ways.ts';
import { type AdapterIdentity, adapterIdentity, type TunedAdapter } from '../tune/adapter.ts';
import type { TuningStore } from '../tune/store.ts';
import { openTuning, type Tuning } from '../tune/tuning.ts';

export type GpuKind = 'hardware' | 'llvmpipe' | 'swiftshader' | 'software';

export interface OpenedGpu {
  device: GPUDevice;
  adapter: GPUAdapter;
  /** As the driver calls it: "NVIDIA H100 80GB HBM3". */
  name: string;
  kind: GpuKind;
  /** 'vulkan', 'metal', 'd3d12', 'opengles', or 'browser'. */
  backend: string;
  software: boolean;
  /** GPUAdapterInfo.vendor: 'nvidia', 'amd', 'apple', ... */
  vendor: string;
  matrixUnit?: MatrixUnit;
  /** Sentences the user should see once: slow adapter, refused limit. */
  notes: string[];
  /** The ways that `action3d tune` found to be the fastest here, as a Device takes them; absent where that was not wanted. */
  choose?: ChooseWay;
  tuning?: Tuning;
  /** Destroys the device; a second call does nothing. */
  close(): void;
}

/** Asked for wherever the adapter offers them, never required. */
const USEFUL_FEATURES = [
  'core-features-and-limits',
  'shader-f16',
  'subgroups',
  'subgroup-size-control',
  'timestamp-query',
  'chromium-experimental-subgroup-matrix',
] as GPUFeatureName[];

/** 'software' stands for a CPU renderer that is neither llvmpipe nor SwiftShader (WARP, softpipe). */
export function kindOf(name: string, isFallback = false): GpuKind {
  if (/swiftshader/i.test(name)) return 'swiftshader';
  if (/llvmpipe|lavapipe/i.test(name)) return 'llvmpipe';
  return isFallback || /softpipe|swrast|basic render|\bwarp\b/i.test(name) ? 'software' : 'hardware';
}

/** All numeric limits of an adapter (or device), by name. */
export function limitsOf(limits: GPUSupportedLimits): Record<string, number> {
  const out: Record<string, number> = {};
  for (const key in limits) {
    const value = limits[key as keyof GPUSupportedLimits];
    if (typeof value === 'number') out[key] = value;
  }
  return out;
}

/**
 * A device with every limit and every useful feature of the adapter. A limit that the implementation lists but refuses is
 * dropped and named in `notes`; any other failure is thrown as it is.
 */
export async function requestFullDevice(adapter: GPUAdapter, notes: string[]): Promise<GPUDevice> {
  const requiredLimits = limitsOf(adapter.limits);
  const requiredFeatures = USEFUL_FEATURES.filter((feature) => adapter.features.has(feature));
  for (;;) {
    try {
      return await adapter.requestDevice({ requiredLimits, requiredFeatures });
    } catch (error) {
      const text = String(error);
      const refused = Object.keys(requiredLimits).find((key) => new RegExp(`\\b${key}\\b`).test(text));
      if (!refused) throw error;
      notes.push(
        `The adapter offers ${refused} = ${requiredLimits[refused]} and then refuses it; its default is used.`,
      );
      delete requiredLimits[refused];
    }
  }
}

/** What tuning goes by. */
export function tunedAdapter({ device, software, kind, vendor, matrixUnit }: OpenedGpu): TunedAdapter {
  return { limits: device.limits, software, kind, vendor, matrixUnit };
}

/** Takes over what was found out about the adapter; what cannot be used is named in `notes`. */
export async function loadTuning(
  gpu: OpenedGpu,
  webgpu: string,
  storeOf: (identity: AdapterIdentity) => TuningStore,
): Promise<void> {
  const { name, backend, notes, adapter } = gpu;
  const identity = adapterIdentity(adapter.info, { name, backend, webgpu });
  const options = { store: storeOf(identity), identity, adapter: tunedAdapter(gpu) };
  gpu.tuning = await openTuning(options, (sentence) => notes.push(sentence));
  gpu.choose = gpu.tuning.choose;
}
