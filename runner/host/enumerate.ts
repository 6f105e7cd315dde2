/** Every adapter of one Dawn backend. Dawn has no list call; see enumerate(). */
import { type GpuKind, kindOf } from './opened_gpu.ts';

export interface Candidate {
  name: string;
  kind: GpuKind;
  backend: string;
  software: boolean;
  open(): Promise<GPUAdapter | null>;
}

/** A source of adapters that has none for us, the reason, and the ways out, most likely first. */
export interface Refusal {
  source: string;
  reason: string;
  fixes: string[];
}

export interface Probe {
  candidates: Candidate[];
  refusals: Refusal[];
}

export type CreateGpu = (flags: string[]) => GPU;

/** The instances must outlive every object made from them: a collected one aborts the process ("Owner died"). */
const instances: GPU[] = [];

const ALWAYS_ON = 'allow_unsafe_apis,vulkan_enable_f16_on_nvidia';
const ALWAYS_OFF = 'disable-dawn-features=timestamp_quantization,enable_spirv_validation';
const UNSAFE_ON = 'disable_robustness,disable_workgroup_init';

/** Runs `body` with environment variables set, then puts the old values back. Native getenv sees them. */
async function withEnvironment<T>(values: Record<string, string>, body: () => Promise<T>): Promise<T> {
  const before = Object.keys(values).map((key) => [key, process.env[key]] as const);
  Object.assign(process.env, values);
  try {
    return await body();
  } finally {
    for (const [key, value] of before) {
      if (value === undefined) delete process.env[key];
      else process.env[key] = value;
    }
  }
}

/** A Dawn backend, the environment it is asked in, and what for. */
export interface Source {
  backend: string;
  environment: Record<string, string>;
  options: GPURequestAdapterOptions;
}

/** Every adapter of one Dawn backend, best first. Dawn has no list call: a name that nobody has makes it tell them all. */
export async function enumerate(create: CreateGpu, source: Source, unsafe: boolean): Promise<Probe> {
  const request = (extra: string[]) =>
    withEnvironment(source.environment, async () => {
      const on = `enable-dawn-features=${ALWAYS_ON}${unsafe ? `,${UNSAFE_ON}` : ''}`;
      const gpu = create([`backend=${source.backend}`, on, ALWAYS_OFF, ...extra]);
      instances.push(gpu);
      return await gpu.requestAdapter(source.options);
    });
  let listing = '';
  try {
    await request(['adapter=(none has this name)']);
  } catch (error) {
    listing = String(error);
  }
  const names = [...listing.matchAll(/name: '(.*)'$/gm)].map((match) => match[1]);
  const probe: Probe = { candidates: [], refusals: [] };
  names.forEach((name, i) => {
    const shadow = names.slice(0, i).find((earlier) => earlier.includes(name));
    if (shadow) {
      probe.refusals.push({
        source: `${name} (${source.backend})`,
        reason: `Dawn picks adapters by a part of their name and cannot tell it from "${shadow}"`,
        fixes: [
          "show the process only one of the two (docker run --gpus device=1, or the driver's own device selection)",
        ],
      });
      return;
    }
    const kind = kindOf(name);
    const open = () => request(i === 0 ? [] : [`adapter=${name}`]);
    probe.candidates.push({ name, kind, backend: source.backend, software: kind !== 'hardware', open });
  });
  return probe;
}
