/** The patches of a step, and the networks' views of them. */
import type { Device } from '../../engine/device.ts';
import type { Parameters } from '../../engine/nn/parameters.ts';
import type { Unet3d, UnetMode } from '../../engine/nn/unet3d.ts';
import { warp } from '../../engine/ops/warp.ts';
import type { Recording } from '../../engine/recording.ts';
import { createStepCounters, type StepCounters } from '../../engine/step_counters.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { HOST_STREAMS, NOISE_STREAMS } from '../data/augment_streams.ts';
import { type PatchOptions, PatchStream } from '../data/patches.ts';
import { wholeVolumeBytes } from '../data/patches_source.ts';
import { inMemory, type PatchCase } from '../data/voxels.ts';
import { slidingWindow } from '../predict/sliding_window.ts';
import type { StepInput } from './assemble.ts';
import { labelsVolumes } from './config.ts';
import type { StageInput } from './stage.ts';
import type { VolumeWatch } from './trainer.ts';
import { intensityView, type View } from './view.ts';

/** Step counters that are fed with the step of the run. */
export interface RunCounters extends StepInput, StepCounters {}

export function runCounters(device: Device, seed: number): RunCounters {
  const counters = createStepCounters(device, seed);
  return { ...counters, upload: counters.setStep, destroy: () => device.destroyTensor(counters.tensor) };
}

/** Where a student's pass draws its dropout from. */
export function studentDropout(counters: RunCounters): UnetMode {
  return { dropout: { counters: counters.tensor, stream: NOISE_STREAMS.student + 1 } };
}

export interface LabelledBatch extends StepInput {
  /** Appends the patches: after geometry alone, with intensity changes on top, and their labels. */
  record(rec: Recording): { geometry: Tensor; image: Tensor; labels: Tensor };
}

/** `batch` patches of the labelled cases, augmented as section `augmentation` says. */
export function labelledBatch(input: StageInput, batch: number, counters: RunCounters): LabelledBatch {
  const { device, config, labelled } = input;
  const { patch, seed, augmentation } = config;
  const patches = new PatchStream(device, labelled, {
    ...{ patch, batch, seed, augmentation, stream: HOST_STREAMS.labelledPatches },
    ...{ labelled: true, foregroundProbability: augmentation.foreground },
    volumeBytes: roomFor(input, wholeVolumeBytes(labelled, true)),
  });
  const view = intensityView(device, counters, {
    ...{ batch, seed, stream: HOST_STREAMS.labelledIntensity, noise: NOISE_STREAMS.labelled },
    strength: augmentation.intensity,
  });
  return {
    ...together(patches, view),
    record(rec) {
      const { image, labels } = warp(rec, patches.source, patches.geometry);
      return { geometry: image, image: view.apply(rec, image), labels: labels as Tensor };
    },
  };
}

export interface UnlabelledBatch extends StepInput {
  /** Appends the patches after geometry alone. */
  record(rec: Recording): Tensor;
}

function unlabelledPatches(input: StageInput, cases: readonly PatchCase[], batch: number): PatchOptions {
  const { patch, seed, augmentation } = input.config;
  return {
    ...{ patch, batch, seed, stream: HOST_STREAMS.unlabelledPatches, labelled: false },
    augmentation: augmentation.unlabelled ?? augmentation,
    volumeBytes: roomFor(input, wholeVolumeBytes(cases, false)),
  };
}

/** The share of `volumeBytes` for cases that would take so much of what all would. */
function roomFor(input: StageInput, bytes: number): number {
  const { config, labelled, unlabelled, classes, volumeBytes: room = 0 } = input;
  const soft = labelsVolumes(config) ? probabilities(unlabelled, classes) : [];
  const all = wholeVolumeBytes(labelled, true) + wholeVolumeBytes([...unlabelled, ...soft], false);
  return (room / all) * bytes;
}

/** The cases with a channel a class, without voxels yet. */
function probabilities(cases: readonly PatchCase[], classes: number) {
  return cases.map((item) => ({ ...item, label: null, channels: classes, image: new Float32Array(0) }));
}

/** `batch` patches of cases whose labels are never read. */
export function unlabelledBatch(input: StageInput, cases: readonly PatchCase[], batch: number): UnlabelledBatch {
  const patches = new PatchStream(input.device, cases, unlabelledPatches(input, cases, batch));
  return {
    ...together(patches),
    record: (rec) => warp(rec, patches.source, patches.geometry).image,
  };
}

/** What a network says of whole unlabelled volumes, cut out with the patches of an unlabelledBatch of the same cases and size. */
export interface VolumeLabels extends StepInput {
  /** Predicts every volume anew; false where it was asked to stop before. */
  relabel(network: Unet3d, parameters: Parameters, watch?: VolumeWatch): Promise<boolean>;
  /** Appends the probabilities of the patches' voxels, [batch, D, H, W, classes], after geometry. */
  record(rec: Recording): Tensor;
}

/** Holds a float32 for every voxel and class of the cases in memory. */
export function volumeLabels(input: StageInput, cases: readonly PatchCase[], batch: number): VolumeLabels {
  const { device, config, classes } = input;
  const labelled = probabilities(cases, classes);
  const patches = new PatchStream(device, labelled, unlabelledPatches(input, labelled, batch));
  return {
    ...together(patches),
    async relabel(network, parameters, watch) {
      for (const [i, item] of cases.entries()) {
        if (watch?.shouldStop()) return false;
        const volume = { ...item, data: inMemory(item.image) };
        const { probabilities } = await slidingWindow(device, network, parameters, volume, config.patch, {
          probabilities: true,
        });
        labelled[i].image = probabilities as Float32Array<ArrayBuffer>;
        watch?.onVolume(i + 1, cases.length);
      }
      patches.uploadVolumes();
      return true;
    },
    record: (rec) => warp(rec, patches.source, patches.geometry).image,
  };
}

/** 'weak' and 'strong' are strengths of section `augmentation`; each network draws its own. */
export function viewOf(
  network: 'teacher' | 'student' | 'teacherLabelled',
  kind: 'weak' | 'strong',
  { device, config }: StageInput,
  batch: number,
  counters: RunCounters,
): View {
  return intensityView(device, counters, {
    ...{ batch, seed: config.seed, strength: config.augmentation[kind] },
    ...{ stream: HOST_STREAMS[`${network}Intensity`], noise: NOISE_STREAMS[network] },
  });
}

function together(...inputs: readonly StepInput[]): StepInput {
  return {
    volumeBytes: inputs.reduce((sum, input) => sum + (input.volumeBytes ?? 0), 0),
    upload(step) {
      for (const input of inputs) input.upload(step);
    },
    destroy() {
      for (const input of inputs) input.destroy();
    },
  };
}
