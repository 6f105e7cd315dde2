/** The semi-supervised baselines as trainers. */
import { createCps, recordCps } from '../../engine/baselines/cps.ts';
import { createMeanTeacher, recordMeanTeacher } from '../../engine/baselines/mean_teacher.ts';
import type { BaselineOptions } from '../../engine/baselines/options.ts';
import type { TeacherBatch } from '../../engine/baselines/step.ts';
import { createUaMt, drawUaMt, recordUaMt } from '../../engine/baselines/ua_mt.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import type { StatePart } from '../../engine/nn/state.ts';
import type { Unet3d, UnetMode } from '../../engine/nn/unet3d.ts';
import { unetFlops } from '../../engine/nn/unet3d_flops.ts';
import type { Recording } from '../../engine/recording.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { NOISE_STREAMS } from '../data/augment_streams.ts';
import { assembleTrainer } from './assemble.ts';
import { labelledBatch, type RunCounters, runCounters, studentDropout, unlabelledBatch, viewOf } from './batches.ts';
import type { ConfigOf } from './config.ts';
import { networkOf, type StageInput } from './stage.ts';
import type { Trainer } from './trainer.ts';

export type BaselineMethod = 'mean-teacher' | 'ua-mt' | 'cps';
type BaselineInput<M extends BaselineMethod> = StageInput<ConfigOf<M>>;

/** A method on the device, as the engine has it. */
interface Recorded {
  readonly state: readonly StatePart[];
  setStep(step: number): void;
  record(rec: Recording, batch: TeacherBatch, counters: RunCounters, mode: UnetMode): Readonly<Record<string, Tensor>>;
  /** Passes over the unlabelled patches beside the student's own training pass. */
  readonly extraPasses: number;
  /** Networks that are trained. */
  readonly networks: number;
  destroy(): void;
}

export function createMeanTeacherTrainer(input: BaselineInput<'mean-teacher'>): Promise<Trainer> {
  return createBaseline(input, async (unet, student) => {
    const method = await createMeanTeacher(input.device, unet, student, {
      ...scheduleOf(input.config),
      ...input.config.meanTeacher,
    });
    return {
      ...pick(method),
      ...{ extraPasses: 1, networks: 1 },
      record: (rec, batch, _, mode) => recordMeanTeacher(rec, method, batch, mode),
    };
  });
}

export function createUaMtTrainer(input: BaselineInput<'ua-mt'>): Promise<Trainer> {
  return createBaseline(input, async (unet, student) => {
    const method = await createUaMt(input.device, unet, student, {
      ...scheduleOf(input.config),
      ...input.config.uaMt,
    });
    return {
      ...pick(method),
      ...{ extraPasses: input.config.uaMt.passes + 1, networks: 1 },
      record: (rec, batch, counters, mode) =>
        recordUaMt(rec, method, batch, drawUaMt(method, counters.tensor, NOISE_STREAMS.method), mode),
    };
  });
}

export function createCpsTrainer(input: BaselineInput<'cps'>): Promise<Trainer> {
  return createBaseline(input, async (unet, student) => {
    const options = { ...scheduleOf(input.config), ...input.config.cps };
    const method = createCps(input.device, unet, student, options, input.config.seed);
    return {
      ...pick(method),
      ...{ extraPasses: 0, networks: 2 },
      record: (rec, batch, _, mode) => recordCps(rec, method, batch, mode),
    };
  });
}

function pick({ state, setStep, destroy }: Pick<Recorded, 'state' | 'setStep' | 'destroy'>) {
  return { state, setStep, destroy };
}

function scheduleOf({ optimiser, steps }: ConfigOf<BaselineMethod>): Omit<BaselineOptions, 'weight' | 'ramp'> {
  const { name, ...schedule } = optimiser;
  return { ...schedule, steps, optimiser: name };
}

async function createBaseline(
  input: BaselineInput<BaselineMethod>,
  create: (unet: Unet3d, student: Parameters) => Promise<Recorded>,
): Promise<Trainer> {
  const { device, config, unlabelled, initialise, offset } = input;
  const { batch, patch, seed, method: label } = config;
  const before = device.bytesHeld;
  const network = networkOf(input);
  const student = Parameters.create(device, network.specs, { seed, initialise });
  const method = await create(network, student);
  const parameterBytes = device.bytesHeld - before;

  const counters = runCounters(device, seed);
  const known = labelledBatch(input, batch, counters);
  const unknown = unlabelledBatch(input, unlabelled, batch);
  const weak = viewOf('teacher', 'weak', input, batch, counters);
  const strong = viewOf('student', 'strong', input, batch, counters);
  const flops = (patches: number) => unetFlops(network.settings, patches, patch);
  return assembleTrainer(device, before, {
    ...{ label, network, student, offset, parameterBytes, state: method.state },
    flops: method.networks * flops(2 * batch).training + method.extraPasses * flops(batch).forward,
    inputs: [counters, known, unknown, weak, strong],
    setStep: method.setStep,
    record(rec) {
      const { image, labels } = known.record(rec);
      const geometry = unknown.record(rec);
      const views = { weak: weak.apply(rec, geometry), strong: strong.apply(rec, geometry) };
      return method.record(rec, { labelled: image, labels, ...views }, counters, studentDropout(counters));
    },
    owned: [method, student],
  });
}
