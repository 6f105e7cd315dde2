import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { UsageError } from '../../engine/errors.ts';
import { writeNifti } from '../data/nifti.ts';
import { MAX_CLASSES, phantom, STRUCTURES } from '../data/phantom.ts';
import { directorySource, exists, makeEmptyFolder, writeFileAtomic } from '../host/files.ts';

export interface SynthOptions {
  /** Training cases, labelled and unlabelled together. */
  readonly cases?: number;
  /** How many of them have a label. */
  readonly labelled?: number;
  /** Test cases, on top of the training cases; all have labels. */
  readonly test?: number;
  /** Voxels along an axis, on average. */
  readonly size?: number;
  /** Background included. */
  readonly classes?: number;
  readonly seed?: number;
  /** Replace a data set that `synth` made in the same folder. */
  readonly force?: boolean;
  readonly json?: boolean;
  /** Print nothing, unless `json`. */
  readonly quiet?: boolean;
}

const MARK = 'Anatomical phantoms made by action3d synth';
const FOLDERS = ['imagesTr', 'labelsTr', 'imagesUn', 'imagesTs', 'labelsTs'];
const PHANTOM_FILE = /^(images(Tr|Un|Ts)|labels(Tr|Ts))\/phantom_\d{4,5}(_0000)?\.nii\.gz$/;

/**
 * Writes a data set of anatomical phantoms in nnU-Net's layout with imagesUn/. The same options give the same files.
 *
 * @throws UsageError for numbers out of range and for a folder that holds anything else.
 */
export async function synth(directory: string, options: SynthOptions = {}): Promise<void> {
  const { cases = 24, labelled = 4, test = 8, size = 40, classes = 4, seed = 0 } = options;
  requireWhole('cases', cases, 1, 9999);
  requireWhole('labelled', labelled, 0, cases);
  requireWhole('test', test, 0, 9999);
  requireWhole('size', size, 16, 256);
  requireWhole('classes', classes, 2, MAX_CLASSES);
  requireWhole('seed', seed, 0, 2 ** 32 - 1);
  if (options.force) await removePhantoms(directory);
  await makeEmptyFolder(directory, (await replaceable(directory)) ? ', or --force to replace these phantoms' : '');
  for (let index = 0; index < cases + test; index++) {
    const id = `phantom_${String(index + 1).padStart(4, '0')}`;
    const { image, label, source } = phantom(seed, index, size, classes);
    const part = index >= cases ? 'Ts' : index >= labelled ? 'Un' : 'Tr';
    const bytes = await writeNifti(image, source, { description: `${MARK}, seed ${seed}` });
    await writeFileAtomic(join(directory, `images${part}`, `${id}_0000.nii.gz`), bytes);
    if (part === 'Un') continue;
    const labelNames = Object.fromEntries(labelList(classes).map(([name, value]) => [value, name]));
    const labelBytes = await writeNifti(label, source, { labelNames });
    await writeFileAtomic(join(directory, `labels${part}`, `${id}.nii.gz`), labelBytes);
  }
  const description = {
    name: 'Phantoms',
    description: `${MARK} --cases ${cases} --labelled ${labelled} --test ${test} --size ${size} --classes ${classes} --seed ${seed}`,
    channel_names: { 0: 'MRI' },
    labels: Object.fromEntries(labelList(classes)),
    numTraining: labelled,
    numTest: test,
    file_ending: '.nii.gz',
  };
  await writeFileAtomic(join(directory, 'dataset.json'), `${JSON.stringify(description, null, 2)}\n`);
  const summary = { directory, cases, labelled, unlabelled: cases - labelled, test, size, classes, seed };
  if (options.quiet && !options.json) return;
  process.stdout.write(
    options.json
      ? `${JSON.stringify(summary)}\n`
      : `${directory}: ${labelled} labelled, ${cases - labelled} unlabelled and ${test} test phantoms of about ${size}x${size}x${size} voxels with ${classes - 1} structures\n`,
  );
}

function labelList(classes: number): [string, number][] {
  return ['background', ...STRUCTURES.slice(0, classes - 1)].map((name, value) => [name, value]);
}

function requireWhole(name: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  throw new UsageError(`--${name} is ${value} but should be a whole number from ${low} to ${high}`);
}

/**
 * Removes what an earlier `synth` wrote, complete or cut off.
 *
 * @throws UsageError where the folder holds anything else; nothing is removed then
 */
async function removePhantoms(directory: string): Promise<void> {
  const problem = await notPhantoms(directory);
  if (problem) throw new UsageError(problem);
  for (const folder of FOLDERS) await rm(join(directory, folder), { recursive: true, force: true });
  await rm(join(directory, 'dataset.json'), { force: true });
}

/** Whether --force would help; a path that is no folder is for others to tell. */
async function replaceable(directory: string): Promise<boolean> {
  return (await notPhantoms(directory).catch(() => directory)) === undefined;
}

/** What keeps --force from replacing a folder, as a sentence; undefined where all in it is from an earlier `synth`. */
async function notPhantoms(directory: string): Promise<string | undefined> {
  if (!(await exists(directory))) return undefined;
  const source = directorySource(directory);
  const files = await source.list();
  const described = files.includes('dataset.json');
  if (described && !new TextDecoder().decode(await source.read('dataset.json')).includes(MARK)) {
    return `${directory} holds a data set that synth did not make, and --force will not remove it; give another folder`;
  }
  const other = files.find((file) => file !== 'dataset.json' && !PHANTOM_FILE.test(file));
  return (
    other &&
    `${join(directory, other)} is not from synth, and --force removes nothing but its phantoms; move it away or give another folder`
  );
}
