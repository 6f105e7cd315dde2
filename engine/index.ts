/**
 * action3d's engine: a small autograd engine for 3D networks on hand-written WGSL kernels. Work is recorded once, then replayed:
 * memory planned, no host in between, the same bits every time. It is given a GPUDevice and knows neither disk nor page.
 *
 * Tensors are float32 [N, D, H, W, C] or [rows, C], labels dense u32 [N, D, H, W]; triples are [z, y, x]. Training a network on
 * one batch, `gpu` being a GPUDevice, `voxels` and `classes` arrays of 8 x 8 x 8 numbers:
 *
 *   const device = new Device(gpu);
 *   const network = unet3d({ inChannels: 1, classes: 2, channels: [8, 16] });
 *   const parameters = Parameters.create(device, network.specs, { seed: 1 });
 *   const scalars = StepScalars.create(device, ['learning_rate']);
 *   const image = device.tensor([1, 8, 8, 8, 1], 'image', { data: voxels });
 *   const labels = device.tensor([1, 8, 8, 8], 'labels', { dtype: 'u32', dense: true, data: classes });
 *   const step = new Recording(device, 'training step');
 *   const { loss } = diceCrossEntropy(step, network.forward(step, parameters, image).logits, labels);
 *   step.backward(loss, { leaves: parameters.leaves() });
 *   sgd(parameters, scalars, { momentum: 0.9 }).step(step);
 *   step.keep(loss);
 *   const ring = new ReadbackRing(await Program.create(step), { loss });
 *   scalars.set({ learning_rate: 0.3 });
 *   for (let i = 0; i < 10; i++) losses.push((await ring.run()).loss);
 *   device.destroy();
 */

// Device, recording, replay.

export type { Command } from './command.ts';
export { Device, type DeviceTraits, type TensorOptions } from './device.ts';
export * from './errors.ts';
export { type Kernel, kernel } from './kernel.ts';
export { type MatrixAdapter, type MatrixUnit, matrixUnitOf } from './matrix_unit.ts';
export { compute, Program } from './program.ts';
export { pcg4d, Stream, unit } from './random.ts';
export { ReadbackRing } from './readback.ts';
export { Recording, type RecordingPlan } from './recording.ts';
export type { Triple } from './shape.ts';
export { createStepCounters, type StepCounters } from './step_counters.ts';
export { type ScalarSlots, StepScalars } from './step_scalars.ts';
export type { Gradients } from './tape.ts';
export type { Dtype, Storage, Tensor } from './tensor.ts';
export { describeNonFinite, type NonFinite, type Watched, watch } from './watch.ts';
export type { ChooseWay } from './ways.ts';

// Ops; losses are with the networks.

export { gelu, leakyRelu, relu } from './ops/activation.ts';
export { argmax } from './ops/argmax.ts';
export { avgPool3d } from './ops/avg_pool3d.ts';
export { concat } from './ops/concat.ts';
export { concatBatch } from './ops/concat_batch.ts';
export { convTranspose3d } from './ops/conv_transpose3d.ts';
export { conv3d } from './ops/conv3d.ts';
export type { Conv3dOptions } from './ops/convolution.ts';
export { type DropoutOptions, dropout, dropout3d } from './ops/dropout.ts';
export { add, mul, scale, scaleBy, sub } from './ops/elementwise.ts';
export { entropy } from './ops/entropy.ts';
export { gather, scatterAdd } from './ops/gather.ts';
export { type GaussianNoiseOptions, gaussianNoise } from './ops/gaussian_noise.ts';
export {
  INTENSITY_PARAMS,
  type IntensityOptions,
  type IntensitySample,
  intensity,
  packIntensity,
} from './ops/intensity.ts';
export { l2Normalize } from './ops/l2_normalize.ts';
export { linear, type MatmulOptions, matmul } from './ops/matmul.ts';
export { maxPool3d } from './ops/max_pool3d.ts';
export {
  type BatchNormOptions,
  batchNorm,
  type FusedActivation,
  groupNorm,
  instanceNorm,
  type NormOptions,
  type RunningStatistics,
} from './ops/norm.ts';
export { randomWords } from './ops/random_words.ts';
export { columnMeans, columnSums, mean, rowSums, sampleMeans, sum } from './ops/reduce.ts';
export { type ResizeOptions, resize3d } from './ops/resize3d.ts';
export { slice, sliceBatch } from './ops/slice.ts';
export { logSoftmax, softmax } from './ops/softmax.ts';
export { type Box, controlShape, packWarp, WARP_PARAMS, type WarpSample, type WarpSource, warp } from './ops/warp.ts';
export { windows } from './ops/windows.ts';

// Networks, losses, optimisers, schedules.

export { type AdamWOptions, type AdamWScalar, adamw, adamwScalars } from './nn/adamw.ts';
export { gradientClip, gradientNorm } from './nn/clip.ts';
export {
  createOptimiser,
  OPTIMISER_SCALARS,
  type OptimiserName,
  type OptimiserOptions,
  type OptimiserScalar,
  optimiserScalars,
} from './nn/create_optimiser.ts';
export { emaUpdate } from './nn/ema.ts';
export * as init from './nn/init.ts';
export {
  createLearning,
  type Learned,
  type Learner,
  type Learning,
  learn,
  learnApart,
  type StepLog,
} from './nn/learn.ts';
export { createLossScale, type LossScale, type LossScaleOptions } from './nn/loss_scale.ts';
export * from './nn/losses.ts';
export type { Optimiser } from './nn/optimiser.ts';
export type { ParameterLayout, ParameterSpec } from './nn/parameter_layout.ts';
export { Parameters, type ParameterValues } from './nn/parameters.ts';
export { emaDecay, type PolySchedule, polyRate, type StageSchedule, sigmoidRamp } from './nn/schedule.ts';
export { type SgdOptions, sgd } from './nn/sgd.ts';
export { loadState, type State, type StatePart, saveState } from './nn/state.ts';
export { type Unet3d, type UnetMode, type UnetOutput, unet3d } from './nn/unet3d.ts';
export { patchMultiple, type UnetConfig, type UnetSettings } from './nn/unet3d_config.ts';

// ACTION: stages 1a and 1b (distillation), 2 (anatomical contrast). Recorded like any step.

export * from './action/options.ts';
export { type LabelledViews, recordStage1a, recordStage1aFill, recordStage1b, type Views } from './action/stage1.ts';
export {
  createStage1Networks,
  enterStage1,
  fillsBank,
  type Stage1,
  type Stage1Networks,
  type Substage,
} from './action/stage1_parts.ts';
export {
  drawStage2,
  recordStage2,
  STAGE2_STREAMS,
  type Stage2Batch,
  type Stage2Draws,
  type Stage2Views,
} from './action/stage2.ts';
export { createStage2, type Stage2 } from './action/stage2_parts.ts';

// Baselines: Mean Teacher, UA-MT, CPS.

export { CPS_DROPOUT_STREAMS, type Cps, createCps, recordCps } from './baselines/cps.ts';
export {
  createMeanTeacher,
  MEAN_TEACHER_DROPOUT_STREAMS,
  type MeanTeacher,
  recordMeanTeacher,
} from './baselines/mean_teacher.ts';
export * from './baselines/options.ts';
export type { BaselineBatch, TeacherBatch } from './baselines/step.ts';
export { createUaMt, drawUaMt, recordUaMt, type UaMt, uaMtStreams } from './baselines/ua_mt.ts';
