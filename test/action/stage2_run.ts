/** Stage 2 on the tiny network of test/fixtures/torch/action_stage2.py, recorded as a training step. */
import { type ActionOptions, paper, type Stage2Options } from '../../engine/action/options.ts';
import { drawStage2, recordStage2, type Stage2Batch } from '../../engine/action/stage2.ts';
import { createStage2 } from '../../engine/action/stage2_parts.ts';
import type { Device } from '../../engine/device.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { scale } from '../../engine/ops/elementwise.ts';
import { Program } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { createStepCounters } from '../../engine/step_counters.ts';
import { readFixture } from '../fixtures/torch/fixture.ts';
import { waveBatch } from '../fixtures/torch/waves.ts';
import { torchNetwork } from '../nn/torch_run.ts';
import type { Triple } from '../reference/dense.ts';

export const { tensors, metadata } = readFixture('action_stage2');
export const network = torchNetwork('unet_transposed');
export const SIZE: Triple = [8, 8, 8];
export const STEPS = 10;

export type RunName = 'run_small' | 'run_paper' | 'run_pairs' | 'run_pairs_beside';

/** A run of the fixture as our options. */
export function optionsOf(name: RunName, change: Partial<Stage2Options> = {}): ActionOptions & { from: number } {
  const { m, unlabelledFrom, margin, float32Gap, ...stage2 } = JSON.parse(metadata.runs)[name];
  return {
    ...paper,
    teacher: { ...paper.teacher, m },
    stage2: { ...paper.stage2, ...stage2, nesterov: true, ...change },
    from: unlabelledFrom,
  };
}

/** A recorded step with the fixture's first weights, and functions that run it. */
export async function stage2Run(device: Device, name: RunName, change: Partial<Stage2Options> = {}) {
  const options = optionsOf(name, change);
  const student = Parameters.create(device, network.unet.specs);
  student.load(network.initial);
  const stage = await createStage2(device, network.unet, student, SIZE, options, 0);
  stage.student.head?.load(
    new Map(
      stage.head.specs.map(({ name: parameter }) => {
        const { shape, data } = tensors.get(`${name}/${parameter}`) as { shape: number[]; data: Float64Array };
        return [parameter, { shape, data: Float32Array.from(data) }];
      }),
    ),
  );
  const counters = createStepCounters(device, Number(metadata.seed));
  const { labelledBatch, unlabelledBatch } = options.stage2;
  const batch: Stage2Batch = {
    labelled: device.tensor([labelledBatch, ...SIZE, 1], 'labelled'),
    labels: device.tensor([labelledBatch, ...SIZE], 'labels', { dtype: 'u32', dense: true }),
    unlabelled: device.tensor([unlabelledBatch, ...SIZE, 1], 'unlabelled'),
    ...(options.stage2.pseudo === 'volume' && {
      probabilities: device.tensor([unlabelledBatch, ...SIZE, network.unet.settings.classes], 'probabilities'),
    }),
  };
  const recording = new Recording(device, 'stage 2');
  const draws = drawStage2(recording, stage, counters.tensor, JSON.parse(metadata.streams).mix);
  const views = { student: (rec: Recording, image: typeof batch.labelled) => scale(rec, image, 1.25) };
  const log = recordStage2(recording, stage, batch, draws, views);
  for (const t of Object.values(log)) recording.keep(t);
  const program = await Program.create(recording);

  /** Uploads and submits a step; nothing is read back. */
  const submit = (step: number): void => {
    const labelled = waveBatch(step, SIZE, labelledBatch);
    device.write(batch.labelled, labelled.images);
    device.write(batch.labels, labelled.labels);
    device.write(batch.unlabelled, waveBatch(step + options.from, SIZE, unlabelledBatch).images);
    counters.setStep(step);
    stage.setStep(step);
    program.run();
  };
  const step = async (i: number): Promise<Record<string, number>> => {
    submit(i);
    const values: Record<string, number> = {};
    for (const [key, t] of Object.entries(log)) values[key] = (await program.read(t))[0];
    return values;
  };
  return { stage, batch, recording, program, log, submit, step };
}
