/** What tuning found, in a page. test/browser.test.ts runs this in Chromium. */
import * as assert from 'uvu/assert';
import { tuningEntry } from '../../runner/host/indexed_db.ts';
import { gpuTest, run } from '../harness.ts';
import { fakeIndexedDb } from './fake_indexed_db.ts';
import { IDENTITY, oneProblem, opened, PLAIN, recordOf } from './parts.ts';

gpuTest('a page keeps the same in IndexedDB, each adapter for itself', async (device) => {
  // The page's own where this runs in one.
  const factory = globalThis.indexedDB ?? fakeIndexedDb();
  const record = recordOf(device, oneProblem(device), PLAIN, 'other');
  const entry = () => tuningEntry(IDENTITY, factory);
  assert.is(await entry().read(), undefined);
  const keys = ['a', 'b', 'c'];
  await Promise.all(keys.map(async (key) => (await opened(device, entry())).tuning.add([{ ...record, key }])));
  const { tuning, warnings } = await opened(device, entry());
  assert.equal(
    [
      warnings,
      tuning
        .chosen()
        .map(({ key }) => key)
        .sort(),
    ],
    [[], keys],
  );
  assert.is(await tuningEntry({ ...IDENTITY, webgpu: 'Chrome/144' }, factory).read(), undefined);
  assert.equal([await entry().clear(), await entry().clear(), await entry().read()], [true, false, undefined]);

  const forbidden = tuningEntry(IDENTITY, fakeIndexedDb({ forbidden: true }));
  const refused = await opened(device, forbidden);
  assert.match(
    refused.warnings[0],
    /^the browser's database 'action3d' cannot be read \(storage is off\) and is ignored/,
  );
});

run();
