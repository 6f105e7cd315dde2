/**
 * How near convolutions come to matrix products: shapes A and B, forward and both gradients, and square products forward and
 * both gradients, every pass checked against float64, then timed in turns in one process.
 *
 *   npx tsx bench/products.ts [--gpu auto] [--rounds 15]
 *
 * Time is CPU time of the worker threads on a software adapter, wall time on a GPU; medians. The goal is 65 % of the rate of the
 * fastest product.
 */
import { Command } from 'commander';
import { Device } from '../engine/device.ts';
import type { Pass } from '../runner/bench/case.ts';
import { readyPass } from '../runner/bench/kernels.ts';
import { OPS } from '../runner/bench/ops.ts';
import { type KernelShape, PEER_SHAPES } from '../runner/bench/shapes.ts';
import { median } from '../runner/bench/statistics.ts';
import { whole } from '../runner/commands/arguments.ts';
import { reportFailure } from '../runner/commands/failure.ts';
import { exit, openGpu } from '../runner/host/node.ts';
import { table } from '../runner/report/table.ts';
import { workClock } from './worker_time.ts';

const GOAL = 0.65;
const PRODUCTS: readonly KernelShape[] = [256, 512].map((side) => ({
  ...{ op: 'matmul', name: `product ${side}` },
  ...{ input: [side, side], out: side },
}));

interface Timed {
  readonly shape: string;
  readonly pass: Pass;
  readonly ms: number[];
  /** Runs the pass alone once, on what the commands before it left. */
  run(): Promise<number>;
}

async function timed(device: Device, clock: () => number, shape: string, pass: Pass): Promise<Timed> {
  const { program, part, check } = await readyPass(device, pass);
  if (!check.ok) {
    throw new Error(`${shape} ${pass.name}: ${check.tensor} is wrong by ${check.error.toExponential(1)} and not timed`);
  }
  return {
    ...{ shape, pass, ms: [] },
    async run() {
      const commands = program.encoded(part);
      await device.idle();
      const begin = clock();
      device.gpu.queue.submit([commands]);
      await device.idle();
      return clock() - begin;
    },
  };
}

async function main(): Promise<number> {
  const { gpu: name, rounds } = new Command('products')
    .option('--gpu <adapter>', 'as for action3d bench', 'auto')
    .option('--rounds <n>', 'turns of every pass', whole(1), 15)
    .exitOverride()
    .parse()
    .opts<{ gpu: string; rounds: number }>();
  const gpu = await openGpu({ gpu: name, unsafe: true });
  const device = new Device(gpu.device, gpu);
  const { now, unit } = workClock(gpu.software);
  const all: Timed[] = [];
  for (const shape of [...PEER_SHAPES, ...PRODUCTS]) {
    for (const pass of OPS[shape.op](device, shape).passes) all.push(await timed(device, now, shape.name, pass));
  }
  for (const each of all) await each.run();
  for (let round = 0; round < rounds; round++) for (const each of all) each.ms.push(await each.run());

  const rate = (of: readonly Timed[]) =>
    of.reduce((sum, { pass }) => sum + pass.flops, 0) / of.reduce((sum, { ms }) => sum + median(ms), 0) / 1e6;
  const best = Math.max(
    ...all.filter(({ shape }) => PRODUCTS.some((p) => p.name === shape)).map((each) => rate([each])),
  );
  const share = (of: readonly Timed[]) => rate(of) / best;
  const convolutions = PEER_SHAPES.map(({ name }) => ({ name, passes: all.filter(({ shape }) => shape === name) }));
  console.log(`${gpu.name} (${gpu.backend}); ${rounds} rounds`);
  console.log(
    table([
      ['', 'pass', unit, 'GFLOP/s', 'of the best product'],
      ...all.map((each) => {
        const { shape, pass, ms } = each;
        return [
          shape,
          pass.name,
          median(ms).toFixed(1),
          rate([each]).toFixed(1),
          `${(100 * share([each])).toFixed(0)} %`,
        ];
      }),
      ...convolutions.map(({ name, passes }) => {
        const ms = passes.reduce((sum, each) => sum + median(each.ms), 0);
        return [name, 'all', ms.toFixed(1), rate(passes).toFixed(1), `${(100 * share(passes)).toFixed(0)} %`];
      }),
    ]),
  );
  const reached = convolutions.every(({ passes }) => share(passes) >= GOAL);
  console.log(`${reached ? 'both' : 'NOT both'} convolutions reach ${100 * GOAL} % of the best product`);
  return reached ? 0 : 1;
}

await exit(await main().catch((failure) => reportFailure(failure, { json: false, debug: false, color: false })));
