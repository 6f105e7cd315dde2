/** Which ways are tried: none that costs a step more than it saves the convolution. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Device, type DeviceTraits } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import { conv3d } from '../../engine/ops/conv3d.ts';
import { CONV3D } from '../../engine/ops/conv3d_ways.ts';
import type { Convolution } from '../../engine/ops/convolution.ts';
import { instanceNorm } from '../../engine/ops/norm.ts';
import { Recording } from '../../engine/recording.ts';
import { candidates } from '../../runner/tune/search.ts';
import { TUNABLES } from '../../runner/tune/tunables.ts';
import { LIMITS } from '../dry_limits.ts';
import { run } from '../harness.ts';
import { NVIDIA } from '../ops/matrix_emulation.ts';

/** A convolution, a norm with its activation, a convolution: the second one's problem, and all commands by name. */
function twoConvolutions(traits: DeviceTraits, side: number, products?: 'f16') {
  let problem: Convolution | undefined;
  const device = new Device(dryGpu(LIMITS), {
    ...traits,
    choose(op, key, each) {
      if (op === CONV3D.op) problem = each as Convolution;
      return traits.choose?.(op, key, each);
    },
  });
  const rec = new Recording(device, 'two convolutions');
  const x = device.tensor([1, side, side, side, 16], 'x');
  const w = device.tensor([3, 3, 3, 16, 16], 'w');
  const [gamma, beta] = [device.tensor([16], 'gamma'), device.tensor([16], 'beta')];
  const options = { padding: 1, moments: true, products };
  const y = conv3d(rec, x, w, null, options);
  conv3d(rec, instanceNorm(rec, y, gamma, beta, { activation: { kind: 'leaky_relu', slope: 0.01 } }), w, null, options);
  const commands = rec.commands.map((command) => (command.kind === 'dispatch' ? command.kernel.name : command.kind));
  return { device, problem: problem as Convolution, commands };
}

test('a way fuses norms just where none of their commands are left', () => {
  const gpu: DeviceTraits = { software: false, matrixUnit: NVIDIA[0] };
  const forced = CONV3D.ways.map((way) => ({ way, ...twoConvolutions({ ...gpu, choose: () => way.name }, 48, 'f16') }));
  const serving = forced.filter(({ way, device, problem }) => way.serves(device, problem));
  for (const { way, commands } of serving) {
    const left = commands.filter((name) => /^norm_(apply|partial)/.test(name));
    assert.is(left.length === 0, way.fuses ?? false, `${way.name}: ${left}`);
  }
  const kinds = new Set(serving.map(({ way }) => way.name.split(' ')[0]));
  assert.equal([...kinds].sort(), ['direct', 'matrix', 'tiled']);
});

test('where the usual way fuses norms, so do all that are tried; elsewhere every way is', () => {
  const [tunable] = TUNABLES;
  const tried = (traits: DeviceTraits, side: number) => {
    const { device, problem } = twoConvolutions(traits, side);
    const serving = CONV3D.ways.filter((way) => way.serves(device, problem)).length;
    const ways = candidates(device, tunable, problem);
    return { some: ways.length, all: serving, fuse: ways.filter(({ fuses }) => fuses).length };
  };
  const large = tried({ software: false }, 112);
  assert.ok(large.some > 1 && large.some < large.all && large.fuse === large.some, JSON.stringify(large));
  for (const { some, all, fuse } of [tried({ software: false }, 16), tried({ software: true }, 112)])
    assert.ok(some === all && fuse < all, `${some} of ${all}`);
});

run();
