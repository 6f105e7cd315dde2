/** Where adapters come from on each platform, and why a source has none. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadEgl } from './egl.ts';
import { type CreateGpu, enumerate, type Probe } from './enumerate.ts';
import { loadLibrary } from './shared_library.ts';
import { loadSwiftShader } from './swiftshader.ts';

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

/** Where the Vulkan loader looks for driver manifests, and where container platforms mount NVIDIA's instead. */
const MANIFEST_ROOTS = ['/etc', '/usr/local/share', '/usr/share', join(process.env.HOME ?? '/', '.local', 'share')];
const MOUNTED_ROOTS = ['/usr/local/nvidia/share', '/usr/local/nvidia/etc'];

function manifests(roots: string[]): string[] {
  return roots.flatMap((root) => {
    const folder = join(root, 'vulkan', 'icd.d');
    return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  });
}

let noSystemLoader: { reason: string | undefined } | undefined;

/** Why the system has no Vulkan loader. Found out once, because loading SwiftShader brings a loader into the process. */
function systemLoaderFailure(): string | undefined {
  noSystemLoader ??= { reason: loadLibrary('libvulkan.so.1') };
  return noSystemLoader.reason;
}

/**
 * Without a Vulkan loader on the system the one that comes with SwiftShader serves its drivers just as well; drivers that a
 * container platform mounts outside the loader's folders are named to it.
 */
async function probeVulkan(create: CreateGpu, unsafe: boolean): Promise<Probe> {
  const container =
    'in Docker: docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=all (NVIDIA) or --device /dev/dri (AMD, Intel)';
  const environment: Record<string, string> = {};
  const mounted = manifests(MOUNTED_ROOTS).filter((file) => file.endsWith('.json'));
  const forced = process.env.VK_DRIVER_FILES ?? process.env.VK_ICD_FILENAMES;
  const found = forced ? forced.split(':') : [...manifests(MANIFEST_ROOTS), ...mounted];
  const failure = systemLoaderFailure();
  if (failure && (found.length === 0 || 'refusal' in loadSwiftShader()))
    return refused('vulkan', `there is no Vulkan loader (${failure})`, [
      "install the GPU's driver, then: apt-get install libvulkan1",
      container,
    ]);
  if (mounted.length > 0 && !forced) environment.VK_ADD_DRIVER_FILES = mounted.join(':');
  const probe = await enumerate(create, { backend: 'vulkan', environment, options: HIGH_PERFORMANCE }, unsafe);
  if (probe.candidates.length > 0) return probe;
  if (found.length === 0)
    return refused('vulkan', 'no Vulkan driver is installed', [
      "install the GPU vendor's driver with its Vulkan part (AMD, Intel: apt-get install mesa-vulkan-drivers)",
      container,
    ]);
  const real = found.filter((file) => !/lvp_icd/.test(file));
  const lavapipe = real.length < found.length ? '; lavapipe of Mesa 26.2 is one, of 22.3 is not' : '';
  return refused(
    'vulkan',
    `no device of the installed drivers is one that Dawn accepts (${found.join(', ')}${lavapipe})`,
    [
      container,
      'let your user open /dev/dri/renderD128 (groups render and video) or /dev/nvidia0',
      'update the driver',
      'run it again with VK_LOADER_DEBUG=error,warn, with which the Vulkan loader tells why a driver does not load',
    ],
  );
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
  systemLoaderFailure();
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

export interface NamedSource {
  name: string;
  probe(): Promise<Probe>;
}

/** The sources of this platform, best first; each is probed only when it is reached. */
export function sources(create: CreateGpu, unsafe: boolean): NamedSource[] {
  const native = (name: string) => ({ name, probe: () => probeNative(create, name, unsafe) });
  if (process.platform === 'darwin') return [native('metal')];
  if (process.platform === 'win32') return [native('d3d12'), native('vulkan')];
  return [
    { name: 'vulkan', probe: () => probeVulkan(create, unsafe) },
    { name: 'opengles', probe: () => probeOpenGles(create, unsafe) },
    { name: 'swiftshader', probe: () => probeSwiftShader(create, unsafe) },
  ];
}
