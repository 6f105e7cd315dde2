/** Stage 1 on the tiny network of test/fixtures/torch/action_stage1.py, recorded as a training step. */
import { type ActionOptions, paper } from '../../engine/action/options.ts';
import { type LabelledViews, recordStage1a, recordStage1aFill, recordStage1b } from '../../engine/action/stage1.ts';
import { createStage1Networks, enterStage1, fillsBank, type Substage } from '../../engine/action/stage1_parts.ts';
import type { Device } from '../../engine/device.ts';
import { Parameters, type ParameterValues } from '../../engine/nn/parameters.ts';
import { Program } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { readFixture } from '../fixtures/torch/fixture.ts';
import { waveBatch } from '../fixtures/torch/waves.ts';
import { torchNetwork } from '../nn/torch_run.ts';
import type { Triple } from '../reference/dense.ts';

export const { tensors, metadata } = readFixture('action_stage1');
export const network = torchNetwork('unet_transposed');
export const SAMPLES = 4;

export interface TorchStage extends ActionOptions {
  readonly stage: Substage;
}

/** A run of the fixture as our options. */
export function optionsOf(name: string): TorchStage {
  const run = JSON.parse(metadata.runs)[name];
  const { steps, rate, power, warmUp, momentum, nesterov, weightDecay, clip, K, bankStart } = run;
  const schedule = { steps, rate, power, warmUp, momentum, nesterov, weightDecay, clip };
  return {
    ...paper,
    stage: run.stage,
    teacher: { m: run.m, update: run.update },
    global: { ...paper.global, ...run.global, K, bankStart },
    local: { ...paper.local, ...run.local, K, bankStart },
    stage1a: { ...paper.stage1a, ...schedule, batch: SAMPLES },
    stage1b: { ...paper.stage1b, ...schedule, labelledBatch: 2, unlabelledBatch: SAMPLES - 2 },
  };
}

/** The rows that a bank starts with in the fixture's run, `bank_rows` there. */
export function bankRows(shape: readonly number[]): ParameterValues {
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) =>
    Math.sin(0.7 * i + Math.cos(0.31 * i)),
  );
  return new Map([['keys', { shape, data }]]);
}

/** Weak and strong view of a step's four patches and the labels of the first two, `views` in the fixture. */
export function viewsOf(step: number, size: Triple) {
  const { images, labels } = waveBatch(step, size, SAMPLES);
  const other = waveBatch(step + 50, size, SAMPLES).images;
  return {
    weak: images,
    strong: images.map((v, i) => 0.8 * v + 0.3 * other[i]),
    labels: labels.slice(0, labels.length / 2),
  };
}

/** Student with the fixture's first weights, teacher, heads; 1a and 1b can be entered one after the other. */
export async function stage1Networks(device: Device, options: ActionOptions, size: Triple = network.size) {
  const student = Parameters.create(device, network.unet.specs);
  student.load(network.initial);
  const networks = await createStage1Networks(device, network.unet, student, size, options, 0);
  const { projectors, predictors } = networks.student;
  for (const parameters of [projectors, predictors, networks.teacher.projectors]) {
    parameters.load(
      new Map(
        parameters.specs.map(({ name }) => {
          const { shape, data } = tensors.get(`heads/${name}`) as { shape: number[]; data: Float64Array };
          return [name, { shape, data: Float32Array.from(data) }];
        }),
      ),
    );
  }
  return networks;
}

/** A recorded substage and a function that runs its steps. */
export async function stage1Run(
  device: Device,
  substage: Substage,
  options: ActionOptions,
  size: Triple = network.size,
) {
  const networks = await stage1Networks(device, options, size);
  const stage = enterStage1(networks, substage);
  if (options.global.bankStart === 'gaussian') for (const { bank } of stage.parts) bank.load(bankRows(bank.rows.shape));
  const shape = [SAMPLES, ...size, 1];
  const views: LabelledViews = {
    weak: device.tensor(shape, 'weak'),
    strong: device.tensor(shape, 'strong'),
    labels: device.tensor([2, ...size], 'labels', { dtype: 'u32', dense: true }),
  };
  const rec = new Recording(device, `stage ${substage}`);
  const log = substage === '1a' ? recordStage1a(rec, stage, views) : recordStage1b(rec, stage, views);
  for (const t of Object.values(log)) rec.keep(t);
  const program = await Program.create(rec);
  const fillRec = new Recording(device, 'fill');
  if (substage === '1a') recordStage1aFill(fillRec, stage, views.weak);
  const fill = await Program.create(fillRec);

  /** Uploads and submits a step; nothing is read back. */
  const submit = (step: number): boolean => {
    const { weak, strong, labels } = viewsOf(step, size);
    device.write(views.weak, weak);
    device.write(views.strong, strong);
    device.write(views.labels, labels);
    stage.setStep(step);
    const filling = substage === '1a' && fillsBank(options, step);
    (filling ? fill : program).run();
    return !filling;
  };
  /** Runs a step; its log, or zeros for a step that only fills the bank. */
  const step = async (i: number): Promise<Record<string, number>> => {
    const trained = submit(i);
    const values: Record<string, number> = {};
    for (const [name, t] of Object.entries(log)) values[name] = trained ? (await program.read(t))[0] : 0;
    return values;
  };
  return { networks, stage, recording: rec, fillRecording: fillRec, program, log, submit, step };
}
