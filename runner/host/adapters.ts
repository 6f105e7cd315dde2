/** Where adapters come from on each platform, and why a source has none. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadEgl } from './egl.ts';
import { type GpuKind, kindOf } from './opened_gpu.ts';
import { loadLibrary } from './shared_library.ts';
import { loadSwiftShader } from './swiftshader.ts';

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

interface Source {
  backend: string;
  environment: Record<string, string>;
  options: GPURequestAdapterOptions;
}

/** Every adapter of one Dawn backend, best first. Dawn has no list call: a name that nobody has makes it tell them all. */
async function enumerate(create: CreateGpu, source: Source, unsafe: boolean): Promise<Probe> {
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

const HIGH_PERFORMANCE: GPURequestAdapterOptions = { powerPreference: 'high-performance' };

function refused(source: string, reason: string, fixes: string[]): Probe {
  return { candidates: [], refusals: [{ source, reason, fixes }] };
}

async function probeNative(create: CreateGpu, backend: string, unsafe: boolean): Promise<Probe> {
  const probe = await enumerate(create, { backend, environment: {}, options: HIGH_PERFORMANCE }, unsafe);
  if (probe.candidates.length > 0) return probe;
  return refused(backend, `the system offers no ${backend} adapter`, [
    'update the operating system and the GPU driver',
  ]);
}

/** Driver manifests (file names) that the Vulkan loader would read. */
function vulkanManifests(): string[] {
  const forced = process.env.VK_DRIVER_FILES ?? process.env.VK_ICD_FILENAMES;
  if (forced) return forced.split(':').filter((file) => existsSync(file));
  const roots = ['/etc', '/usr/local/share', '/usr/share', join(process.env.HOME ?? '/', '.local', 'share')];
  return roots.flatMap((root) => {
    const folder = join(root, 'vulkan', 'icd.d');
    return existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];
  });
}

async function probeVulkan(create: CreateGpu, unsafe: boolean): Promise<Probe> {
  const container =
    'in Docker: docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=all (NVIDIA) or --device /dev/dri (AMD, Intel)';
  const failure = loadLibrary('libvulkan.so.1');
  if (failure)
    return refused('vulkan', `there is no Vulkan loader (${failure})`, ['apt-get install libvulkan1', container]);
  const probe = await enumerate(create, { backend: 'vulkan', environment: {}, options: HIGH_PERFORMANCE }, unsafe);
  if (probe.candidates.length > 0) return probe;
  const manifests = vulkanManifests();
  if (manifests.length === 0)
    return refused('vulkan', 'the Vulkan loader finds no driver', [
      "install the GPU vendor's driver with its Vulkan part (AMD, Intel: apt-get install mesa-vulkan-drivers)",
      container,
    ]);
  const drivers = manifests.join(', ');
  if (manifests.some((name) => /lvp/.test(name)))
    return refused(
      'vulkan',
      `drivers are installed (${drivers}), but none has a device that Dawn accepts; Mesa 22.3's lavapipe is too old for it`,
      ["use a real GPU's driver, or Mesa 24.2 or newer", container],
    );
  return refused('vulkan', `drivers are installed (${drivers}), but no device answers that Dawn accepts`, [
    container,
    'let your user open /dev/dri/renderD128 (groups render and video) or /dev/nvidia0',
    'update the driver',
  ]);
}

async function probeOpenGles(create: CreateGpu, unsafe: boolean): Promise<Probe> {
  const fixes = ['apt-get install libegl1 libgl1-mesa-dri'];
  const failure = loadEgl();
  if (failure) return refused('opengles', `EGL does not load (${failure})`, fixes);
  const source = {
    backend: 'opengles',
    environment: { EGL_PLATFORM: 'surfaceless' },
    options: { featureLevel: 'compatibility', ...HIGH_PERFORMANCE },
  };
  const probe = await enumerate(create, source, unsafe);
  if (probe.candidates.length > 0) return probe;
  return refused('opengles', 'EGL is installed, but offers no OpenGL ES 3.1 device without a screen', fixes);
}

async function probeSwiftShader(create: CreateGpu, unsafe: boolean): Promise<Probe> {
  const loaded = loadSwiftShader();
  if ('refusal' in loaded)
    return refused('swiftshader', loaded.refusal, ['npm install @sparticuz/chromium@143 (on linux-x64)']);
  const environment = { VK_DRIVER_FILES: loaded.path, VK_ICD_FILENAMES: loaded.path };
  const probe = await enumerate(create, { backend: 'vulkan', environment, options: HIGH_PERFORMANCE }, unsafe);
  const candidates = probe.candidates.filter((candidate) => candidate.kind === 'swiftshader');
  if (candidates.length > 0) return { candidates, refusals: [] };
  return refused('swiftshader', 'SwiftShader was loaded, but Dawn accepts no device of it', [
    'npm install @sparticuz/chromium@143.0.4',
  ]);
}

/** The sources of this platform, best first; each is probed only when it is reached. */
export function sources(create: CreateGpu, unsafe: boolean): (() => Promise<Probe>)[] {
  if (process.platform === 'darwin') return [() => probeNative(create, 'metal', unsafe)];
  if (process.platform === 'win32')
    return [() => probeNative(create, 'd3d12', unsafe), () => probeNative(create, 'vulkan', unsafe)];
  return [
    () => probeVulkan(create, unsafe),
    () => probeOpenGles(create, unsafe),
    () => probeSwiftShader(create, unsafe),
  ];
}
