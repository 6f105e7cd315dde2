/** The baselines on the tiny network of test/fixtures/torch/baselines.py, recorded as training steps. */
import { createCps, recordCps } from '../../engine/baselines/cps.ts';
import { createMeanTeacher, recordMeanTeacher } from '../../engine/baselines/mean_teacher.ts';
import {
  type CpsOptions,
  cpsDefaults,
  type MeanTeacherOptions,
  meanTeacherDefaults,
  type UaMtOptions,
  uaMtDefaults,
} from '../../engine/baselines/options.ts';
import { createUaMt, drawUaMt, recordUaMt, type UaMtDraws } from '../../engine/baselines/ua_mt.ts';
import type { Device } from '../../engine/device.ts';
import { Parameters, type ParameterValues } from '../../engine/nn/parameters.ts';
import { type Unet3d, type UnetMode, unet3d } from '../../engine/nn/unet3d.ts';
import type { UnetConfig } from '../../engine/nn/unet3d_config.ts';
import { add } from '../../engine/ops/elementwise.ts';
import { Program } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { createStepCounters } from '../../engine/step_counters.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { readFixture } from '../fixtures/torch/fixture.ts';
import { waveBatch } from '../fixtures/torch/waves.ts';
import { torchNetwork } from '../nn/torch_run.ts';
import type { Triple } from '../reference/dense.ts';

export const { tensors, metadata } = readFixture('baselines');
export const network = torchNetwork('unet_transposed');
export const SIZE: Triple = [8, 8, 8];
export const STEPS = 10;
const VALUES = 2 * 8 * 8 * 8;
/** Index of the noise that makes the strong view. */
const STRONG = 99;

export type Method = 'mean_teacher' | 'ua_mt' | 'cps';
export type RunName = Method | 'mean_teacher_adamw';

/** Differences from a run of the fixture. */
export interface Change {
  options?: Partial<UaMtOptions>;
  /** Another network than the fixture's, initialised with seed 1. */
  unet?: UnetConfig;
  /** Noise of UA-MT from the device instead of the fixture's formula. */
  drawn?: boolean;
}

/** Noise of a teacher pass, [2, 8, 8, 8]: the twin of `noise` in baselines.py. */
export function noise(step: number, index: number): Float32Array {
  return Float32Array.from({ length: VALUES }, (_, i) =>
    Math.max(-0.2, Math.min(0.2, 0.25 * Math.sin(12.9898 * i + 78.233 * index + 3.7 * step))),
  );
}

/** The first weights of the second network: each parameter's values in reversed order. */
const reversed = (values: ParameterValues): ParameterValues =>
  new Map([...values].map(([name, { shape, data }]) => [name, { shape, data: data.slice().reverse() }]));

interface Inputs {
  labelled: Tensor;
  labels: Tensor;
  weak: Tensor;
  strong: Tensor;
  noises: Tensor[];
  counters: Tensor;
}

/** Creates a method and appends its step. */
async function recorded(
  device: Device,
  rec: Recording,
  unet: Unet3d,
  student: Parameters,
  name: RunName,
  change: Change,
  inputs: Inputs,
) {
  const { method, unlabelledFrom, margin, float32Gap, ...settings } = JSON.parse(metadata.runs)[name];
  const set = { ...settings, ...change.options };
  const mode: UnetMode = { dropout: { counters: inputs.counters, stream: 100 } };
  if (method === 'cps') {
    const options: CpsOptions = { ...cpsDefaults, ...set };
    const cps = createCps(device, unet, student, options, 1);
    if (!change.unet) cps.second.load(reversed(network.initial));
    return { ...cps, networks: { student, second: cps.second }, log: recordCps(rec, cps, inputs, mode) };
  }
  if (method === 'mean_teacher') {
    const options: MeanTeacherOptions = { ...meanTeacherDefaults, ...set };
    const mt = await createMeanTeacher(device, unet, student, options);
    const networks = { student, teacher: mt.teacher };
    return { ...mt, networks, log: recordMeanTeacher(rec, mt, inputs, mode) };
  }
  const options: UaMtOptions = { ...uaMtDefaults, ...set };
  const uaMt = await createUaMt(device, unet, student, options);
  const uploaded: UaMtDraws = (r, image, pass) => add(r, image, inputs.noises[pass]);
  const draws = change.drawn ? drawUaMt(uaMt, inputs.counters, 50) : uploaded;
  return { ...uaMt, networks: { student, teacher: uaMt.teacher }, log: recordUaMt(rec, uaMt, inputs, draws, mode) };
}

/** A recorded step with the fixture's first weights, and functions that run it. */
export async function baselineRun(device: Device, name: RunName, change: Change = {}) {
  const settings = JSON.parse(metadata.runs)[name];
  const unet = change.unet ? unet3d(change.unet) : network.unet;
  const student = Parameters.create(device, unet.specs, { seed: 1 });
  if (!change.unet) student.load(network.initial);
  const shape = [2, ...SIZE, 1];
  const passes = change.options?.passes ?? settings.passes ?? 0;
  const counters = createStepCounters(device, 7);
  const inputs: Inputs = {
    labelled: device.tensor(shape, 'labelled'),
    labels: device.tensor([2, ...SIZE], 'labels', { dtype: 'u32', dense: true }),
    weak: device.tensor(shape, 'weak'),
    strong: device.tensor(shape, 'strong'),
    noises: Array.from({ length: passes + 1 }, (_, i) => device.tensor(shape, `noise ${i}`)),
    counters: counters.tensor,
  };
  const recording = new Recording(device, name);
  const method = await recorded(device, recording, unet, student, name, change, inputs);
  for (const t of Object.values(method.log)) recording.keep(t);
  const program = await Program.create(recording);

  /** Uploads and submits a step; nothing is read back. */
  const submit = (step: number): void => {
    const labelled = waveBatch(step, SIZE);
    device.write(inputs.labelled, labelled.images);
    device.write(inputs.labels, labelled.labels);
    const { images: weak } = waveBatch(step + settings.unlabelledFrom, SIZE);
    const apart = noise(step, STRONG);
    device.write(inputs.weak, weak);
    device.write(
      inputs.strong,
      weak.map((v, i) => v + 4 * apart[i]),
    );
    for (const [pass, t] of inputs.noises.entries()) device.write(t, noise(step, pass));
    counters.setStep(step);
    method.setStep(step);
    program.run();
  };
  const step = async (i: number): Promise<Record<string, number>> => {
    submit(i);
    const values: Record<string, number> = {};
    for (const [key, t] of Object.entries(method.log)) values[key] = (await program.read(t))[0];
    return values;
  };
  return { method, inputs, recording, program, submit, step };
}
