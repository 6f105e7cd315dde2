import * as assert from 'uvu/assert';
import { klDivergence } from '../../engine/ops/kl_divergence.ts';
import { Recording } from '../../engine/recording.ts';
import { cases, readFixture } from '../fixtures/torch/fixture.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { type Dense, dense, random } from '../reference/dense.ts';
import { klDivergenceGrad, klDivergence as klReference } from '../reference/kl_divergence.ts';
import { scale } from '../reference/scale.ts';

const scalar = (value: number): Dense => dense([1], [value]);

function check(name: string, student: Dense, teacher: Dense, studentTemperature: number, teacherTemperature: number) {
  const temperatures = [teacherTemperature, studentTemperature] as const;
  gpuTest(`kl_divergence ${name}, temperatures ${studentTemperature} and ${teacherTemperature}`, (device) =>
    checkOp(device, 'kl_divergence', {
      inputs: { student },
      op: (rec, t) =>
        klDivergence(rec, t.student, upload(device, teacher, 'teacher'), { studentTemperature, teacherTemperature }),
      expected: scalar(klReference(teacher, student, ...temperatures)),
      gradients: (dy) => ({ student: scale(klDivergenceGrad(teacher, student, ...temperatures), dy.data[0]) }),
      tolerance: { absolute: 2e-6 },
      // An exponential of a logit of size 20 (cosine over temperature) carries that many float32 roundings.
      gradientTolerance: { absolute: 1e-9, terms: 128 },
    }),
  );
}

for (const shape of [
  [2, 36],
  [1400, 36],
  [7, 3],
  [1, 4],
  [2, 3, 2, 3, 2],
  [3, 513],
]) {
  check(`[${shape}]`, random(shape, 1), random(shape, 2), 0.1, 0.05);
  check(`[${shape}]`, random(shape, 3), random(shape, 4), 1, 1);
}
check('of equal distributions is zero', random([5, 6], 5), random([5, 6], 5), 0.1, 0.1);
check('of a certain teacher', random([2, 5], 6), dense([2, 5], [500, 0, 0, 0, 0, 0, 0, -700, 900, 0]), 0.1, 0.01);

for (const fixture of cases(readFixture('ops'), 'kl_divergence')) {
  const { temperatureS: studentTemperature, temperatureT: teacherTemperature } = fixture.options;
  gpuTest(`${fixture.name} equals PyTorch, both ways`, (device) =>
    checkOp(device, fixture.name, {
      inputs: { x: fixture.get('student') },
      op: (rec, t) => {
        const teacher = upload(device, fixture.get('teacher'), 'teacher');
        return klDivergence(rec, t.x, teacher, { studentTemperature, teacherTemperature });
      },
      expected: scalar(fixture.get('y').data[0]),
      gradients: (dy) => ({ x: scale(fixture.get('dstudent'), dy.data[0] / fixture.get('dy').data[0]) }),
      tolerance: { terms: 64 },
    }),
  );
}

gpuTest('unequal shapes and a temperature of zero are errors that show both', async (device) => {
  const rec = new Recording(device, 'errors');
  const [s, t] = [device.tensor([2, 3], 'queries'), device.tensor([2, 4], 'keys')];
  assert.throws(() => klDivergence(rec, s, s, { teacherTemperature: 0 }), /1 \(student\) and 0 \(teacher\)/);
  assert.throws(() => klDivergence(rec, s, t), /queries.*\[2, 3\].*keys.*\[2, 4\]/);
});

run();
