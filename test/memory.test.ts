/** Memory: the planner's properties, plans against what is created, nothing growing over many steps, and what does not fit. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Device } from '../engine/device.ts';
import { FitError } from '../engine/errors.ts';
import { kernel } from '../engine/kernel.ts';
import { type Lifetime, planMemory } from '../engine/memory.ts';
import { Parameters } from '../engine/nn/parameters.ts';
import { unet3d } from '../engine/nn/unet3d.ts';
import { compute } from '../engine/program.ts';
import { Recording } from '../engine/recording.ts';
import { gpuTest, run } from './harness.ts';
import { smallStep } from './nn/small_step.ts';

const lifetime = fc
  .record({ bytes: fc.integer({ min: 1, max: 1000 }), first: fc.nat(40), length: fc.nat(12) })
  .map(({ bytes, first, length }): Lifetime => {
    return { storage: { label: 't', bytes: 16 * bytes }, first, last: first + length };
  });
const meet = (a: Lifetime, b: Lifetime) => a.first <= b.last && b.first <= a.last;

test('planned storages never share a slot while both live, and each slot is as large as its largest', () => {
  fc.assert(
    fc.property(fc.array(lifetime, { maxLength: 40 }), (lifetimes) => {
      const plan = planMemory(lifetimes);
      const slotOf = ({ storage }: Lifetime) => plan.slotOf.get(storage) as number;
      lifetimes.forEach((a, i) => {
        for (const b of lifetimes.slice(i + 1)) assert.ok(slotOf(a) !== slotOf(b) || !meet(a, b));
      });
      plan.slots.forEach((bytes, slot) => {
        const inside = lifetimes.filter((life) => slotOf(life) === slot).map(({ storage }) => storage.bytes);
        assert.is(bytes, Math.max(...inside));
      });
    }),
  );
});

test('planned bytes lie between what lives at once and the sum of all, the same each time', () => {
  fc.assert(
    fc.property(fc.array(lifetime, { maxLength: 40 }), (lifetimes) => {
      const { bytes, slots, slotOf, unsharedBytes } = planMemory(lifetimes);
      const liveAt = (command: number) =>
        lifetimes
          .filter(({ first, last }) => first <= command && command <= last)
          .reduce((sum, { storage }) => sum + storage.bytes, 0);
      const peak = Math.max(0, ...lifetimes.map(({ first }) => liveAt(first)));
      assert.is(
        bytes,
        slots.reduce((a, b) => a + b, 0),
      );
      assert.ok(peak <= bytes && bytes <= unsharedBytes);
      assert.equal([...planMemory(lifetimes).slotOf.values()], [...slotOf.values()]);
    }),
  );
});

test('a chain of equal tensors takes two buffers', () => {
  const chain = Array.from({ length: 9 }, (_, i) => ({ storage: { label: `${i}`, bytes: 64 }, first: i, last: i + 1 }));
  assert.equal(planMemory(chain).slots, [64, 64]);
});

gpuTest('a step creates exactly what its plan says, and gives all of it back', async (device) => {
  const small = await smallStep(device);
  const { held, plan, program, recording } = small;
  const ring = 3 * 32;
  assert.is(device.bytesHeld - held, plan.totalBytes + ring);
  assert.equal(program.plan.slots, plan.slots);
  assert.is(plan.totalBytes, plan.slots.reduce((a, b) => a + b, 0) + plan.paramsBytes);
  assert.ok(plan.bytes < plan.unsharedBytes / 2, recording.toString());
  small.destroy();
  assert.is(device.bytesHeld, 0);
});

gpuTest('over 300 steps bytes held stay what they were after 3, and the process stays within 5 %', async (device) => {
  const { step } = await smallStep(device);
  /** The least the process held meanwhile: collected garbage does not count. */
  const steps = async (from: number, to: number) => {
    let least = Infinity;
    for (let i = from; i < to; i++) {
      await step(i);
      least = Math.min(least, process.memoryUsage.rss());
    }
    return least;
  };
  await steps(0, 3);
  const held = device.bytesHeld;
  await steps(3, 100);
  const before = await steps(100, 200);
  const after = await steps(200, 300);
  assert.is(device.bytesHeld, held);
  assert.ok(after < 1.05 * before, `the process held ${before} bytes, 100 steps later ${after}`);
});

/** The same device as one whose buffers, and bindings in shaders, are limited to `bytes`. */
function limited(device: Device, bytes: number): Device {
  const { limits } = device;
  const names = ['maxBufferSize', 'maxStorageBufferBindingSize', 'maxComputeInvocationsPerWorkgroup'] as const;
  const copied = Object.fromEntries(names.map((name) => [name, limits[name]]));
  Object.defineProperty(device, 'limits', { value: { ...copied, maxStorageBufferBindingSize: bytes } });
  return device;
}

function throwsFitError(body: () => unknown, message: RegExp): void {
  assert.throws(body, (error: Error) => {
    assert.instance(error, FitError);
    assert.match(error.message, message);
    return true;
  });
}

gpuTest('what exceeds a binding limit of 128 MiB is refused before anything is allocated', async (device) => {
  const MIB = 2 ** 20;
  const network = unet3d({ inChannels: 1, classes: 2, channels: [32, 64] });
  limited(device, 128 * MIB);
  const parameters = Parameters.create(device, network.specs, { trainable: false });
  const patch = device.tensor([1, 112, 112, 96, 1], 'patch');
  const held = device.bytesHeld;
  throwsFitError(
    () => network.forward(new Recording(device, 'step'), parameters, patch),
    /^'conv3d' \[1, 112, 112, 96, 32\] needs 154140672 bytes in one buffer but this adapter allows 134217728; use a smaller patch, batch or fewer channels$/,
  );
  throwsFitError(
    () => device.tensor([4096, 8193], 'bank'),
    /^'bank' needs 134283264 bytes in one buffer but this adapter allows 134217728; use a smaller patch, batch or fewer channels$/,
  );
  throwsFitError(
    () => Parameters.create(device, unet3d({ inChannels: 1, classes: 2, channels: [8, 1280] }).specs),
    /^'parameters' of the network need \d+ bytes in one buffer but this adapter allows 134217728; use fewer channels or levels$/,
  );
  assert.is(device.bytesHeld, held);
});

gpuTest('a kernel with too large a workgroup is refused', async (device) => {
  const most = device.limits.maxComputeInvocationsPerWorkgroup;
  const large = kernel(
    'large',
    `@group(0) @binding(0) var<storage, read_write> y: array<f32>;\n@compute @workgroup_size(${most}, 2) fn main() { y[0] = 1; }`,
  );
  const held = device.bytesHeld;
  const refused = compute(device, (rec) => {
    const y = rec.tensor([4], 'y');
    rec.dispatch(large, { y }, {}, [1, 1, 1]);
    return { y };
  });
  await refused.then(
    () => assert.unreachable('it ran'),
    (error: Error) => {
      assert.instance(error, FitError);
      assert.is(error.message, `kernel 'large' wants workgroups of ${2 * most} but this adapter allows ${most}`);
    },
  );
  assert.is(device.bytesHeld, held);
});

run();
