/** The program as people start it: whole outputs and exit codes, in a process of its own and a folder of its own. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CheckError, DataError, NoGpuError } from '../engine/errors.ts';
import { reportFailure } from '../runner/commands/failure.ts';
import { VERBS } from '../runner/commands/verbs.ts';
import { ownVersion } from '../runner/host/packages.ts';
import { image, inFolder, label, soundFiles, writeFiles } from './data/corpus.ts';

const PROGRAM = fileURLToPath(new URL('../runner/cli.ts', import.meta.url));

interface Ran {
  code: number | null;
  out: string;
  err: string;
}

function start(words: readonly string[], cwd = '.'): Promise<Ran> {
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), PROGRAM, ...words], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ran: Ran = { code: null, out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => {
    ran.out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    ran.err += text;
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ ...ran, code })));
}

const HELP = `Usage: action3d [options] [command]

Semi-supervised 3D segmentation of medical volumes on any WebGPU-capable GPU.

Options:
  -V, --version  output the version number
  --gpu <name>   adapter: auto, an index or part of a name that doctor lists,
                 llvmpipe, swiftshader (default: auto)
  --json         print one JSON value on stdout and nothing else there; a
                 failure is {"error": ...}
  --quiet        no progress and no notes, only results and problems
  --no-color     no colours on a terminal
  --debug        print the stack of a failure
  -h, --help     display help for command

Commands:
  doctor         tell what this machine offers and why
  synth          make a data set of anatomical phantoms
  check          read every file of a data set and report every problem
  plan           choose patch, network and spacing, predict memory and time
  train          train a network; continue when started again
  predict        segment volumes with a trained network
  evaluate       score predictions against labels
  demo           make phantoms, train, predict and compare, in minutes
  tune           find the fastest kernels for a network on this adapter
  bench          check and time kernels, training steps, prediction, or other
                 libraries beside ours

action3d VERB --help tells more about a verb. Numbers along axes are always in the order z,y,x.
`;

const EVALUATE_HELP = `Usage: action3d evaluate [options] <predictions> <labels>

Scores the predictions of a folder against the labels of the same names: Dice,
IoU, HD95, ASD, ASSD and volumes for each label, where a structure that only one
of the two shows scores worst.

Options:
  -o, --output <file>  write the summary as JSON, with the keys of nnU-Net's
                       summary.json
  --units <unit>       of distances: mm or voxel (default: mm)
  --partial            score the cases that have been predicted and leave the
                       other labels alone
  --min-dice <share>   exit with 8 where the foreground mean Dice is lower
  --force              replace the output file
  -h, --help           display help for command

Global Options:
  -V, --version        output the version number
  --gpu <name>         adapter: auto, an index or part of a name that doctor
                       lists, llvmpipe, swiftshader (default: auto)
  --json               print one JSON value on stdout and nothing else there; a
                       failure is {"error": ...}
  --quiet              no progress and no notes, only results and problems
  --no-color           no colours on a terminal
  --debug              print the stack of a failure

Examples:
  $ action3d evaluate predictions Task04_Hippocampus/labelsTs -o summary.json
  $ action3d evaluate predictions labels --units voxel --min-dice 0.8
`;

const NO_MODEL =
  'error: none/model.json does not exist, so there is no model; give the folder that action3d train wrote\n';

/** Words; exit code, stdout, stderr. */
const OUTPUTS: [string, number, string, string][] = [
  ['--help', 0, HELP, ''],
  ['', 2, '', HELP],
  ['--version', 0, `${ownVersion()}\n`, ''],
  ['--version --json', 0, `{\n  "version": "${ownVersion()}"\n}\n`, ''],
  ['evaluate --help', 0, EVALUATE_HELP, ''],
  ['trian data', 2, '', "error: unknown command 'trian'\n(Did you mean train?)\n(action3d --help lists the verbs)\n"],
  ['help', 2, '', "error: unknown command 'help'\n(action3d --help lists the verbs)\n"],
  [
    'predict run scans --ouput out',
    2,
    '',
    "error: unknown option '--ouput'\n(Did you mean --output?)\n(action3d predict --help lists its options)\n",
  ],
  [
    'predict run scans',
    2,
    '',
    "error: option '-o, --output <dir>' is needed: folder of the predictions\n(action3d predict --help lists its options)\n",
  ],
  ['check', 2, '', "error: missing required argument 'dataset'\n(action3d check --help lists its options)\n"],
  [
    'check a b',
    2,
    '',
    "error: too many arguments for 'check'. Expected 1 argument but got 2.\n(action3d check --help lists its options)\n",
  ],
  ['check none', 4, ' ERROR none does not exist; check the path\n1 error in 0 volumes\n', ''],
  ['predict none scans -o out', 4, '', NO_MODEL],
  ['evaluate none labels', 4, '', 'error: none does not exist; check the path\n'],
  ['train none -o run', 4, '', 'error: none does not exist; check the path\n'],
  ['plan none', 4, '', 'error: none does not exist; check the path\n'],
];

for (const [words, code, out, err] of OUTPUTS) {
  test(`action3d ${words}`, () =>
    inFolder(async (folder) => {
      const ran = await start(words.split(' ').filter(Boolean), folder);
      assert.is(ran.out, out);
      assert.is(ran.err, err);
      assert.is(ran.code, code);
    }));
}

/** A word that its flag does not take, and what is said of it. */
const WORDS: [string, string][] = [
  ['synth x --size big', "error: option '--size <n>' argument 'big' is invalid. Give a whole number from 1."],
  ['synth x --seed -1', "error: option '--seed <n>' argument '-1' is invalid. Give a whole number from 0."],
  ['plan x --patch 32,48', "argument '32,48' is invalid. Give three whole numbers along z,y,x, for example 32,48,32."],
  ['plan x --vram lots', "argument 'lots' is invalid. Give a size such as 6G or 512M."],
  ['train x -o y --max-hours soon', "argument 'soon' is invalid. Give a number from 0."],
  [
    'train x -o y --method best',
    "argument 'best' is invalid. Give one of supervised, mean-teacher, ua-mt, cps, action.",
  ],
  ['predict x y -o z --overlap 1', "argument '1' is invalid. Give a number from 0 to below 1."],
  ['evaluate x y --units inch', "argument 'inch' is invalid. Give one of mm, voxel."],
  ['evaluate x y --min-dice 80', "argument '80' is invalid. Give a number from 0 to 1."],
  ['demo --steps 0', "argument '0' is invalid. Give a whole number from 30."],
  ['bench kernels --max-regress 10', "argument '10' is invalid. Give a share such as 10% or 0.1."],
  ['bench step --channels 8,0', "argument '8,0' is invalid. Give whole numbers from 1, separated by commas."],
  ['bench speed', "error: bench has no subject 'speed'; give one of kernels, step, predict, peers"],
  ['bench step --ops norm', 'error: --ops means nothing to bench step; it is an option of bench kernels'],
  [
    'tune --method best',
    "argument 'best' is invalid. Give one or more of supervised, mean-teacher, ua-mt, cps, action, separated by commas.",
  ],
  ['tune --run x --batch 2', 'error: --batch and --run both say what to tune for; leave one of them out'],
  ['check ', 'error: an argument is empty; give it a value (is a variable of the shell not set?)'],
  ['synth x --seed ', "error: option '--seed <n>' argument '' is invalid. Give a whole number from 0."],
  ['predict x y -o ', 'error: an argument is empty; give it a value (is a variable of the shell not set?)'],
  ['synth x --size 3', 'error: --size is 3 but should be a whole number from 16 to 256'],
];

for (const [words, message] of WORDS) {
  test(`action3d ${words} is a wrong use`, () =>
    inFolder(async (folder) => {
      const ran = await start(words.split(' '), folder);
      assert.is(ran.out, '');
      assert.ok(ran.err.includes(`${message}\n`), ran.err);
      assert.is(ran.code, 2);
    }));
}

test('every verb has its help, with examples of itself', async () => {
  for (const { usage, examples, flags, required = [] } of VERBS) {
    const [verb] = usage.split(' ');
    const { code, out, err } = await start([verb, '--help']);
    assert.is(code, 0);
    assert.is(err, '');
    assert.ok(out.startsWith(`Usage: action3d ${verb} [options]`), out);
    for (const [text] of [...required, ...flags])
      assert.ok(out.includes(`  ${text} `), `${text} in the help of ${verb}`);
    assert.ok(examples.length > 0 && examples.every((line) => line.split(' ')[0] === verb));
    for (const line of examples) assert.ok(out.includes(`\n  $ action3d ${line}\n`), line);
  }
});

test('--json puts one value on stdout, before or after the verb, also for failures', () =>
  inFolder(async (folder) => {
    const unknown = await start(['--json', 'check', 'none', '--gup', '0'], folder);
    assert.is(unknown.code, 2);
    assert.equal(JSON.parse(unknown.out), {
      error: {
        type: 'UsageError',
        message: "unknown option '--gup'\n(Did you mean --gpu?)",
        hints: [],
        exitCode: 2,
      },
    });
    const data = await start(['evaluate', 'none', 'labels', '--json'], folder);
    assert.is(data.code, 4);
    assert.is(data.err, 'error: none does not exist; check the path\n');
    assert.equal(JSON.parse(data.out), {
      error: { type: 'DataError', message: 'none does not exist; check the path', hints: [], exitCode: 4 },
    });
    const silent = await start(['--json'], folder);
    assert.is(silent.code, 2);
    assert.is(JSON.parse(silent.out).error.message, 'no verb was given');
  }));

test('synth, check and evaluate do their work and refuse to replace it', () =>
  inFolder(async (folder) => {
    const words = 'synth set --cases 2 --labelled 1 --test 1 --size 16'.split(' ');
    const made = await start([...words, '--json'], folder);
    assert.is(made.code, 0);
    assert.equal(JSON.parse(made.out), {
      directory: 'set',
      cases: 2,
      labelled: 1,
      unlabelled: 1,
      test: 1,
      size: 16,
      classes: 4,
      seed: 0,
    });
    const again = await start(words, folder);
    assert.is(again.code, 2);
    assert.match(again.err, /^error: set is not empty \(it holds dataset\.json, /);
    const checked = await start(['check', 'set'], folder);
    assert.is(checked.code, 0);
    assert.match(checked.out, /^Phantoms \(nnunet\): 2 training cases \(1 labelled, 1 unlabelled\), 1 test case\n/);
    const scored = await start(['evaluate', 'set/labelsTs', 'set/labelsTs', '-o', 's.json', '--json'], folder);
    assert.is(scored.code, 0);
    assert.is(JSON.parse(scored.out).foreground_mean.Dice, 1);
    const replaced = await start(['evaluate', 'set/labelsTs', 'set/labelsTs', '-o', 's.json'], folder);
    assert.is(replaced.code, 2);
    assert.is(replaced.err, 'error: s.json exists already; give another place or --force to replace it\n');
    await writeFiles(folder, { 'demo/data/notes.txt': 'mine' });
    const demo = await start(['demo'], folder);
    assert.is(demo.code, 2);
    assert.is(
      demo.err,
      'error: demo/data/notes.txt is not from synth, and --force removes nothing but its phantoms; move it away or give another folder\n',
    );
  }));

test('a data set with errors: check tells all, train and plan stop before they ask for a GPU', () =>
  inFolder(async (folder) => {
    const files = await soundFiles();
    files['labelsTr/a.nii.gz'] = await label([0, 1, 9]);
    files['imagesTr/b_0000.nii.gz'] = (await image(2)).subarray(0, 100);
    await writeFiles(join(folder, 'set'), files);
    const checked = await start(['check', 'set', '--json'], folder);
    assert.is(checked.code, 4);
    const { errors, problems } = JSON.parse(checked.out);
    assert.is(errors, 2);
    assert.equal(problems.map(({ file }: { file: string }) => file).sort(), [
      'imagesTr/b_0000.nii.gz',
      'labelsTr/a.nii.gz',
    ]);
    files['dataset.json'] = '{"labels":';
    await writeFiles(join(folder, 'broken'), files);
    for (const words of [
      ['train', 'broken', '-o', 'run'],
      ['plan', 'broken'],
    ]) {
      const { code, out, err } = await start(words, folder);
      assert.is(code, 4);
      assert.is(out, '');
      assert.match(err, /^error: broken\/dataset\.json is not valid JSON .*\n$/);
    }
  }));

test('a check that fails leaves the value it is about as the only one on stdout', () =>
  inFolder(async (folder) => {
    await writeFiles(folder, {
      'labels/a.nii.gz': await label([0, 1]),
      'predictions/a.nii.gz': await label([1, 0]),
    });
    const ran = await start(['evaluate', 'predictions', 'labels', '--min-dice', '0.5', '--json'], folder);
    assert.is(ran.code, 8);
    assert.is(JSON.parse(ran.out).foreground_mean.Dice, 0);
    assert.is(ran.err, 'error: the foreground mean Dice 0.0000 is below the 0.5 asked for by --min-dice\n');
  }));

test('a full disk behind stdout is told once, and ends the program', async () => {
  if (!existsSync('/dev/full')) return console.log('There is no /dev/full here: nothing was tested.');
  const full = openSync('/dev/full', 'w');
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), PROGRAM, '--help'], {
    stdio: ['ignore', full, 'pipe'],
  });
  let err = '';
  child.stderr!.setEncoding('utf8').on('data', (text) => {
    err += text;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  closeSync(full);
  assert.is(code, 5);
  assert.is(
    err,
    'error: standard output cannot be written because the disk is full; free some space or give another place\n',
  );
});

test('doctor explains an adapter that is not there, and exits with 3', async () => {
  const { code, out } = await start(['doctor', '--gpu', 'abacus', '--json']);
  assert.is(code, 3);
  const { problem, exitCode } = JSON.parse(out);
  assert.is(exitCode, 3);
  assert.match(problem.message, /^There is no adapter "abacus" here; found: /);
});

/** What reportFailure prints. */
function reported(failure: unknown, options: { json?: boolean; debug?: boolean; color?: boolean } = {}): Ran {
  const ran: Ran = { code: null, out: '', err: '' };
  const writes = [process.stdout.write, process.stderr.write];
  const collect = (key: 'out' | 'err') =>
    ((text: string) => {
      ran[key] += text;
      return true;
    }) as typeof process.stdout.write;
  process.stdout.write = collect('out');
  process.stderr.write = collect('err');
  try {
    ran.code = reportFailure(failure, { json: false, debug: false, color: false, ...options });
  } finally {
    [process.stdout.write, process.stderr.write] = writes;
  }
  return ran;
}

test('a failure prints its sentence and hints; a stack only with --debug; a fault of ours asks for a report', () => {
  const gpu = new NoGpuError('No usable GPU was found.', ['install a driver', '  apt-get install it']);
  assert.equal(reported(gpu), {
    code: 3,
    out: '',
    err: 'error: No usable GPU was found.\n  install a driver\n    apt-get install it\n',
  });
  assert.equal(JSON.parse(reported(gpu, { json: true }).out).error.hints, gpu.hints);
  const fault = new TypeError('x is not a function');
  const { code, err } = reported(fault);
  assert.is(code, 1);
  assert.match(err, /^error: x is not a function\n {2}This is a fault of action3d\. Please report it .*--debug\.\n$/);
  const data = new DataError('a.nii is cut short', { cause: fault });
  assert.is(reported(data, { color: true }).err, '\u001b[31merror:\u001b[39m a.nii is cut short\n');
  assert.match(
    reported(data, { debug: true }).err,
    /\nDataError: a\.nii is cut short\n[\s\S]*caused by TypeError: x is not/,
  );
  assert.is(reported(new CheckError('too low'), { json: true }).out, '');
});

test.run();
