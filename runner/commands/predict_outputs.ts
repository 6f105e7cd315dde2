/** Where `predict` writes, and what it must not overwrite. */
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { UsageError } from '../../engine/errors.ts';
import { directorySource, exists } from '../host/files.ts';
import type { ModelCard } from '../predict/model.ts';
import type { InputCase } from './predict_inputs.ts';

export interface OutputOptions {
  readonly output: string;
  /** Replace predictions that are there. */
  readonly force?: boolean;
  /** Keep predictions that are there and make the others. */
  readonly continue?: boolean;
}

/** Tells a dataset.json that `predict` wrote from a data set's own. */
const MARK = 'Labels predicted by action3d';
/** Folders of a data set, whose images and hand-drawn labels nothing may replace. */
const DATASET_FOLDER = /^(images|labels)(Tr|Ts|Un)?$/;

export const labelFile = (output: string, { id }: InputCase) => join(output, `${id}.nii.gz`);

export const probabilityFile = (output: string, { id }: InputCase) =>
  join(output, 'probabilities', `${id}_probabilities.nii.gz`);

/**
 * The cases to predict, without those that `continue` keeps.
 *
 * @throws UsageError for `force` with `continue`, an output that is a file, and where a prediction would replace a file that is
 * there, unless `force` is set, or one of the inputs, or lie among them
 */
export async function placeOutputs(cases: readonly InputCase[], options: OutputOptions): Promise<InputCase[]> {
  const { output, force = false } = options;
  if (force && options.continue) {
    throw new UsageError('--force replaces predictions and --continue keeps them; leave one of the two out');
  }
  if ((await stat(output).catch(() => undefined))?.isDirectory() === false) {
    throw new UsageError(
      `${output} is a file where the folder of the predictions is needed; give another place with -o`,
    );
  }
  const inputs = new Set(cases.flatMap(({ files }) => files.map((file) => resolve(file))));
  const replaced = cases.find((item) => inputs.has(resolve(labelFile(output, item))));
  if (replaced) {
    throw new UsageError(
      `${labelFile(output, replaced)} is one of the inputs, and its prediction would replace it; give another folder with -o`,
    );
  }
  const place = await realpath(output).catch(() => undefined);
  for (const { files } of cases) {
    for (const file of files) {
      if (!place || (await realpath(dirname(file)).catch(() => undefined)) !== place) continue;
      throw new UsageError(
        `${output} is the folder of the input ${file}, and predictions there would be taken for images; give another folder with -o`,
      );
    }
  }
  if (force) return [...cases];
  const todo: InputCase[] = [];
  for (const item of cases) if (!(await exists(labelFile(output, item)))) todo.push(item);
  const there = cases.filter((item) => !todo.includes(item));
  if (there.length > 0 && !options.continue) {
    throw new UsageError(
      `${output} holds ${there.length} of these ${cases.length} predictions already, ${labelFile(output, there[0])} first; give another folder, --force to replace them, or --continue to keep them and make the others`,
    );
  }
  return todo;
}

/**
 * The dataset.json beside the predictions, from which `evaluate` takes the labels' names.
 *
 * @throws UsageError where the folder holds another one: of a data set, or of a model with other labels (unless `force`)
 */
export async function describeOutputs({ labels }: ModelCard, options: OutputOptions): Promise<string> {
  const { output, force = false } = options;
  const description = {
    description: MARK,
    labels: Object.fromEntries(labels.map(({ name, value }) => [name, value])),
    file_ending: '.nii.gz',
  };
  const text = `${JSON.stringify(description, null, 2)}\n`;
  const folder = resolve(output);
  if (DATASET_FOLDER.test(basename(folder)) && (await exists(join(dirname(folder), 'dataset.json')))) {
    throw new UsageError(
      `${output} belongs to the data set ${join(dirname(folder), 'dataset.json')}, and predictions do not belong there; give another folder with -o`,
    );
  }
  const file = join(output, 'dataset.json');
  if (!(await exists(file))) return text;
  const present = new TextDecoder().decode(await directorySource(output).read('dataset.json'));
  if (!present.includes(MARK)) {
    throw new UsageError(
      `${file} describes a data set, and predictions do not belong there; give another folder with -o`,
    );
  }
  if (present !== text && !force) {
    throw new UsageError(
      `${output} holds predictions with other labels (${file}); give another folder, or --force to replace them`,
    );
  }
  return text;
}
