/** Every random op of a recorded training step draws from a stream of its own, within its block (runner/data/augment_streams.ts). */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { STAGE2_STREAMS } from '../../engine/action/stage2.ts';
import { CPS_DROPOUT_STREAMS } from '../../engine/baselines/cps.ts';
import { MEAN_TEACHER_DROPOUT_STREAMS } from '../../engine/baselines/mean_teacher.ts';
import { uaMtStreams } from '../../engine/baselines/ua_mt.ts';
import { Device } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import { Recording } from '../../engine/recording.ts';
import { NOISE_STREAMS, STREAM_BLOCK } from '../../runner/data/augment_streams.ts';
import { type TrainConfigInput, trainConfig } from '../../runner/train/config.ts';
import { stagesOf } from '../../runner/train/methods.ts';
import { LIMITS } from '../dry_limits.ts';
import { tinyTrainer } from './tiny_stages.ts';

/** Streams that the forward ops of each recorded program of a run draw from, in rising order. */
async function streamsOf(input: TrainConfigInput): Promise<number[][]> {
  const config = trainConfig({
    ...{ steps: 1200, patch: [8, 16, 16], network: { channels: [4, 8], dropout: 0.2 } },
    ...{ augmentation: { weak: 0.5 }, ...input },
  });
  const programs = new Map<Recording, number[]>();
  const { dispatch } = Recording.prototype;
  Recording.prototype.dispatch = function (kernel, tensors, params, work) {
    // Dropout's backward pass repeats the mask; what it writes is called otherwise.
    const forward = !kernel.name.startsWith('dropout') || tensors.y.label === 'dropout';
    if (tensors.counters && forward) programs.set(this, [...(programs.get(this) ?? []), params.stream]);
    return dispatch.call(this, kernel, tensors, params, work);
  };
  try {
    for (const stage of stagesOf(config)) (await tinyTrainer(new Device(dryGpu(LIMITS), {}), stage)).destroy();
  } finally {
    Recording.prototype.dispatch = dispatch;
  }
  return [...programs.values()].map((streams) => streams.sort((a, b) => a - b));
}

const { labelled, teacher, student, teacherLabelled, method } = NOISE_STREAMS;
const several = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i);
const dropout = (count: number) => several(student + 1, count);

const passes = 13; // the most that trainConfig takes
const action = { global: { bins: 2 }, local: { pool: 1, window: 4, stride: 4 } } as const;
const DRAWS = several(method, STAGE2_STREAMS);
const STAGE1 = [
  [teacher],
  [teacher, student, ...dropout(1)],
  [labelled, teacher, student, ...dropout(1), teacherLabelled],
];
const stage2 = (dropouts: number) => [labelled, teacher, student, ...dropout(dropouts), ...DRAWS];

/** What a run is, and the streams of its programs: 1a while its bank fills, 1a, 1b, 2. */
const CASES: Record<string, [TrainConfigInput, number[][]]> = {
  supervised: [{ method: 'supervised' }, [[labelled, ...dropout(1)]]],
  'Mean Teacher': [
    { method: 'mean-teacher' },
    [[labelled, teacher, student, ...dropout(MEAN_TEACHER_DROPOUT_STREAMS)]],
  ],
  'UA-MT': [
    { method: 'ua-mt', uaMt: { passes } },
    [
      [
        ...[labelled, teacher, student, ...dropout(uaMtStreams({ passes }).dropout)],
        ...several(method, uaMtStreams({ passes }).noise),
      ],
    ],
  ],
  CPS: [{ method: 'cps' }, [[labelled, teacher, student, ...dropout(CPS_DROPOUT_STREAMS)]]],
  ACTION: [{ method: 'action', action }, [...STAGE1, stage2(1)]],
  'ACTION as published': [{ method: 'action', preset: 'paper', action }, [...STAGE1, stage2(2)]],
  'ACTION, mixed with labelled patches': [
    { method: 'action', action: { ...action, stages: ['2'], stage2: { partner: 'labelled', passes: 'separate' } } },
    [stage2(2)],
  ],
};

for (const [name, [input, expected]] of Object.entries(CASES)) {
  test(`${name}: no two random ops of a step share a stream, and streams are those that the engine says`, async () => {
    const found = await streamsOf(input);
    assert.equal(found, expected);
    for (const streams of found) {
      assert.is(new Set(streams).size, streams.length);
      for (const stream of streams) {
        assert.is(
          Object.values(NOISE_STREAMS).filter((first) => stream >= first && stream < first + STREAM_BLOCK).length,
          1,
        );
      }
    }
  });
}

test.run();
