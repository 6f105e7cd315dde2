import { UsageError } from '../errors.ts';
import type { BaselineOptions, CpsOptions, MeanTeacherOptions, UaMtOptions } from './options.ts';

/** Each finds all that would make its method undefined before anything is allocated. Errors: UsageError listing all of it. */
export function checkMeanTeacher(options: MeanTeacherOptions): void {
  refuse('Mean Teacher', [...common(options), ...teacher(options)]);
}

export function checkUaMt(options: UaMtOptions): void {
  refuse('UA-MT', [
    ...common(options),
    ...teacher(options),
    ...wrong('passes', options.passes, isCount, COUNT),
    ...wrong('noise', options.noise, isAmount, '0 (none) or more'),
    ...wrong('noiseLimit', options.noiseLimit, isAmount, '0 (no noise) or more'),
    ...wrong('threshold', options.threshold, isShare, 'from 0 to 1, a share of the largest entropy'),
  ]);
}

export function checkCps(options: CpsOptions): void {
  refuse('CPS', common(options));
}

const COUNT = 'an integer of 1 or more';
const isCount = (n: number) => Number.isInteger(n) && n >= 1;
const isAmount = (n: number) => Number.isFinite(n) && n >= 0;
const isShare = (n: number) => n >= 0 && n <= 1;

function wrong(name: string, value: number, ok: (value: number) => boolean, wanted: string): string[] {
  return ok(value) ? [] : [`${name} is ${value} but must be ${wanted}`];
}

function common(o: BaselineOptions): string[] {
  const problems = [
    ...wrong('steps', o.steps, isCount, COUNT),
    ...wrong('rate', o.rate, (rate) => Number.isFinite(rate) && rate > 0, 'above 0'),
    ...wrong('power', o.power, isAmount, '0 or more'),
    ...wrong('warmUp', o.warmUp, isAmount, '0 or more'),
    ...wrong('weightDecay', o.weightDecay, isAmount, '0 or more'),
    ...wrong('clip', o.clip, isAmount, '0 (never) or more'),
    ...wrong('weight', o.weight, isAmount, '0 or more'),
    ...wrong('ramp', o.ramp, isShare, 'from 0 to 1, a share of the steps'),
  ];
  if (o.optimiser === 'adamw') return problems;
  problems.push(...wrong('momentum', o.momentum, (m) => m >= 0 && m < 1, 'at least 0 and below 1'));
  if (o.nesterov && o.momentum === 0) problems.push('nesterov is true, which needs a momentum above 0');
  return problems;
}

function teacher({ m }: MeanTeacherOptions): string[] {
  return wrong('m', m, isShare, 'from 0 to 1');
}

function refuse(method: string, problems: readonly string[]): void {
  if (problems.length > 0) throw new UsageError(`${method} cannot run: ${problems.join('; ')}`);
}
