#!/usr/bin/env node
/** `action3d VERB`: the program around the table of verbs in commands/verbs.ts. */
import { Command, Option } from 'commander';
import { errorPrefix, reportFailure } from './commands/failure.ts';
import { type Flag, GLOBAL_FLAGS, VERBS, type Verb } from './commands/verbs.ts';
import { writeFailure } from './host/files.ts';
import { exit } from './host/node.ts';
import { ownVersion } from './host/packages.ts';

const words = process.argv.slice(2);
const failureOptions = {
  json: words.includes('--json'),
  debug: words.includes('--debug'),
  color: Boolean(process.stderr.isTTY) && !words.includes('--no-color') && !process.env.NO_COLOR,
};

/** Told when a verb is done. */
let exitCode = 0;

function addFlags(command: Command, flags: readonly Flag[]): Option[] {
  return flags.map(([text, description, parse]) => {
    const option = new Option(text, description);
    if (parse) option.argParser(parse as (word: string, before: unknown) => unknown);
    command.addOption(option);
    return option;
  });
}

function addVerb(program: Command, { usage, summary, details, flags, required = [], examples, run }: Verb): void {
  const command = program
    .command(usage)
    .summary(summary)
    .description(details ?? summary);
  const needed = addFlags(command, required);
  addFlags(command, flags);
  command
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError(`(action3d ${command.name()} --help lists its options)`)
    .addHelpText('after', `\nExamples:\n${examples.map((line) => `  $ action3d ${line}`).join('\n')}`)
    .action(async () => {
      const options = command.optsWithGlobals();
      // Not commander's mandatory options: it asks for them before it looks at a misspelt one.
      const missing = needed.find((option) => options[option.attributeName()] === undefined);
      if (missing) command.error(`error: option '${missing.flags}' is needed: ${missing.description}`);
      // An empty path would mean the current folder.
      const empty = command.args.includes('') || Object.values(options).flat().includes('');
      if (empty) command.error('error: an argument is empty; give it a value (is a variable of the shell not set?)');
      exitCode = (await run(command.processedArgs, options)) ?? 0;
    });
}

function createProgram(): Command {
  const version = ownVersion() ?? 'unknown';
  const program = new Command('action3d')
    .description('Semi-supervised 3D segmentation of medical volumes on any WebGPU-capable GPU.')
    .version(failureOptions.json ? JSON.stringify({ version }, null, 2) : version)
    .exitOverride()
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, errorPrefix(failureOptions.color))),
    })
    .showHelpAfterError('(action3d --help lists the verbs)')
    .helpCommand(false)
    .addHelpText(
      'after',
      '\naction3d VERB --help tells more about a verb. Numbers along axes are always in the order z,y,x.',
    );
  addFlags(program, GLOBAL_FLAGS);
  for (const verb of VERBS) addVerb(program, verb);
  return program;
}

/** A reader that has seen enough (`| head`) is no failure; a full disk behind `> file` is. */
function outputFailed(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0);
  process.exit(reportFailure(writeFailure('standard output', error), { ...failureOptions, json: false }));
}

process.stdout.once('error', outputFailed);
// Where nothing can be told, the exit code tells.
process.stderr.on('error', () => undefined);
process.once('uncaughtException', (failure) => exit(reportFailure(failure, failureOptions)));

try {
  await createProgram().parseAsync();
} catch (failure) {
  exitCode = reportFailure(failure, failureOptions);
}
await exit(exitCode);
