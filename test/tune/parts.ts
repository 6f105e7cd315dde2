/** What the tests of tuning share: a store in memory, adapters, records. */
import { Device } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import { conv3d } from '../../engine/ops/conv3d.ts';
import { CONV3D } from '../../engine/ops/conv3d_ways.ts';
import { Recording } from '../../engine/recording.ts';
import type { Way } from '../../engine/ways.ts';
import type { AdapterIdentity, TunedAdapter } from '../../runner/tune/adapter.ts';
import { type Collected, createCollector } from '../../runner/tune/collect.ts';
import type { TuningRecord } from '../../runner/tune/records.ts';
import { shaderHash } from '../../runner/tune/shader_hash.ts';
import type { TuningStore } from '../../runner/tune/store.ts';
import { TUNABLES, type Tunable } from '../../runner/tune/tunables.ts';
import { openTuning, waysHash } from '../../runner/tune/tuning.ts';

export const IDENTITY: AdapterIdentity = {
  ...{ name: 'Test Adapter', vendor: 'v', architecture: 'a', device: 'd', description: 'driver 1' },
  ...{ backend: 'vulkan', webgpu: '0.6.2' },
};

/** As hosts tell tuning about the adapter that a test's device is on. */
export function adapterOf({ limits, software, uniformWindows, vendor }: Device): TunedAdapter {
  return { limits, software, kind: uniformWindows ? 'llvmpipe' : 'hardware', vendor };
}

export function memoryStore(text?: string): TuningStore & { text: string | undefined } {
  return {
    name: 'memory',
    text,
    async read() {
      return this.text;
    },
    async update(change) {
      this.text = change(this.text);
    },
    async clear() {
      const held = this.text !== undefined;
      this.text = undefined;
      return held;
    },
  };
}

/** Tuning of a store's text, with what it warned of. */
export async function opened(device: Device, store: TuningStore, identity: AdapterIdentity = IDENTITY) {
  const warnings: string[] = [];
  const tuning = await openTuning({ store, identity, adapter: adapterOf(device) }, (text) => warnings.push(text));
  return { tuning, warnings };
}

/** The one problem of a 3x3x3 convolution of 4 channels with 8 voxels along every axis. */
export function oneProblem({ limits }: Device): Collected {
  const collector = createCollector();
  record(new Device(dryGpu(limits), { choose: collector.choose }));
  return collector.collected()[0];
}

/** The commands of that convolution. */
export function record(device: Device): string {
  const rec = new Recording(device, 'one convolution');
  const [x, w] = [device.tensor([1, 8, 8, 8, 4], 'x'), device.tensor([3, 3, 3, 4, 4], 'w')];
  conv3d(rec, x, w, null, { padding: 1 });
  return rec.toString();
}

/** As `tune` would have found it, with this way as the fastest. */
export function recordOf(device: Device, { op, key, problem }: Collected, way: string, usual: string): TuningRecord {
  const tunable = TUNABLES.find(({ choice }) => choice.op === op) as Tunable;
  const dry = new Device(dryGpu(device.limits), adapterOf(device));
  const shaders = shaderHash(dry, tunable.choice.ways.find(({ name }) => name === way) as Way<unknown>, problem);
  return { op, key, problem, way, usual, ms: 1, usualMs: 2, shaders, ways: waysHash(tunable) };
}

/** A way that every adapter can take. */
export const PLAIN = 'direct x1 c1';

/** Convolutions by one usual way and by another one, which `then` makes of it. */
export function withOther(name: string, then: (way: Way<unknown>) => Way<unknown>['record']): Tunable {
  const [tunable] = TUNABLES;
  const plain = CONV3D.ways.find((way) => way.name === PLAIN) as Way<unknown>;
  const ways = [plain, { ...plain, name, record: then(plain) }];
  return { ...tunable, choice: { ...tunable.choice, ways, usual: () => [plain] } };
}
