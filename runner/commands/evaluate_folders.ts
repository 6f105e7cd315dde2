/** Pairs a folder of predictions with a folder of references by file name, checks every pair, and scores them. */
import { basename, dirname, join, resolve } from 'node:path';
import { ActionError, DataError } from '../../engine/errors.ts';
import { countValues } from '../data/check_volume.ts';
import { parseDatasetJson, parseLabels } from '../data/dataset_json.ts';
import { readNifti, readNiftiHeader } from '../data/nifti.ts';
import { geometryDifference, type Volume } from '../data/volume.ts';
import { directorySource, exists } from '../host/files.ts';
import { type CaseScores, evaluateCases, type Summary } from '../predict/evaluate_cases.ts';
import { type DistanceUnit, scoreLabels } from '../predict/metrics.ts';
import { caseName } from '../report/summary.ts';

export interface EvaluateFoldersOptions {
  units?: DistanceUnit;
  /** Score the cases that have been predicted and leave the other references alone. */
  partial?: boolean;
  /** Told after every scored case. */
  onCase?: (done: number, total: number) => void;
}

interface Pair {
  prediction: string;
  reference: string;
}

/** The labels to score by value, with their names where known, and what the values of a reference stand for. */
interface Labels {
  names: Map<number, string>;
  /** Whether `names` holds every label there is, rather than those met so far. */
  complete: boolean;
  map: ReadonlyMap<number, number>;
}

/** A label map has fewer values than this; an image in its place has more. */
const MOST_VALUES = 256;
const NAMED = 10;

/**
 * Scores every prediction in `predictionFolder` against the file of the same name in `labelFolder`. The labels are those
 * of dataset.json (beside the predictions, the references, or one folder above these), else those that the references
 * hold and the predictions name.
 *
 * @throws DataError with everything that is wrong with the two folders
 */
export async function evaluateFolders(
  predictionFolder: string,
  labelFolder: string,
  options: EvaluateFoldersOptions = {},
): Promise<Summary> {
  const { units = 'mm', partial = false, onCase } = options;
  const { pairs, problems } = await pairFiles(predictionFolder, labelFolder, partial);
  const labels = await findLabels(predictionFolder, labelFolder);
  problems.push(...(await checkPairs(pairs, labels)));
  if (problems.length > 0) throw new DataError(listed(problems));

  const scored = [...labels.names.keys()].filter((value) => value > 0).sort((a, b) => a - b);
  if (scored.length === 0) {
    throw new DataError(
      `${labelFolder} holds nothing but background in ${pairs.length} ${pairs.length === 1 ? 'reference' : 'references'}; check that it is the right folder`,
    );
  }
  const cases: CaseScores[] = [];
  for (const { prediction, reference } of pairs) {
    const predicted = await readLabels(prediction);
    const { data, shape, spacing } = await readLabels(reference);
    const truth = labels.map.size > 0 ? data.map((value) => labels.map.get(value) ?? value) : data;
    const metrics = scoreLabels(predicted.data, truth, shape, spacing, scored, units);
    cases.push({ prediction_file: prediction, reference_file: reference, metrics });
    onCase?.(cases.length, pairs.length);
  }
  const named = [...labels.names].filter(([value, name]) => value > 0 && name !== '');
  return evaluateCases(cases, { units, labelNames: Object.fromEntries(named) });
}

async function pairFiles(
  predictionFolder: string,
  labelFolder: string,
  partial: boolean,
): Promise<{ pairs: Pair[]; problems: string[] }> {
  const predictions = await listVolumes(predictionFolder);
  const references = await listVolumes(labelFolder);
  const pairs: Pair[] = [];
  const problems: string[] = [];
  const alone: string[] = [];
  for (const [name, prediction] of predictions) {
    const reference = references.get(name);
    if (reference) pairs.push({ prediction, reference });
    else alone.push(name);
  }
  const missing = [...references.keys()].filter((name) => !predictions.has(name));
  if (alone.length > 0) {
    problems.push(
      `${labelFolder} has no reference for ${several(alone)}, which ${predictionFolder} predicts; add it or move the prediction away`,
    );
  }
  if (missing.length > 0 && !partial) {
    problems.push(
      `${predictionFolder} has no prediction for ${several(missing)}, which ${labelFolder} labels; predict it, or pass --partial to score the others`,
    );
  }
  return { pairs, problems };
}

/** The volumes of a folder by case name, in the order of their names. */
async function listVolumes(folder: string): Promise<Map<string, string>> {
  const volumes = new Map<string, string>();
  for (const file of await directorySource(folder).list()) {
    if (!/^[^/]+\.nii(\.gz)?$/i.test(file)) continue;
    const twin = volumes.get(caseName(file));
    if (twin) throw new DataError(`${twin} and ${join(folder, file)} are the same case; keep one of them`);
    volumes.set(caseName(file), join(folder, file));
  }
  if (volumes.size === 0) throw new DataError(`${folder} holds no .nii.gz or .nii file; check the folder`);
  return volumes;
}

async function findLabels(predictionFolder: string, labelFolder: string): Promise<Labels> {
  for (const folder of [predictionFolder, labelFolder, dirname(resolve(labelFolder))]) {
    const file = join(folder, 'dataset.json');
    const json = (await exists(file)) ? parseDatasetJson(await read(file), file) : undefined;
    if (!json?.labels) continue;
    const map = new Map(Object.entries(json.labels_map ?? {}).map(([from, to]) => [Number(from), to]));
    const names = new Map(parseLabels(json.labels, file).map(({ value, name }) => [value, name]));
    return { names, complete: true, map };
  }
  return { names: new Map([[0, '']]), complete: false, map: new Map() };
}

/** Everything wrong with the files of the pairs; adds to `labels` what the references hold where nothing states it. */
async function checkPairs(pairs: readonly Pair[], labels: Labels): Promise<string[]> {
  const problems: string[] = [];
  const predictedValues = new Map<string, number[]>();
  for (const { prediction, reference } of pairs) {
    const predicted = await attempt(problems, () => readLabels(prediction));
    const referenced = await attempt(problems, () => readLabels(reference));
    if (predicted) predictedValues.set(prediction, valuesOf(predicted, prediction, problems));
    if (referenced) {
      const values = valuesOf(referenced, reference, problems).map((value) => labels.map.get(value) ?? value);
      const outside = values.filter((value) => !labels.names.has(value));
      if (!labels.complete) for (const value of outside) labels.names.set(value, '');
      else if (outside.length > 0) problems.push(unknownLabels(reference, outside, labels));
    }
    if (!predicted || !referenced) continue;
    const difference = geometryDifference(predicted, referenced);
    if (difference) {
      problems.push(
        `${prediction} does not lie on the voxels of ${reference}: ${difference}; predict from the image that the reference was drawn on, or resample it`,
      );
    }
    if (!labels.complete) await addStatedNames(prediction, labels);
  }
  for (const [prediction, values] of predictedValues) {
    const outside = values.filter((value) => !labels.names.has(value));
    if (outside.length > 0) problems.push(unknownLabels(prediction, outside, labels));
  }
  return problems;
}

/** Adds the labels that a prediction's own header names. */
async function addStatedNames(prediction: string, labels: Labels): Promise<void> {
  const { labelNames = {} } = await readNiftiHeader(await read(prediction), prediction);
  for (const [value, name] of Object.entries(labelNames)) labels.names.set(Number(value), name);
}

function valuesOf(volume: Volume, file: string, problems: string[]): number[] {
  const values = [...countValues(volume).keys()];
  if (values.length > MOST_VALUES) {
    const range = `${values.length} different values from ${values[0]} to ${values.at(-1)}`;
    problems.push(`${file} has ${range}, like an image and not like a label; check that it is in the right folder`);
    return [];
  }
  const odd = values.filter((value) => value < 0 || value > 65535);
  if (odd.length > 0) problems.push(`${file} has the label ${odd[0]}; use whole numbers from 0 to 65535`);
  return values.filter((value) => !odd.includes(value));
}

function unknownLabels(file: string, outside: readonly number[], { names, complete }: Labels): string {
  const known = [...names.keys()].sort((a, b) => a - b).join(', ');
  const source = complete ? `dataset.json names {${known}}` : `the references hold {${known}}`;
  const remedy = complete
    ? 'correct the file or dataset.json'
    : 'put a dataset.json that names it beside the references';
  return `${file} has the label ${outside.join(', ')} but ${source}; ${remedy}`;
}

async function readLabels(file: string): Promise<Volume> {
  return readNifti(await read(file), file, { role: 'label' });
}

function read(file: string): Promise<Uint8Array> {
  return directorySource(dirname(file)).read(basename(file));
}

/** The result, or undefined with the sentence of the failure noted. */
async function attempt<T>(problems: string[], action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action();
  } catch (failure) {
    if (!(failure instanceof ActionError)) throw failure;
    problems.push(failure.message);
    return undefined;
  }
}

function several(names: readonly string[]): string {
  const more = names.length - NAMED;
  const shown = names.slice(0, NAMED);
  return `${names.length === 1 ? '' : `${names.length} cases: `}${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function listed(problems: readonly string[]): string {
  return problems.length === 1
    ? problems[0]
    : `${problems.length} problems:\n${problems.map((p) => `  ${p}`).join('\n')}`;
}
