/**
 * Every method on the hippocampus volumes, beside PyTorch's numbers: trained on 1, 2 and 4 labelled cases with five seeds, scored
 * on the same 40 test cases by the command line's own verbs, and put into the tables of bench/results.md.
 *
 *   npx tsx bench/hippocampus.ts [--data ../shared/data/hippocampus] [--runs runs/hippocampus] [--recipe reference|quick|best]
 *       [--methods supervised,action,ablations] [--labels 1,2,4] [--seeds 5 or 3-4] [--gpu auto] [--budget-hours H] [--report] [--select]
 *
 * Can be stopped (Ctrl-C) and started again: finished parts are kept, and the tables show what there is. --report only prints
 * them. --select scores on validation cases cut from the training list instead: constants are chosen there, never on test cases.
 */
import { Command, InvalidArgumentError } from 'commander';
import { number, oneOf, whole } from '../runner/commands/arguments.ts';
import { reportFailure } from '../runner/commands/failure.ts';
import { exit } from '../runner/host/node.ts';
import { benchmark, report } from './hippocampus/benchmark.ts';
import { METHOD_NAMES, type MethodName } from './hippocampus/methods.ts';
import { RECIPES, type RecipeName, withSteps } from './hippocampus/recipes.ts';

const ABLATIONS = METHOD_NAMES.filter((name) => name.startsWith('action-without-'));
const MAIN = METHOD_NAMES.filter((name) => !ABLATIONS.includes(name));

const command = new Command('hippocampus')
  .option('--data <folder>', 'the volumes', '../shared/data/hippocampus')
  .option('--runs <folder>', 'where runs are kept, in a folder for each recipe', 'runs/hippocampus')
  .option('--recipe <name>', Object.keys(RECIPES).join(' or '), oneOf(...Object.keys(RECIPES)), 'reference')
  .option('--methods <names>', `of ${MAIN.join(', ')}, ablations, ${ABLATIONS.join(', ')}`, methods, METHOD_NAMES)
  .option('--labels <numbers>', 'labelled cases', list, [1, 2, 4])
  .option(
    '--seeds <n or a-b>',
    'seeds 0 to below n, or those from a to b (so that two machines can share them)',
    seeds,
    seeds('5'),
  )
  .option('--steps <n>', 'another length of the schedules, for a trial: give --runs too', whole(1))
  .option('--gpu <adapter>', 'as for action3d train', 'auto')
  .option('--budget-hours <h>', 'start no job after this long', number(0), Infinity)
  .option('--report', 'only print the tables of what has finished', false)
  .option('--select', 'score on validation cases', false)
  .exitOverride();

function methods(text: string): readonly MethodName[] {
  const words = text.split(',').flatMap((word) => (word.trim() === 'ablations' ? ABLATIONS : [word.trim()]));
  const unknown = words.find((word) => !METHOD_NAMES.some((name) => name === word));
  if (unknown === undefined) return words as MethodName[];
  throw new InvalidArgumentError(`${unknown} is not one of ${[...MAIN, 'ablations', ...ABLATIONS].join(', ')}.`);
}

function seeds(text: string): number[] {
  const range = /^(\d+)-(\d+)$/.exec(text);
  const [first, last] = range ? [Number(range[1]), Number(range[2])] : [0, whole(1)(text) - 1];
  if (last < first)
    throw new InvalidArgumentError(`The last seed of ${text} comes before the first; give ${last}-${first}.`);
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

function list(text: string): number[] {
  return text.split(',').map((word) => whole(1)(word.trim()));
}

async function main(): Promise<number> {
  const { recipe: name, steps, report: only, ...rest } = command.parse().opts();
  const constants = RECIPES[name as RecipeName];
  const options = {
    ...rest,
    recipe: { name, constants: steps ? withSteps(constants, steps) : constants },
  } as Parameters<typeof benchmark>[0];
  const code = only ? 0 : await benchmark(options);
  process.stdout.write(`${await report(options)}\n`);
  return code;
}

await exit(await main().catch((failure) => reportFailure(failure, { json: false, debug: false, color: false })));
