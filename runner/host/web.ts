/** GPU access in a browser: the same openGpu() as in Node, over navigator.gpu. */
import { NoGpuError } from '../../engine/errors.ts';
import { matrixUnitOf } from '../../engine/matrix_unit.ts';
import { tuningEntry } from './indexed_db.ts';
import { kindOf, loadTuning, type OpenedGpu, requestFullDevice } from './opened_gpu.ts';

export type { OpenedGpu } from './opened_gpu.ts';

/** What this browser needs before it offers WebGPU, most likely first. */
function hints(userAgent: string): string[] {
  const linux = /Linux/.test(userAgent) && !/Android/.test(userAgent);
  if (/Firefox\//.test(userAgent))
    return ['Firefox has WebGPU on Windows from 141 and on Apple-silicon Macs from 145; elsewhere use Chrome or Edge'];
  if (/Safari\//.test(userAgent) && !/Chrom/.test(userAgent))
    return ['Safari has WebGPU from version 26; update macOS or iOS, or use Chrome'];
  return [
    'use Chrome or Edge 113 or newer (Android: 121) and update the GPU driver',
    ...(linux
      ? [
          'on Linux start Chrome with --enable-unsafe-webgpu --enable-features=Vulkan (Intel from 144 and NVIDIA from 147 need no flag)',
        ]
      : []),
    'open chrome://gpu: WebGPU must say "Hardware accelerated"; turn on "Use graphics acceleration when available" in the settings',
  ];
}

/**
 * Opens the adapter the browser prefers for high performance. A browser offers no choice of adapters, so there is no `gpu` option;
 * `tuned: false` leaves alone what was found to be the fastest on it. Throws NoGpuError.
 */
export async function openGpu(options: { tuned?: boolean } = {}): Promise<OpenedGpu> {
  if (!globalThis.isSecureContext)
    throw new NoGpuError('WebGPU is off on this page because it is not served securely.', [
      'open the page over https, or from http://localhost',
    ]);
  const advice = hints(navigator.userAgent);
  if (!navigator.gpu) throw new NoGpuError('This browser has no WebGPU.', advice);
  const wanted: GPURequestAdapterOptions = { powerPreference: 'high-performance' };
  const adapter =
    (await navigator.gpu.requestAdapter(wanted)) ??
    (await navigator.gpu.requestAdapter({ ...wanted, featureLevel: 'compatibility' }));
  if (!adapter) throw new NoGpuError('This browser has WebGPU, but offers no adapter.', advice);
  const gpu = await opened(adapter);
  const { indexedDB } = globalThis;
  if (indexedDB && (options.tuned ?? true))
    await loadTuning(gpu, browserVersion(navigator.userAgent), (identity) => tuningEntry(identity, indexedDB));
  return gpu;
}

/** 'Chrome/143.0.0.0': what implements WebGPU in a page. */
function browserVersion(userAgent: string): string {
  return /(?:Edg|Firefox|Chrome|Version)\/[\d.]+/.exec(userAgent)?.[0] ?? userAgent;
}

async function opened(adapter: GPUAdapter): Promise<OpenedGpu> {
  const { vendor, architecture, device: model, description, isFallbackAdapter } = adapter.info;
  const name = description || [vendor, architecture, model].filter(Boolean).join(' ') || 'unnamed adapter';
  const kind = kindOf(`${name} ${vendor} ${architecture}`, isFallbackAdapter);
  const software = kind !== 'hardware';
  const notes: string[] = [];
  let device: GPUDevice;
  try {
    device = await requestFullDevice(adapter, notes);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new NoGpuError(
      `The adapter ${name} gives no device: ${reason}.`,
      ['reload the page', 'close other tabs that use the GPU'],
      {
        cause,
      },
    );
  }
  if (software) notes.push(`${name} computes on the CPU: correct, but slow. ${hints(navigator.userAgent).at(-1)}.`);
  return {
    ...{ device, adapter, name, kind, backend: 'browser', software, notes, close: () => device.destroy() },
    ...{ vendor, matrixUnit: matrixUnitOf(adapter) },
  };
}
