/** The examples in the help of every verb are commands that can be given. */
import { Command, Option } from 'commander';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type SetupOptions, wantedConfig } from '../runner/commands/training_setup.ts';
import { GLOBAL_FLAGS, VERBS } from '../runner/commands/verbs.ts';
import { trainConfig } from '../runner/train/config.ts';

/** What the program makes of an example; what it would refuse is thrown. */
function parsed(verb: (typeof VERBS)[number], example: string): SetupOptions & Record<string, unknown> {
  const { usage, flags, required = [] } = verb;
  const program = new Command('action3d').exitOverride().configureOutput({ writeErr: () => undefined });
  const command = program.command(usage).action(() => undefined);
  for (const [text, description, parse] of [...GLOBAL_FLAGS, ...required, ...flags]) {
    const option = new Option(text, description);
    if (parse) option.argParser(parse as (word: string, before: unknown) => unknown);
    command.addOption(option);
  }
  const [words] = example.split(' > '); // the shell's
  program.parse(words.split(' '), { from: 'user' });
  const options = command.opts();
  const missing = required.find(([text]) => !(new Option(text).attributeName() in options));
  if (missing) throw new Error(`${missing[0]} is needed: ${example}`);
  return options;
}

for (const verb of VERBS) {
  for (const example of verb.examples) {
    test(example, async () => {
      const options = parsed(verb, example);
      if (!['train', 'plan'].includes(example.split(' ')[0])) return;
      const config = await wantedConfig(options);
      // The data of the examples have unlabelled cases, so that the method is this where none is named.
      trainConfig({ ...config, method: config.method ?? 'action' });
    });
  }
}

test('an example that is wrong would be found', () => {
  const [train] = VERBS.filter(({ usage }) => usage.startsWith('train '));
  assert.throws(() => parsed(train, 'train phantoms -o runs/a --methd action'), /unknown option/);
  assert.throws(() => parsed(train, 'train phantoms -o runs/a --steps many'), /whole number/);
  assert.throws(() => parsed(train, 'train phantoms'), /--output <run> is needed/);
});

test.run();
