/** The stages of ACTION as trainers. */
import { recordStage1a, recordStage1aFill, recordStage1b } from '../../engine/action/stage1.ts';
import {
  createStage1Networks,
  enterStage1,
  fillsBank,
  type Stage1,
  type Stage1Networks,
  type Substage,
} from '../../engine/action/stage1_parts.ts';
import { drawStage2, recordStage2 } from '../../engine/action/stage2.ts';
import { createStage2, cycleLength } from '../../engine/action/stage2_parts.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import type { Unet3d } from '../../engine/nn/unet3d.ts';
import { unetFlops } from '../../engine/nn/unet3d_flops.ts';
import { concatBatch } from '../../engine/ops/concat_batch.ts';
import { NOISE_STREAMS } from '../data/augment_streams.ts';
import { assembleTrainer } from './assemble.ts';
import { labelledBatch, runCounters, studentDropout, unlabelledBatch, viewOf, volumeLabels } from './batches.ts';
import type { ConfigOf } from './config.ts';
import { stageSteps } from './config_action.ts';
import { networkOf, type StageInput } from './stage.ts';
import type { Trainer } from './trainer.ts';

type ActionInput = StageInput<ConfigOf<'action'>>;

/** Of the cycle that the pseudo-labels of volumes are for, as long as there are none. */
const NONE = -1;

/** Stage 1a: the encoder learns from L_glob alone. */
export async function createStage1a(input: ActionInput): Promise<Trainer> {
  const { device, labelled, unlabelled, offset } = input;
  const { patch, seed, action } = input.config;
  const { batch, volumes } = action.stage1a;
  const before = device.bytesHeld;
  const { network, student, networks, stage } = await stage1(input, '1a');
  const parameterBytes = device.bytesHeld - before;

  const counters = runCounters(device, seed);
  const patches = unlabelledBatch(input, volumes === 'all' ? [...labelled, ...unlabelled] : unlabelled, batch);
  const weak = viewOf('teacher', action.views.teacher, input, batch, counters);
  const strong = viewOf('student', action.views.student, input, batch, counters);
  const { encoder } = unetFlops(network.settings, batch, patch);
  return assembleTrainer(device, before, {
    ...{ label: 'stage 1a', network, student, offset, parameterBytes, state: stage.state },
    flops: 4 * encoder,
    inputs: [counters, patches, weak, strong],
    setStep: (step) => stage.setStep(step),
    record(rec) {
      const image = patches.record(rec);
      const views = { weak: weak.apply(rec, image), strong: strong.apply(rec, image) };
      return recordStage1a(rec, stage, views, studentDropout(counters));
    },
    silent: {
      due: (step) => fillsBank(action, step),
      record: (rec) => recordStage1aFill(rec, stage, weak.apply(rec, patches.record(rec))),
    },
    owned: [stage, networks, student],
  });
}

/** Stage 1b: L_sup + k1 L_glob + k2 L_loc on the whole network. */
export async function createStage1b(input: ActionInput): Promise<Trainer> {
  const { device, unlabelled, offset } = input;
  const { patch, seed, action } = input.config;
  const { labelledBatch: known, unlabelledBatch: unknown } = action.stage1b;
  const before = device.bytesHeld;
  const { network, student, networks, stage } = await stage1(input, '1b');
  const parameterBytes = device.bytesHeld - before;

  const counters = runCounters(device, seed);
  const labelledPatches = labelledBatch(input, known, counters);
  const weakLabelled = viewOf('teacherLabelled', action.views.teacher, input, known, counters);
  const unlabelledPatches = unknown > 0 ? unlabelledBatch(input, unlabelled, unknown) : undefined;
  const weak = unknown > 0 ? viewOf('teacher', action.views.teacher, input, unknown, counters) : undefined;
  const strong = unknown > 0 ? viewOf('student', action.views.student, input, unknown, counters) : undefined;
  const { forward, training } = unetFlops(network.settings, known + unknown, patch);
  return assembleTrainer(device, before, {
    ...{ label: 'stage 1b', network, student, offset, parameterBytes, state: stage.state },
    flops: forward + training,
    inputs: [counters, labelledPatches, weakLabelled, unlabelledPatches, weak, strong].filter(
      (part) => part !== undefined,
    ),
    setStep: (step) => stage.setStep(step),
    record(rec) {
      const { geometry, image, labels } = labelledPatches.record(rec);
      const teacher = [weakLabelled.apply(rec, geometry)];
      const student = [image];
      if (unlabelledPatches && weak && strong) {
        const patches = unlabelledPatches.record(rec);
        teacher.push(weak.apply(rec, patches));
        student.push(strong.apply(rec, patches));
      }
      const views = { weak: concatBatch(rec, teacher), strong: concatBatch(rec, student), labels };
      return recordStage1b(rec, stage, views, studentDropout(counters));
    },
    owned: [stage, networks, student],
  });
}

/** Stage 2: L_sup + r(t) (L_unsup + 0.01 L_anco), or without L_sup. */
export async function createStage2Trainer(input: ActionInput): Promise<Trainer> {
  const { device, unlabelled, offset } = input;
  const { patch, seed, action } = input.config;
  const { labelledBatch: known, unlabelledBatch: unknown, supervisedBatch } = action.stage2;
  const before = device.bytesHeld;
  const { network, student } = studentOf(input);
  const untrained = input.config.from === null && !stageSteps(action).some(({ stage }) => stage !== '2');
  const stage = await createStage2(device, network, student, patch, action, seed, { untrained });
  const parameterBytes = device.bytesHeld - before;

  const counters = runCounters(device, seed);
  const labelledPatches = labelledBatch(input, known, counters);
  const unlabelledPatches = unlabelledBatch(input, unlabelled, unknown);
  const volumes = stage.labeller && volumeLabels(input, unlabelled, unknown);
  const teacher = volumes ? undefined : viewOf('teacher', action.views.teacher, input, unknown, counters);
  const strong = viewOf('student', action.views.student, input, unknown, counters);
  const passes = unetFlops(network.settings, (supervisedBatch ? known : 0) + unknown, patch).training;
  let cycle = NONE;
  return assembleTrainer(device, before, {
    ...{ label: 'stage 2', network, student, offset, parameterBytes, state: stage.state },
    flops: passes + (teacher ? unetFlops(network.settings, unknown, patch).forward : 0),
    inputs: [counters, labelledPatches, unlabelledPatches, volumes, teacher, strong].filter(
      (part) => part !== undefined,
    ),
    setStep: (step) => stage.setStep(step),
    ...(volumes && {
      async ready(step, watch) {
        const length = cycleLength(action.stage2);
        const wanted = Math.floor(step / length);
        if (wanted === cycle) return true;
        const labeller = stage.labeller as Parameters;
        if (step === wanted * length) await labeller.copyFrom(stage.teacher);
        const done = await volumes.relabel(network, labeller, watch);
        cycle = done ? wanted : NONE;
        return done;
      },
    }),
    record(rec) {
      const { image, labels } = labelledPatches.record(rec);
      const batch = {
        ...{ labelled: image, labels, unlabelled: unlabelledPatches.record(rec) },
        probabilities: volumes?.record(rec),
      };
      const draws = drawStage2(rec, stage, counters.tensor, NOISE_STREAMS.method);
      return recordStage2(
        rec,
        stage,
        batch,
        draws,
        { teacher: teacher?.apply, student: strong.apply },
        studentDropout(counters),
      );
    },
    owned: [stage, student],
  });
}

function studentOf(input: ActionInput): { network: Unet3d; student: Parameters } {
  const { device, config, initialise } = input;
  const network = networkOf(input);
  return { network, student: Parameters.create(device, network.specs, { seed: config.seed, initialise }) };
}

async function stage1(
  input: ActionInput,
  substage: Substage,
): Promise<{ network: Unet3d; student: Parameters; networks: Stage1Networks; stage: Stage1 }> {
  const { device, config } = input;
  const { network, student } = studentOf(input);
  const networks = await createStage1Networks(device, network, student, config.patch, config.action, config.seed);
  return { network, student, networks, stage: enterStage1(networks, substage) };
}
