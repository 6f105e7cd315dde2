/**
 * What a step of stage 2 costs beside its network passes alone (two student passes forward and backward, one teacher forward,
 * update): both programs in one process on the same adapter, in turns, with U-Net 8-16-32-64, batch 2 + 2.
 * Every voxel takes part (weak confidence 0), which is the most a preset can cost. The goal is a ratio of at most 1.25.
 *
 *   npx tsx bench/stage2_cost.ts [--gpu auto] [--rounds 9] [--preset small,paper] [--patch 32,48,32] [--kernels 12]
 *
 * Time is CPU time of the worker threads on a software adapter, wall time on a GPU. Medians; the ratio is the median of the
 * rounds' ratios, since what else the machine does changes from round to round.
 */
import { parseArgs } from 'node:util';
import { actionPresets } from '../engine/action/options.ts';
import { Device } from '../engine/device.ts';
import { unet3d } from '../engine/nn/unet3d.ts';
import { Program } from '../engine/program.ts';
import { product, type Triple } from '../engine/shape.ts';
import { median } from '../runner/bench/statistics.ts';
import { voxels } from '../runner/commands/arguments.ts';
import { exit, openGpu } from '../runner/host/node.ts';
import { table } from '../runner/report/table.ts';
import { recordStage2AndPasses } from '../test/action/network_passes.ts';
import { workClock } from './worker_time.ts';

const GOAL = 1.25;

const { values } = parseArgs({
  options: {
    gpu: { type: 'string', default: 'auto' },
    rounds: { type: 'string', default: '9' },
    preset: { type: 'string', default: 'small,paper' },
    patch: { type: 'string', default: '32,48,32' },
    kernels: { type: 'string', default: '12' },
  },
});
const PATCH: Triple = voxels(values.patch);
const VOXELS = product(PATCH);
const gpu = await openGpu({ gpu: values.gpu });
const device = new Device(gpu.device, gpu);
const unet = unet3d({ inChannels: 1, classes: 3, channels: [8, 16, 32, 64] });
const { now: clock, unit } = workClock(gpu.software);

/** Two nested balls in every patch, brighter than what is around them, and a wave over all. */
function ballLabels(samples: number): Uint32Array {
  const [depth, height, width] = PATCH;
  const size = Math.min(...PATCH) / 32;
  return Uint32Array.from({ length: samples * VOXELS }, (_, i) => {
    const [z, y, x] = [Math.floor((i % VOXELS) / (height * width)), Math.floor(i / width) % height, i % width];
    const radius = Math.hypot(z - depth / 2, y - height / 2, x - width / 2);
    return radius < 6 * size ? 2 : radius < 11 * size ? 1 : 0;
  });
}
const ballImages = (samples: number) => Float32Array.from(ballLabels(samples), (label, i) => label + Math.sin(0.7 * i));

async function timed(program: Program): Promise<{ ms: number; wall: number }> {
  await device.idle();
  const [begin, from] = [performance.now(), clock()];
  program.run();
  await device.idle();
  return { ms: clock() - from, wall: performance.now() - begin };
}

/** Milliseconds and dispatches of each kernel. */
async function byKernel(program: Program): Promise<Map<string, { ms: number; count: number }>> {
  const sums = new Map<string, { ms: number; count: number }>();
  for (const { name, ms } of await program.profile(1, clock)) {
    const sum = sums.get(name) ?? { ms: 0, count: 0 };
    sums.set(name, { ms: sum.ms + ms, count: sum.count + 1 });
  }
  return sums;
}

async function compare(preset: keyof typeof actionPresets): Promise<boolean> {
  const base = actionPresets[preset];
  const options = { ...base, stage2: { ...base.stage2, weakConfidence: 0 } };
  const { stage, counters, batch, passes, whole, log, alone, loss } = await recordStage2AndPasses(
    device,
    unet,
    options,
    PATCH,
  );
  for (const [image, labels] of [...passes, [batch.labelled, batch.labels], [batch.unlabelled]] as const) {
    device.write(image, ballImages(image.shape[0]));
    if (labels) device.write(labels, ballLabels(labels.shape[0]));
  }
  for (const t of Object.values(log)) whole.keep(t);
  alone.keep(loss);
  const [step, network] = [await Program.create(whole), await Program.create(alone)];
  stage.setStep(options.stage2.steps >> 1);

  for (const program of [step, network]) await timed(program);
  const losses = [['network passes', (await network.read(loss))[0]]] as [string, number][];
  for (const [name, t] of Object.entries(log)) losses.push([name, (await step.read(t))[0]]);
  for (const [name, value] of losses) {
    if (!Number.isFinite(value)) throw new Error(`${preset}: ${name} is ${value}; a step that is wrong is not timed`);
  }
  console.log(`${preset}: ${losses.map(([name, value]) => `${name} ${value.toFixed(4)}`).join(', ')}`);

  const [withStage2, networkAlone]: Awaited<ReturnType<typeof timed>>[][] = [[], []];
  for (let round = 0; round < Number(values.rounds); round++) {
    counters.setStep(round);
    const turns = [async () => withStage2.push(await timed(step)), async () => networkAlone.push(await timed(network))];
    for (const turn of round % 2 ? turns : turns.reverse()) await turn();
  }
  const of = (rounds: typeof withStage2, what: 'ms' | 'wall') => median(rounds.map((round) => round[what]));
  const ratioOf = (what: 'ms' | 'wall') => median(withStage2.map((round, i) => round[what] / networkAlone[i][what]));
  const ratio = ratioOf('ms');
  const row = (name: string, rounds: typeof withStage2, commands: number) => [
    name,
    of(rounds, 'ms').toFixed(0),
    of(rounds, 'wall').toFixed(0),
    String(commands),
  ];
  const head = ['', unit, 'wall ms', 'commands'];
  console.log(
    table([
      head,
      row('stage 2', withStage2, whole.commands.length),
      row('network passes', networkAlone, alone.commands.length),
      ['ratio', ratio.toFixed(3), ratioOf('wall').toFixed(3), ''],
    ]),
  );

  const passesKernels = await byKernel(network);
  const added = [...(await byKernel(step))]
    .map(([name, { ms, count }]) => {
      const before = passesKernels.get(name) ?? { ms: 0, count: 0 };
      return { name, ms: ms - before.ms, count: count - before.count };
    })
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.ms - a.ms);
  const kernels = added
    .slice(0, Number(values.kernels))
    .map(({ name, ms, count }) => [name, ms.toFixed(1), String(count)]);
  console.log(table([['added kernel', unit, 'dispatches'], ...kernels]));
  for (const program of [step, network]) program.destroy();
  return ratio <= GOAL;
}

console.log(`${gpu.name}; patch ${PATCH.join(' x ')}, batch 2 + 2, ${values.rounds} rounds`);
let reached = true;
for (const preset of values.preset.split(',')) {
  if (!(preset in actionPresets))
    throw new Error(`--preset ${preset}: there are ${Object.keys(actionPresets).join(', ')}`);
  reached = (await compare(preset as keyof typeof actionPresets)) && reached;
}
console.log(reached ? `every ratio is at most ${GOAL}` : `NOT every ratio is at most ${GOAL}`);
await exit(reached ? 0 : 1);
