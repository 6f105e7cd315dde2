import { DataError } from '../../engine/errors.ts';
import type { Volume } from './volume.ts';

const IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1] as const;
const SIGNATURE = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];

type H5 = typeof import('h5wasm');
let loaded: Promise<H5> | undefined;
let opened = 0;

/**
 * Reads a case of the SSL4MIS left-atrium layout: dataset `image`, and `label` where asked for, with axes (x, y, z) as
 * pynrrd gives them. The format holds no geometry, so the volume has spacing 1 and an identity affine.
 *
 * @returns undefined for `label` where the file has none.
 * @throws DataError when h5wasm is not installed, and for files that are truncated, foreign or of another layout.
 */
export async function readH5(bytes: Uint8Array, name: string, dataset: 'image' | 'label'): Promise<Volume | undefined> {
  if (SIGNATURE.some((byte, i) => bytes[i] !== byte)) {
    throw new DataError(
      `${name} is not an HDF5 file (it starts with ${hex(bytes.subarray(0, 4))}, HDF5 with 89 48 44 46); export it again`,
    );
  }
  const h5 = await load(name);
  const { FS, activate_throwing_error_handler } = await h5.ready;
  activate_throwing_error_handler();
  const path = `/case-${opened++}.h5`;
  FS.writeFile(path, bytes);
  let file: InstanceType<H5['File']> | undefined;
  try {
    file = new h5.File(path, 'r');
    const keys = file.keys();
    if (!keys.includes(dataset)) {
      if (dataset === 'label') return undefined;
      throw new DataError(
        `${name} holds ${keys.join(', ') || 'nothing'} but no dataset "image"; convert it as SSL4MIS does`,
      );
    }
    const entry = file.get(dataset) as InstanceType<H5['Dataset']>;
    return toVolume(entry.value, entry.shape ?? [], `"${dataset}" of ${name}`);
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(`${name} is damaged or cut short at ${bytes.length} bytes; export or copy it again`, { cause });
  } finally {
    file?.close();
    FS.unlink(path);
  }
}

/** From (x, y, z) in C order, z fastest, to a Volume's x fastest. */
function toVolume(value: unknown, shape: readonly number[], name: string): Volume {
  if (!ArrayBuffer.isView(value) || value instanceof BigInt64Array || value instanceof BigUint64Array) {
    throw new DataError(
      `${name} does not hold numbers of at most 32 bits; store the image as float32 and the label as uint8`,
    );
  }
  if (shape.length !== 3) {
    throw new DataError(
      `${name} has ${shape.length} dimensions (${shape.join(' x ')}) where 3 are needed; store one (x, y, z) volume a file`,
    );
  }
  const [nx, ny, nz] = shape;
  const input = value as Float32Array;
  const data = new Float32Array(nx * ny * nz);
  for (let x = 0, at = 0; x < nx; x++) {
    for (let y = 0; y < ny; y++) {
      for (let z = 0; z < nz; z++, at++) data[(z * ny + y) * nx + x] = input[at];
    }
  }
  return {
    data,
    shape: [nz, ny, nx],
    channels: 1,
    spacing: [1, 1, 1],
    affine: IDENTITY,
    source: {
      dim: [nx, ny, nz],
      affine: IDENTITY,
      axes: [
        { axis: 0, flip: false },
        { axis: 1, flip: false },
        { axis: 2, flip: false },
      ],
    },
  };
}

function load(name: string): Promise<H5> {
  loaded ??= import('h5wasm');
  return loaded.catch((cause) => {
    loaded = undefined;
    throw new DataError(
      `${name} is an HDF5 file and the package h5wasm, which reads it, is not installed; run \`npm install h5wasm\``,
      { cause },
    );
  });
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ') || 'nothing';
}
