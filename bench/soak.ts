/**
 * Memory over a long run: replays one small training step and prints what the device and the process hold. Ends with 1 when
 * the device's bytes changed at all, or the process grew by more than 5 % after the first tenth.
 *
 *   npx tsx bench/soak.ts [--steps 2000] [--gpu auto]
 */
import { parseArgs } from 'node:util';
import { Device } from '../engine/device.ts';
import { exit, openGpu } from '../runner/host/node.ts';
import { bytes } from '../runner/report/format.ts';
import { smallStep } from '../test/nn/small_step.ts';

const PARTS = 10;
const { values } = parseArgs({
  options: { steps: { type: 'string', default: '2000' }, gpu: { type: 'string', default: 'auto' } },
});
const length = Math.ceil(Number(values.steps) / PARTS);
const gpu = await openGpu({ gpu: values.gpu });
const device = new Device(gpu.device, gpu);
const { step } = await smallStep(device);

/** What is held over one part of the run; of the process the least, since collected garbage does not count. */
async function run(part: number) {
  let least = Infinity;
  for (let i = part * length; i < (part + 1) * length; i++) {
    await step(i);
    least = Math.min(least, process.memoryUsage.rss());
  }
  console.log(`step ${(part + 1) * length}: device ${device.bytesHeld} bytes, process ${bytes(least)}`);
  return { device: device.bytesHeld, process: least };
}

console.log(`${PARTS * length} steps on ${gpu.name}`);
await run(0); // compiled code, the driver's own buffers
const first = await run(1);
let last = first;
for (let part = 2; part < PARTS; part++) last = await run(part);
const flat = last.device === first.device && last.process <= 1.05 * first.process;
console.log(flat ? 'flat' : `NOT flat: the process grew by ${(100 * (last.process / first.process - 1)).toFixed(1)} %`);
await exit(flat ? 0 : 1);
