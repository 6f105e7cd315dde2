/**
 * `action3d/node`: data sets, training, prediction and scores for Node programs. `action3d` itself is the engine.
 *
 *   const gpu = await openGpu();
 *   const device = new Device(gpu.device, gpu);
 *   const { card, weights, file } = await findModel('runs/hippocampus');
 *   const model = loadModel(device, card, weights, file);
 *   const image = await readNifti(await readFile('scan.nii.gz'), 'scan.nii.gz');
 *   const { labels } = await predictCase(model, image, 'scan.nii.gz');
 *   await writeFile('label.nii.gz', await writeNifti(labels, image.source, { labelNames: labelNamesOf(card) }));
 *   await exit(0);
 */
export { Device } from '../engine/device.ts';
export * from '../engine/errors.ts';
export { type FoundModel, findModel } from './commands/predict_model.ts';
export { type CheckReport, checkDataset } from './data/check.ts';
export { type Case, type Dataset, type FileSource, type Label, parseDataset } from './data/dataset.ts';
export { type LoadedCase, loadCase } from './data/load_case.ts';
export * from './data/nifti.ts';
export { type Prepared, type Preprocessing, preprocess } from './data/preprocess.ts';
export { readSafetensors, writeSafetensors } from './data/safetensors.ts';
export { makeSplit, type Split, type SplitOptions } from './data/splits.ts';
export type { SourceGeometry, Volume } from './data/volume.ts';
export type { KeepVoxels, StoredVoxels, Voxels } from './data/voxels.ts';
export { directorySource, writeFileAtomic } from './host/files.ts';
export { type AdapterList, exit, listAdapters, type OpenedGpu, type OpenOptions, openGpu } from './host/node.ts';
export { runFolder } from './host/run_folder.ts';
export { memoryForVoxels, type VoxelShelf, voxelShelf } from './host/voxel_file.ts';
export { type CaseScores, evaluateCases, type Summary } from './predict/evaluate_cases.ts';
export { type DistanceUnit, type LabelScores, overlaps, scoreLabels } from './predict/metrics.ts';
export { decodeWeights, encodeWeights, type ModelCard, parseModelCard } from './predict/model.ts';
export { type CasePrediction, type LoadedModel, labelNamesOf, loadModel, predictCase } from './predict/predict_case.ts';
export { type SlidingWindowOptions, slidingWindow, type WindowedPrediction } from './predict/sliding_window.ts';
export { type TrainConfig, type TrainConfigInput, trainConfig } from './train/config.ts';
export { runTraining, type TrainingEvents, type TrainingInput, type TrainingResult } from './train/run_training.ts';
