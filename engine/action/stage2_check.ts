import { UsageError } from '../errors.ts';
import { checkMixing } from './mix.ts';
import type { ActionOptions, Stage2Options } from './options.ts';
import { checkHead } from './prototypes.ts';
import { isTemperature, TEMPERATURE } from './temperature.ts';

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
    ...wrong('stage2.cycles', o.cycles, (n) => Number.isInteger(n) && n >= 1, 'an integer of 1 or more'),
    ...wrong('stage2.rate', o.rate, (n) => Number.isFinite(n) && n > 0, 'above 0'),
    ...wrong('stage2.momentum', o.momentum, (n) => n >= 0 && n < 1, 'at least 0 and below 1'),
    ...wrong('stage2.weightDecay', o.weightDecay, isWeight, '0 or more'),
    ...wrong('stage2.clip', o.clip, isWeight, '0 (never) or more'),
    ...wrong('stage2.unsupWeight', o.unsupWeight, isWeight, '0 (left out) or more'),
    ...wrong('stage2.ancoWeight', o.ancoWeight, isWeight, '0 (left out) or more'),
    ...wrong('stage2.unlabelledVoxels', o.unlabelledVoxels, isWeight, '0 or more'),
    ...wrong('stage2.ramp', o.ramp, isShare, 'from 0 to 1, a share of the steps'),
    ...wrong('stage2.strongConfidence', o.strongConfidence, isShare, 'from 0 to 1'),
    ...wrong('stage2.weakConfidence', o.weakConfidence, isShare, 'from 0 to 1'),
  ];
  if (o.ancoWeight > 0) {
    problems.push(
      ...wrong('stage2.tau', o.tau, isTemperature, TEMPERATURE),
      ...count('queries', o.queries),
      ...count('negatives', o.negatives),
      ...count('headHidden', o.headHidden),
      ...count('headChannels', o.headChannels),
    );
  }
  if (problems.length > 0) throw new UsageError(`stage 2 cannot run: ${problems.join('; ')}`);
  checkMixing(o.mixing, o.unlabelledBatch, o.partner);
  checkPartner(o);
  if (o.ancoWeight > 0 && o.prototypes === 'exact') checkHead(o.head);
}

/** Errors: UsageError where labelled patches would be nowhere, or a weight without meaning. */
function checkPartner(o: Stage2Options): void {
  if (o.partner === 'unlabelled') {
    if (!o.supervisedBatch) {
      throw new UsageError(
        "stage2.supervisedBatch is false but mixed patches hold nothing labelled with stage2.partner 'unlabelled'; set stage2.supervisedBatch to true, or stage2.partner to 'labelled'",
      );
    }
    if (o.unlabelledVoxels !== 1) {
      throw new UsageError(
        `stage2.unlabelledVoxels is ${o.unlabelledVoxels} but mixed patches hold nothing labelled to weigh against with stage2.partner 'unlabelled'; set stage2.unlabelledVoxels to 1, or stage2.partner to 'labelled'`,
      );
    }
  }
  if (o.supervisedBatch) return;
  if (o.unsupWeight === 0) {
    throw new UsageError(
      'stage2.unsupWeight is 0 but is the weight of all that is labelled where stage2.supervisedBatch is false; set stage2.unsupWeight above 0, or stage2.supervisedBatch to true',
    );
  }
  if (o.labelledBatch > o.unlabelledBatch) {
    throw new UsageError(
      `stage2.labelledBatch is ${o.labelledBatch} but only ${o.unlabelledBatch} of them would be mixed, one with each unlabelled patch, and none seen otherwise as stage2.supervisedBatch is false; set stage2.labelledBatch to ${o.unlabelledBatch}, or stage2.supervisedBatch to true`,
    );
  }
}

const isWeight = (n: number) => Number.isFinite(n) && n >= 0;
const isShare = (n: number) => n >= 0 && n <= 1;

function wrong(name: string, value: number, ok: (value: number) => boolean, wanted: string): string[] {
  return ok(value) ? [] : [`${name} is ${value} but must be ${wanted}`];
}

function count(name: string, value: number): string[] {
  return wrong(`stage2.${name}`, value, (n) => Number.isInteger(n) && n >= 1, 'an integer of 1 or more');
}
