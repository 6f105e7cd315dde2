/** A GPU without room for the volumes: training goes on without them there, to the same bytes. */
import * as assert from 'uvu/assert';
import { Device } from '../../engine/device.ts';
import type { TrainConfigInput } from '../../runner/train/config.ts';
import { RUN_FILES } from '../../runner/train/run_store.ts';
import { runTraining } from '../../runner/train/run_training.ts';
import { inFolder } from '../data/corpus.ts';
import { rejects } from '../data/rejects.ts';
import { gpuTest, run, traits } from '../harness.ts';
import { inputFor, memoryStore, phantoms, watching } from './run_here.ts';

const CONFIG: TrainConfigInput = { patch: [8, 8, 8], network: { channels: [4, 8] }, steps: 4 };

/** A device with memory for buffers of `room` bytes together, and the most that its buffers have had. */
function smallGpu(gpu: GPUDevice, room: number): { gpu: GPUDevice; memory: { held: number; peak: number } } {
  const memory = { held: 0, peak: 0 };
  const scopes: { filter: GPUErrorFilter; full: boolean }[] = [];
  const own: Partial<GPUDevice> = {
    pushErrorScope(filter) {
      scopes.push({ filter, full: false });
      return gpu.pushErrorScope(filter);
    },
    async popErrorScope() {
      const scope = scopes.pop();
      const error = await gpu.popErrorScope();
      return scope?.full ? new GPUOutOfMemoryError('none left') : error;
    },
    createBuffer(descriptor) {
      const { size } = descriptor;
      if (memory.held + size > room) {
        const innermost = scopes.filter(({ filter }) => filter === 'out-of-memory').pop();
        assert.ok(innermost, `'${descriptor.label}' is allocated where nobody looks whether there is room`);
        innermost.full = true;
        gpu.pushErrorScope('validation');
        const invalid = gpu.createBuffer({ ...descriptor, usage: 0 });
        void gpu.popErrorScope();
        return invalid;
      }
      memory.held += size;
      memory.peak = Math.max(memory.peak, memory.held);
      const buffer = gpu.createBuffer(descriptor);
      const destroy = buffer.destroy.bind(buffer);
      buffer.destroy = () => {
        memory.held -= size;
        return destroy();
      };
      return buffer;
    },
  };
  const proxy = new Proxy(gpu, {
    get(target, name) {
      const value = Reflect.get(name in own ? own : target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { gpu: proxy, memory };
}

/** A training on a GPU with so much memory; by itself it takes what volumes need there. */
async function train(
  gpu: GPUDevice,
  room: number,
  data: string,
  more: { validation?: number; volumeBytes?: number } = {},
) {
  const { validation = 0, volumeBytes } = more;
  const small = smallGpu(gpu, room);
  const device = new Device(small.gpu, traits);
  const store = memoryStore();
  const events = watching();
  const input = { ...(await inputFor(device, data, { ...CONFIG, validation }, store)), volumeBytes };
  try {
    const { finished } = await runTraining(input, events);
    assert.ok(finished);
    assert.is(device.bytesHeld, 0);
    return { ...events, ...small.memory, model: store.files.get(RUN_FILES.weights) };
  } finally {
    device.destroy();
  }
}

gpuTest('volumes that the GPU has no room for stay in memory, and the model has the same bytes', ({ gpu }) =>
  inFolder(async (folder) => {
    const data = await phantoms(folder);
    const roomy = await train(gpu, Infinity, data);
    const without = await train(gpu, Infinity, data, { volumeBytes: 0 });
    assert.equal([roomy.withoutVolumes, without.withoutVolumes], [[], []]);
    assert.ok(without.peak < roomy.peak, `${without.peak} bytes without volumes, ${roomy.peak} with them`);
    const full = await train(gpu, without.peak, data);
    assert.equal([full.withoutVolumes, full.held], [['supervised'], 0]);
    assert.equal(full.model, roomy.model);
  }),
);

gpuTest('volumes that leave no room for validation are named', ({ gpu }) =>
  inFolder(async (folder) => {
    const data = await phantoms(folder);
    const { peak } = await train(gpu, Infinity, data, { volumeBytes: 0, validation: 1 });
    await rejects(() => train(gpu, peak, data, { validation: 1 }), 5, /sliding window.*\d+ bytes .* volumes.*--vram/);
  }),
);

gpuTest('a GPU without room for a step is told so', ({ gpu }) =>
  inFolder(async (folder) => {
    const data = await phantoms(folder);
    const { peak } = await train(gpu, Infinity, data, { volumeBytes: 0 });
    await rejects(() => train(gpu, peak >> 1, data), 5, /no room for the \d+ bytes of 'supervised step'/);
  }),
);

run();
