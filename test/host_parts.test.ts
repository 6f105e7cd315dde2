import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { withCachedFolder } from '../runner/host/cache.ts';
import { withShortSoname } from '../runner/host/egl.ts';
import { kindOf, requestFullDevice } from '../runner/host/opened_gpu.ts';
import { readTar } from '../runner/host/swiftshader.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** A ustar entry: header block, then the content padded to 512 bytes. */
function entry(name: string, content: string, type = '0'): Uint8Array {
  const blocks = new Uint8Array(512 + Math.ceil(content.length / 512) * 512);
  blocks.set(bytesOf(name), 0);
  blocks.set(bytesOf(content.length.toString(8).padStart(11, '0')), 124);
  blocks.set(bytesOf(type), 156);
  blocks.set(bytesOf(content), 512);
  return blocks;
}

const joined = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));

test('readTar finds files by base name and passes over folders', () => {
  const long = 'x'.repeat(513);
  const archive = joined(entry('lib/', '', '5'), entry('lib/a.so', long), entry('b.json', '{}'), new Uint8Array(1024));
  const files = readTar(archive);
  assert.equal([...files.keys()], ['a.so', 'b.json']);
  assert.is(new TextDecoder().decode(files.get('a.so')), long);
});

test('readTar refuses an archive that is cut off or damaged', () => {
  const whole = entry('a.so', 'x'.repeat(600));
  assert.throws(() => readTar(whole.subarray(0, 1024)), /damaged at byte 0/);
  whole.set(bytesOf('zzzzz'), 124);
  assert.throws(() => readTar(whole), /damaged/);
});

test('withShortSoname changes the name and nothing else', () => {
  const library = bytesOf('ELF..\0libGLdispatch.so.0\0libEGL.so.1\0eglGetDisplay\0');
  const short = new TextDecoder().decode(withShortSoname(library));
  assert.is(short, 'ELF..\0libGLdispatch.so.0\0libEGL.so\0\0\0eglGetDisplay\0');
  assert.is(library.length, short.length);
  assert.throws(() => withShortSoname(bytesOf('\0libEGL.so.2\0')), /exactly once/);
  assert.throws(() => withShortSoname(bytesOf('\0libEGL.so.1\0\0libEGL.so.1\0')), /exactly once/);
});

test('kindOf tells software adapters from hardware', () => {
  const kinds = {
    'NVIDIA H100 80GB HBM3': 'hardware',
    'AMD Radeon RX 7900 XTX (RADV NAVI31)': 'hardware',
    'Apple M1 Max': 'hardware',
    'llvmpipe (LLVM 15.0.6, 256 bits)': 'llvmpipe',
    'SwiftShader Device (Subzero)': 'swiftshader',
    'Microsoft Basic Render Driver': 'software',
  };
  for (const [name, kind] of Object.entries(kinds)) assert.is(kindOf(name), kind, name);
  assert.is(kindOf('Some CPU', true), 'software');
});

/** An adapter that refuses one of the limits it offers, as some drivers do. */
function adapterRefusing(message: string) {
  const asked: GPUDeviceDescriptor[] = [];
  const adapter = {
    limits: { maxBufferSize: 1e9, maxImmediateSize: 64 },
    features: new Set(['shader-f16', 'texture-compression-bc']),
    requestDevice: async (descriptor: GPUDeviceDescriptor) => {
      asked.push(structuredClone(descriptor));
      if ('maxImmediateSize' in (descriptor.requiredLimits ?? {})) throw new Error(message);
      return {} as GPUDevice;
    },
  };
  return { adapter: adapter as unknown as GPUAdapter, asked };
}

test('requestFullDevice drops a limit that is refused, says so, and asks only for features of use', async () => {
  const { adapter, asked } = adapterRefusing('Required limit (64) is greater\n - While validating maxImmediateSize');
  const notes: string[] = [];
  await requestFullDevice(adapter, notes);
  assert.equal(asked.at(-1), { requiredLimits: { maxBufferSize: 1e9 }, requiredFeatures: ['shader-f16'] });
  assert.is(notes.length, 1);
  assert.match(notes[0], 'maxImmediateSize = 64');
});

test('requestFullDevice passes on a failure that no limit explains', async () => {
  const { adapter } = adapterRefusing('the driver is gone');
  const error = await requestFullDevice(adapter, []).catch((e) => e);
  assert.is(error.message, 'the driver is gone');
});

if (process.platform === 'linux') {
  const inCache = async (body: (cache: string) => void) => {
    const before = process.env.XDG_CACHE_HOME;
    const cache = mkdtempSync(join(tmpdir(), 'action3d-test-'));
    process.env.XDG_CACHE_HOME = cache;
    try {
      body(cache);
    } finally {
      if (before === undefined) delete process.env.XDG_CACHE_HOME;
      else process.env.XDG_CACHE_HOME = before;
      rmSync(cache, { recursive: true });
    }
  };
  test('a cache that cannot be written is passed over for the temporary folder', () =>
    inCache((cache) => {
      process.env.XDG_CACHE_HOME = join(cache, 'a-file');
      writeFileSync(join(cache, 'a-file'), '');
      const name = `lib-${process.pid}`;
      let used = '';
      const use = (folder: string) => {
        used = folder;
        return undefined;
      };
      assert.is(withCachedFolder(name, complete, fill, use), undefined);
      assert.ok(complete(used) && !used.startsWith(cache), used);
      rmSync(used, { recursive: true });
    }));

  const complete = (folder: string) => existsSync(join(folder, 'whole'));
  const fill = (folder: string) => writeFileSync(join(folder, 'whole'), 'new');
  const served = () => undefined;

  test('a cached folder is filled once, and again when it is not whole', () =>
    inCache((cache) => {
      let fills = 0;
      const counted = (folder: string) => {
        fills++;
        fill(folder);
      };
      assert.is(withCachedFolder('lib', complete, counted, served), undefined);
      assert.is(withCachedFolder('lib', complete, counted, served), undefined);
      assert.is(fills, 1);
      rmSync(join(cache, 'action3d', 'lib', 'whole'));
      writeFileSync(join(cache, 'action3d', 'lib', 'half'), 'old');
      assert.is(withCachedFolder('lib', complete, counted, served), undefined);
      assert.is(fills, 2);
      assert.is(readFileSync(join(cache, 'action3d', 'lib', 'whole'), 'utf8'), 'new');
      assert.equal(readdirSync(join(cache, 'action3d')), ['lib']);
    }));

  test('a folder that does not serve gives its reason and leaves nothing half done', () =>
    inCache((cache) => {
      const name = `lib-${process.pid}`;
      const failing = () => {
        throw new Error('disk full');
      };
      assert.match(withCachedFolder(name, complete, failing, served) ?? '', 'disk full; disk full');
      assert.equal(readdirSync(join(cache, 'action3d')), []);
    }));
}

test.run();
