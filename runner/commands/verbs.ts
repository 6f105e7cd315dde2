/**
 * The table of verbs. Each verb's work is a function in the file of its name, imported when the verb is used; the names of
 * its options are those of the flags (--max-hours is `maxHours`).
 */
import { PEER_NAMES } from '../bench/peers/protocol.ts';
import { KERNEL_OPS } from '../bench/shapes.ts';
import { METHODS, PRECISIONS } from '../train/config.ts';
import { ABLATION_NAMES, ACTION_STAGES, PRESET_NAMES } from '../train/config_action.ts';
import { bytes, countOrFile, counts, number, oneOf, repeated, share, someOf, voxels, whole } from './arguments.ts';

/** A flag as commander writes it, what it does, and how its word becomes a value. */
export type Flag = readonly [flags: string, description: string, parse?: (text: string, before: never) => unknown];

export interface Verb {
  /** Name and arguments, as commander writes them. */
  readonly usage: string;
  readonly summary: string;
  /** The help's introduction where the summary is not enough. */
  readonly details?: string;
  readonly flags: readonly Flag[];
  readonly required?: readonly Flag[];
  /** Without the program's name. */
  readonly examples: readonly string[];
  /** Arguments and options as commander and the flags' parsers give them. @returns the exit code, 0 for nothing */
  // biome-ignore lint/suspicious/noExplicitAny: every verb has its own types, which its function checks
  run(args: any[], options: any): Promise<number | undefined>;
}

export const GLOBAL_FLAGS: readonly Flag[] = [
  [
    '--gpu <name>',
    'adapter: auto, an index or part of a name that doctor lists, llvmpipe, swiftshader (default: auto)',
  ],
  ['--json', 'print one JSON value on stdout and nothing else there; a failure is {"error": ...}'],
  ['--quiet', 'no progress and no notes, only results and problems'],
  ['--no-color', 'no colours on a terminal'],
  ['--debug', 'print the stack of a failure'],
];

/** What `plan` and `train` are told, with the same meaning: `plan` forecasts the run that `train` would do. */
const CHOICES: readonly Flag[] = [
  [
    '--method <name>',
    `${METHODS.join(', ')} (default: action where there are unlabelled cases, else supervised)`,
    oneOf(...METHODS),
  ],
  ['--preset <name>', "ACTION's constants: small volumes, or as published (default: small)", oneOf(...PRESET_NAMES)],
  [
    '--precision <name>',
    'fp32, mixed: feature maps in half the memory, or matrix: float16 products on matrix units beside that (default: fp32)',
    oneOf(...PRECISIONS),
  ],
  ['--stage <names>', 'run only these stages of ACTION, for example 1a,1b or 2', someOf(...ACTION_STAGES)],
  ['--without <names>', `ablations of ACTION: any of ${ABLATION_NAMES.join(', ')}`, someOf(...ABLATION_NAMES)],
  ['--from <path>', 'start from the weights of a run folder, a checkpoint or a weights file'],
  ['--steps <n>', 'training steps, of all stages together', whole(1)],
  ['--seed <n>', 'what weights, patches and augmentation are drawn from (default: 0)', whole()],
  [
    '--labelled <k|file>',
    'the first k labelled cases, or those a file lists, one id a line (default: all)',
    countOrFile,
  ],
  [
    '--validation <k|file>',
    'labelled cases set aside to choose the best weights (default: a fifth from 5 on)',
    countOrFile,
  ],
  ['--patch <z,y,x>', 'voxels of a patch (default: from the data and the adapter)', voxels],
  ['--batch <n>', 'labelled patches a step, and as many unlabelled ones', whole(1)],
  ['--channels <n>', 'feature channels of the first level (default: by the adapter)', whole(1)],
  ['--levels <n>', 'resolution levels of the network (default: from the data)', whole(1)],
  ['--vram <size>', 'GPU memory to stay within, for example 6G (default: no limit, up to 1G of it for volumes)', bytes],
  ['--config <file>', 'JSON with options, as in the config.json of a run'],
  ['--set <key=value>', 'change one option, for example network.norm=group; may be repeated', repeated],
];

export const VERBS: readonly Verb[] = [
  {
    usage: 'doctor',
    summary: 'tell what this machine offers and why',
    details:
      'Lists the adapters with features and limits, the one that would be used and why, explains every refusal and how to fix it, and runs a self-test on the adapter.',
    flags: [],
    examples: ['doctor', 'doctor --gpu swiftshader', 'doctor --json > doctor.json'],
    run: async (_, options) => {
      const [{ doctor }, { selfTest }] = await Promise.all([import('./doctor.ts'), import('./self_test.ts')]);
      return doctor(options, selfTest);
    },
  },
  {
    usage: 'synth <dir>',
    summary: 'make a data set of anatomical phantoms',
    details:
      "Writes a data set of anatomical phantoms in nnU-Net's layout with imagesUn/: structures inside one another, of varying shape, spacing and orientation. The same options give the same files.",
    flags: [
      ['--cases <n>', 'training cases, labelled and unlabelled together (default: 24)', whole(1)],
      ['--labelled <n>', 'how many of them have a label (default: 4)', whole()],
      ['--test <n>', 'test cases, on top of the training cases (default: 8)', whole()],
      ['--size <n>', 'voxels along an axis, on average (default: 40)', whole(1)],
      ['--classes <n>', 'labels, background included (default: 4)', whole(1)],
      ['--seed <n>', 'what the phantoms are drawn from (default: 0)', whole()],
      ['--force', 'replace a data set that synth made in the same folder'],
    ],
    examples: ['synth phantoms', 'synth phantoms --cases 8 --labelled 2 --test 2 --size 32 --seed 7'],
    run: async ([dir], options) => {
      await (await import('./synth.ts')).synth(dir, options);
      return undefined;
    },
  },
  {
    usage: 'check <dataset>',
    summary: 'read every file of a data set and report every problem',
    details:
      'Reads every file of a data set once and reports every problem in a sentence. Exit code 4 when there are errors.',
    flags: [],
    examples: ['check Task04_Hippocampus', 'check Task04_Hippocampus --json'],
    run: async ([dataset], options) => (await import('./check.ts')).check(dataset, options),
  },
  {
    usage: 'plan <dataset>',
    summary: 'choose patch, network and spacing, predict memory and time',
    details:
      'Looks at sizes, spacings, orientations, intensities and class frequencies, chooses patch, network and spacing for the adapter, and predicts GPU bytes and the time of a step. Nothing is trained.',
    flags: CHOICES,
    examples: ['plan Task04_Hippocampus', 'plan Task04_Hippocampus --patch 32,48,32 --vram 2G --json'],
    run: async ([dataset], options) => (await import('./plan.ts')).plan(dataset, options),
  },
  {
    usage: 'train <dataset>',
    summary: 'train a network; continue when started again',
    details:
      'Trains a network into a run folder, with checkpoints and validation: ACTION in three stages on labelled and unlabelled cases, a baseline, or supervised on the labelled ones alone. Started again with the same options it continues where it stopped. Ctrl-C finishes the step, saves and exits with 75.',
    required: [['-o, --output <run>', 'folder of the run']],
    flags: [
      ...CHOICES,
      [
        '--memory <size>',
        'memory for prepared images, for example 16G; the others go into a file in the run folder (default: half of the machine)',
        bytes,
      ],
      ['--max-hours <h>', 'stop and save after so many hours, exit code 75', number(0)],
      ['--force', 'replace the run in the folder, and nothing else there'],
    ],
    examples: [
      'train Task04_Hippocampus -o runs/action --labelled 4',
      'train Task04_Hippocampus -o runs/supervised --labelled 4 --method supervised --steps 600',
      'train Task04_Hippocampus -o runs/stage2 --labelled 4 --stage 2 --from runs/action/checkpoints/1b.safetensors',
      'train phantoms -o runs/phantoms --method supervised --set optimiser.rate=0.1 --set network.norm=group',
    ],
    run: async ([dataset], options) => (await import('./train.ts')).train(dataset, options),
  },
  {
    usage: 'predict <run> <input...>',
    summary: 'segment volumes with a trained network',
    details:
      "Segments volumes window by window and writes DIR/CASE.nii.gz on each input's own voxels. An input is a file, a folder of files (CASE_0000.nii.gz, CASE_0001.nii.gz, ... are the channels of CASE), or a data set, whose test images are taken. An input that fails does not stop the others (exit code 4). Ctrl-C stops after the windows in flight (exit code 75).",
    required: [['-o, --output <dir>', 'folder of the predictions']],
    flags: [
      ['--overlap <share>', 'of a window that its neighbour covers too (default: 0.5)', number(0, 1, { below: true })],
      ['--tta', 'average over the 8 mirrorings, at 8 times the cost'],
      ['--probabilities', 'also write DIR/probabilities/CASE_probabilities.nii.gz, one float32 volume a class'],
      ['--batch <n>', 'windows in one pass of the network (default: 1)', whole(1)],
      ['--force', 'replace predictions that are there'],
      ['--continue', 'keep predictions that are there and make the others'],
    ],
    examples: [
      'predict runs/hippocampus Task04_Hippocampus/imagesTs -o predictions',
      'predict runs/hippocampus scan.nii.gz -o out --tta --probabilities',
    ],
    run: async ([run, inputs], options) => (await import('./predict.ts')).predict(run, inputs, options),
  },
  {
    usage: 'evaluate <predictions> <labels>',
    summary: 'score predictions against labels',
    details:
      'Scores the predictions of a folder against the labels of the same names: Dice, IoU, HD95, ASD, ASSD and volumes for each label, where a structure that only one of the two shows scores worst.',
    flags: [
      ['-o, --output <file>', "write the summary as JSON, with the keys of nnU-Net's summary.json"],
      ['--units <unit>', 'of distances: mm or voxel (default: mm)', oneOf('mm', 'voxel')],
      ['--partial', 'score the cases that have been predicted and leave the other labels alone'],
      ['--min-dice <share>', 'exit with 8 where the foreground mean Dice is lower', number(0, 1)],
      ['--force', 'replace the output file'],
    ],
    examples: [
      'evaluate predictions Task04_Hippocampus/labelsTs -o summary.json',
      'evaluate predictions labels --units voxel --min-dice 0.8',
    ],
    run: async ([predictions, labels], options) =>
      (await import('./evaluate.ts')).evaluate(predictions, labels, options),
  },
  {
    usage: 'demo [dir]',
    summary: 'make phantoms, train, predict and compare, in minutes',
    details:
      'Makes a small data set of phantoms in the folder (default: demo), trains on it supervised and with ACTION, predicts its test volumes with both, prints a table that compares them and the path of a picture.',
    flags: [
      ['--steps <n>', 'training steps of each method (default: 300)', whole(30)],
      ['--force', 'begin again where the folder holds an earlier demo'],
    ],
    examples: ['demo', 'demo /tmp/demo --gpu llvmpipe'],
    run: async ([dir], options) => (await import('./demo.ts')).demo(dir ?? 'demo', options),
  },
  {
    usage: 'tune',
    summary: 'find the fastest kernels for a network on this adapter',
    details:
      "Takes the convolutions of a network's training steps and of its prediction, checks every way to compute each against the usual one, times them, and keeps the fastest for this adapter: every verb takes them from then on, but a run goes on with those it was started with. Exit code 8 where a way is wrong. Ctrl-C keeps what was found until then (exit code 75).",
    flags: [
      ['--patch <z,y,x>', 'voxels of a patch (default: by the adapter, as in bench step)', voxels],
      ['--batch <n>', 'patches a step', whole(1)],
      ['--channels <list>', 'feature channels of each level, for example 8,16,32,64', counts],
      ['--method <names>', `only some of ${METHODS.join(', ')}`, someOf(...METHODS)],
      ['--precision <name>', `${PRECISIONS.join(', ')} (default: fp32)`, oneOf(...PRECISIONS)],
      ['--run <run>', 'the network and training of a run folder instead'],
      ['--force', 'time again what was timed before'],
      ['--clear', 'forget what was found on this adapter'],
    ],
    examples: [
      'tune',
      'tune --patch 32,48,32 --batch 2 --channels 8,16,32,64 --method supervised',
      'tune --run runs/hippocampus',
      'tune --clear',
    ],
    run: async (_, options) => (await import('./tune.ts')).tuneCommand(options),
  },
  {
    usage: 'bench <subject>',
    summary: 'check and time kernels, training steps, prediction, or other libraries beside ours',
    details:
      'kernels: checks every kernel against float64, then times it beside the peaks of an FMA loop and a copy in the same process. step: whole training steps of every method and stage on synthetic cases. predict: sliding-window prediction of a volume. peers: the same convolutions, U-Net and training step in other libraries that are installed, checked against ours. Sizes without options suit the adapter; on a software adapter they take about a minute, peers some more.',
    flags: [
      ['--ops <names>', `kernels: only some of ${KERNEL_OPS.join(', ')}`, someOf(...KERNEL_OPS)],
      ['--shapes <file>', 'kernels: JSON list of {op, name, input, out, kernel} to take instead'],
      ['--ways', 'kernels: convolutions by every way to compute them, not only by the one that is taken here'],
      ['--baseline <file>', 'kernels: compare with what --json printed earlier; exit with 8 where one is slower'],
      ['--max-regress <share>', 'kernels: by more than this share (default: 10%)', share],
      ['--method <names>', `step: only some of ${METHODS.join(', ')}`, someOf(...METHODS)],
      ['--precision <name>', `step, predict: ${PRECISIONS.join(', ')} (default: fp32)`, oneOf(...PRECISIONS)],
      ['--size <z,y,x>', 'predict: voxels of the volume', voxels],
      ['--peers <names>', `peers: only some of ${PEER_NAMES.join(', ')}`, someOf(...PEER_NAMES)],
      ['--python <path>', 'peers: the Python that has PyTorch (default: the first on the PATH that has it)'],
      ['--patch <z,y,x>', 'step, predict, peers: voxels of a patch or window', voxels],
      ['--batch <n>', 'step, predict, peers: patches a step, windows a pass', whole(1)],
      ['--channels <list>', 'step, predict, peers: feature channels of each level, for example 8,16,32,64', counts],
      ['--repeats <n>', 'samples of each time (default: by the adapter)', whole(1)],
    ],
    examples: [
      'bench kernels',
      'bench kernels --ops conv3d --ways',
      'bench kernels --ops conv3d,norm --json > baseline.json',
      'bench kernels --ops conv3d,norm --baseline baseline.json --max-regress 10%',
      'bench step --patch 32,48,32 --batch 2 --channels 8,16,32,64 --method supervised',
      'bench predict --size 128,256,256 --patch 80,112,112 --batch 2',
      'bench peers --peers jax-js,pytorch',
    ],
    run: async ([subject], options) => (await import('./bench.ts')).bench(subject, options),
  },
];
