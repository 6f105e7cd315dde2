/** An adapter as tuning knows it: what decides which kernels suit it, and what it is called. */
import type { MatrixUnit } from '../../engine/matrix_unit.ts';

/** What ops choose their usual ways by. */
export interface TunedAdapter {
  readonly limits: GPUSupportedLimits;
  readonly software: boolean;
  readonly kind: string;
  readonly vendor: string;
  readonly matrixUnit?: MatrixUnit;
}

/** What an adapter is: what is found on one means nothing on another, nor after an update of its driver or of Dawn. */
export interface AdapterIdentity {
  readonly name: string;
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  /** In Node the driver's version is in there. */
  readonly description: string;
  readonly backend: string;
  /** What implements WebGPU, with its version. */
  readonly webgpu: string;
}

export function adapterIdentity(
  { vendor, architecture, device, description }: GPUAdapterInfo,
  host: Pick<AdapterIdentity, 'name' | 'backend' | 'webgpu'>,
): AdapterIdentity {
  return { ...{ vendor, architecture, device, description }, ...host };
}

/** Equal for equal adapters and for no others. */
export function identityText({ name, vendor, architecture, device, description, backend, webgpu }: AdapterIdentity) {
  return JSON.stringify([name, vendor, architecture, device, description, backend, webgpu]);
}
