import { UsageError } from '../errors.ts';
import type { StageSchedule } from '../nn/schedule.ts';
import { ceilDiv, triple } from '../shape.ts';
import type { ActionOptions, DistillationOptions } from './options.ts';
import { isTemperature, TEMPERATURE } from './temperature.ts';

/**
 * Everything in the options that would make stage 1 undefined or empty, found before anything is allocated. Errors:
 * UsageError listing all of it.
 */
export function checkStage1(options: ActionOptions): void {
  const { stage1a, stage1b, global, local } = options;
  const batch1b = stage1b.labelledBatch + stage1b.unlabelledBatch;
  const problems = [
    ...wrong('teacher.m', options.teacher.m, (m) => m >= 0 && m <= 1, 'from 0 to 1'),
    ...schedule('stage1a', stage1a),
    ...schedule('stage1b', stage1b),
    ...wrong('stage1a.batch', stage1a.batch, isCount, COUNT),
    ...wrong('stage1b.labelledBatch', stage1b.labelledBatch, isCount, COUNT),
    ...wrong('stage1b.unlabelledBatch', stage1b.unlabelledBatch, isNatural, 'an integer of 0 or more'),
    ...wrong('global.weight', global.weight, isWeight, '0 or more'),
    ...wrong('local.weight', local.weight, isWeight, '0 or more'),
  ];
  if (stage1a.steps > 0) problems.push(...bank('global', global, 'stage1a', stage1a.steps, stage1a.batch));
  if (stage1a.steps > 0 || global.weight > 0) {
    problems.push(...temperatures('global', global));
    problems.push(
      ...wrong('global.hidden', global.hidden, isCount, COUNT),
      ...wrong('global.d', global.d, isCount, COUNT),
    );
    problems.push(...triple(global.bins).flatMap((n) => wrong('global.bins', n, isCount, COUNT)));
  }
  if (local.weight > 0) {
    problems.push(...temperatures('local', local));
    for (const name of ['pool', 'window', 'stride'] as const)
      problems.push(...triple(local[name]).flatMap((n) => wrong(`local.${name}`, n, isCount, COUNT)));
  }
  if (stage1b.steps > 0 && global.weight > 0)
    problems.push(...bank('global', global, 'stage1b', stage1b.steps, batch1b));
  if (stage1b.steps > 0 && local.weight > 0) problems.push(...bank('local', local, 'stage1b', stage1b.steps, batch1b));
  if (problems.length > 0) throw new UsageError(`stage 1 cannot run: ${[...new Set(problems)].join('; ')}`);
}

const COUNT = 'an integer of 1 or more';
const isCount = (n: number) => Number.isInteger(n) && n >= 1;
const isNatural = (n: number) => Number.isInteger(n) && n >= 0;
const isWeight = (n: number) => Number.isFinite(n) && n >= 0;

function wrong(name: string, value: number, ok: (value: number) => boolean, wanted: string): string[] {
  return ok(value) ? [] : [`${name} is ${value} but must be ${wanted}`];
}

function schedule(stage: string, s: StageSchedule): string[] {
  return [
    ...wrong(`${stage}.steps`, s.steps, isNatural, 'an integer of 0 or more'),
    ...wrong(`${stage}.rate`, s.rate, (rate) => Number.isFinite(rate) && rate > 0, 'above 0'),
    ...wrong(`${stage}.power`, s.power, isWeight, '0 or more'),
    ...wrong(`${stage}.warmUp`, s.warmUp, isWeight, '0 or more'),
    ...wrong(`${stage}.momentum`, s.momentum, (m) => m >= 0 && m < 1, 'at least 0 and below 1'),
    ...wrong(`${stage}.weightDecay`, s.weightDecay, isWeight, '0 or more'),
    ...wrong(`${stage}.clip`, s.clip, isWeight, '0 (never) or more'),
  ];
}

function temperatures(part: string, { tauS, tauT }: DistillationOptions): string[] {
  return [
    ...wrong(`${part}.tauS`, tauS, isTemperature, TEMPERATURE),
    ...wrong(`${part}.tauT`, tauT, isTemperature, TEMPERATURE),
  ];
}

function bank(
  part: string,
  { K, bankStart }: DistillationOptions,
  stage: string,
  steps: number,
  batch: number,
): string[] {
  if (!Number.isInteger(K) || K < 2)
    return [`${part}.K is ${K} but must be an integer of 2 or more (the loss compares rows)`];
  if (K < batch)
    return [`${part}.K is ${K} but ${stage} makes ${batch} keys a step; the bank must hold at least one batch`];
  if (bankStart === 'gaussian' || ceilDiv(K, batch) < steps) return [];
  return [
    `${part}.K is ${K} but ${stage} sees only ${steps * batch} patches (${steps} steps of ${batch}), so the bank would never be full and nothing be learned; use a smaller ${part}.K, more steps, or ${part}.bankStart 'gaussian'`,
  ];
}
