import { UsageError } from '../errors.ts';
import { checkMixing } from './mix.ts';
import type { ActionOptions } from './options.ts';
import { checkHead } from './prototypes.ts';

/**
 * Everything in the options that would make stage 2 undefined, found before anything is allocated. Errors: UsageError listing
 * all of it, or naming the two options that contradict each other.
 */
export function checkStage2({ stage2: o, teacher }: ActionOptions): void {
  const problems = [
    ...wrong('teacher.m', teacher.m, (m) => m >= 0 && m <= 1, 'from 0 to 1'),
    ...count('labelledBatch', o.labelledBatch),
    ...count('unlabelledBatch', o.unlabelledBatch),
    ...wrong('stage2.steps', o.steps, (n) => Number.isInteger(n) && n >= 0, 'an integer of 0 or more'),
    ...wrong('stage2.rate', o.rate, (n) => Number.isFinite(n) && n > 0, 'above 0'),
    ...wrong('stage2.momentum', o.momentum, (n) => n >= 0 && n < 1, 'at least 0 and below 1'),
    ...wrong('stage2.weightDecay', o.weightDecay, isWeight, '0 or more'),
    ...wrong('stage2.clip', o.clip, isWeight, '0 (never) or more'),
    ...wrong('stage2.unsupWeight', o.unsupWeight, isWeight, '0 (left out) or more'),
    ...wrong('stage2.ancoWeight', o.ancoWeight, isWeight, '0 (left out) or more'),
    ...wrong('stage2.ramp', o.ramp, isShare, 'from 0 to 1, a share of the steps'),
    ...wrong('stage2.strongConfidence', o.strongConfidence, isShare, 'from 0 to 1'),
    ...wrong('stage2.weakConfidence', o.weakConfidence, isShare, 'from 0 to 1'),
  ];
  if (o.ancoWeight > 0) {
    problems.push(
      ...wrong('stage2.tau', o.tau, (n) => Number.isFinite(n) && n > 0, 'above 0 (similarities are divided by it)'),
      ...count('queries', o.queries),
      ...count('negatives', o.negatives),
      ...count('headHidden', o.headHidden),
      ...count('headChannels', o.headChannels),
    );
  }
  if (problems.length > 0) throw new UsageError(`stage 2 cannot run: ${problems.join('; ')}`);
  checkMixing(o.mixing, o.unlabelledBatch);
  if (o.ancoWeight > 0 && o.prototypes === 'exact') checkHead(o.head);
}

const isWeight = (n: number) => Number.isFinite(n) && n >= 0;
const isShare = (n: number) => n >= 0 && n <= 1;

function wrong(name: string, value: number, ok: (value: number) => boolean, wanted: string): string[] {
  return ok(value) ? [] : [`${name} is ${value} but must be ${wanted}`];
}

function count(name: string, value: number): string[] {
  return wrong(`stage2.${name}`, value, (n) => Number.isInteger(n) && n >= 1, 'an integer of 1 or more');
}
