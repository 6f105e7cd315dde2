import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { doctor, type SelfTest } from '../runner/commands/doctor.ts';
import { printed } from './captured.ts';

const gpu = process.env.ACTION3D_GPU;
const right: SelfTest = async ({ device }) => [{ name: 'limits', maxError: 0, ok: device.limits.maxBufferSize > 0 }];
const wrong: SelfTest = async () => [{ name: 'conv3d', maxError: 0.25, ok: false }];

test('--json prints one value that names the adapter a run takes', async () => {
  const { code, text } = await printed(() => doctor({ json: true, gpu }, right));
  const report = JSON.parse(text);
  assert.is(code, 0);
  assert.is(report.adapters[report.uses.index].name, report.uses.name);
  assert.ok(report.adapters[0].limits.maxStorageBufferBindingSize >= 2 ** 27);
  assert.equal(report.selfTest, [{ name: 'limits', maxError: 0, ok: true }]);
  assert.ok(report.disk.freeBytes > 0);
  assert.match(report.webgpu, /^\d+\.\d+/);
});

test('a failed self-test is exit 8', async () => {
  const { code, text } = await printed(() => doctor({ gpu }, wrong));
  assert.is(code, 8);
  assert.match(text, /self test conv3d {2}largest error 2\.5e-1 {2}WRONG/);
});

test('an adapter that is not there is exit 3, with every refusal and its way out', async () => {
  const { code, text } = await printed(() => doctor({ gpu: 'Voodoo 2' }, right));
  assert.is(code, 3);
  assert.match(text, /uses {6}nothing\. There is no adapter "Voodoo 2" here/);
  const report = JSON.parse((await printed(() => doctor({ json: true, gpu: 'Voodoo 2' }))).text);
  assert.is(report.uses, null);
  for (const { reason, fixes } of report.refusals) {
    assert.ok(text.includes(reason));
    for (const fix of fixes) assert.ok(text.includes(`-> ${fix}`));
  }
});

test.run();
