import { ActionError, ShapeError } from './errors.ts';

/**
 * A WGSL source read as its own manifest: its bindings, the fields of `struct Params` and the workgroup size come from
 * the text, so nothing about a kernel is stated twice.
 */
export interface Kernel {
  readonly name: string;
  readonly code: string;
  readonly bindings: readonly Binding[];
  readonly params: readonly ParamField[];
  readonly workgroup: readonly [number, number, number];
}

export interface Binding {
  readonly index: number;
  readonly name: string;
  /** 'params' is the uniform `struct Params`; 'uniform' a tensor read through a uniform buffer (at most 64 KiB). */
  readonly access: 'params' | 'uniform' | 'read' | 'read_write';
}

export interface ParamField {
  readonly name: string;
  readonly type: 'u32' | 'i32' | 'f32';
}

const BINDING =
  /@group\(0\)\s*@binding\((\d+)\)\s*var<(uniform|storage,\s*read_write|storage,\s*read|storage)>\s*(\w+)\s*:\s*(\w+)/g;
const WORKGROUP = /@workgroup_size\(\s*(\d+)u?\s*(?:,\s*(\d+)u?\s*)?(?:,\s*(\d+)u?\s*)?\)/;

const known = new Map<string, Kernel>();

/** Reads a kernel's manifest out of its code. Kernels with equal code are one object. */
export function kernel(name: string, code: string): Kernel {
  const existing = known.get(code);
  if (existing) return existing;
  const workgroup = WORKGROUP.exec(code);
  if (!workgroup) throw new ActionError(`kernel '${name}' has no @workgroup_size with literal extents`);
  const bindings: Binding[] = [];
  for (const [, index, space, variable, type] of code.matchAll(BINDING)) {
    const access =
      type === 'Params'
        ? 'params'
        : space === 'uniform'
          ? 'uniform'
          : space.includes('read_write')
            ? 'read_write'
            : 'read';
    bindings.push({ index: Number(index), name: variable, access });
  }
  const read: Kernel = {
    name,
    code,
    bindings,
    params: paramFields(name, code),
    workgroup: [Number(workgroup[1]), Number(workgroup[2] ?? 1), Number(workgroup[3] ?? 1)],
  };
  known.set(code, read);
  return read;
}

function paramFields(name: string, code: string): ParamField[] {
  const struct = /struct\s+Params\s*\{([^}]*)\}/.exec(code);
  if (!struct) return [];
  return struct[1]
    .replace(/\/\/[^\n]*/g, '')
    .split(',')
    .map((field) => field.trim())
    .filter((field) => field !== '')
    .map((field) => {
      const match = /^(\w+)\s*:\s*(u32|i32|f32)$/.exec(field);
      if (!match) throw new ActionError(`kernel '${name}': Params field '${field}' is not a u32, i32 or f32 scalar`);
      return { name: match[1], type: match[2] as ParamField['type'] };
    });
}

/** Packs named values in the order of `struct Params`; a missing or unknown name is an error. */
export function packParams(k: Kernel, values: Readonly<Record<string, number>>): Uint32Array<ArrayBuffer> {
  const packed = new Uint32Array(k.params.length);
  const floats = new Float32Array(packed.buffer);
  const ints = new Int32Array(packed.buffer);
  k.params.forEach(({ name, type }, i) => {
    const value = values[name];
    if (value === undefined || Number.isNaN(value)) {
      throw new ShapeError(`kernel '${k.name}': parameter '${name}' is ${value}; Params wants a ${type}`);
    }
    if (type === 'f32') floats[i] = value;
    else if (type === 'i32') ints[i] = value;
    else packed[i] = value;
  });
  for (const name of Object.keys(values)) {
    if (!k.params.some((field) => field.name === name)) {
      throw new ShapeError(
        `kernel '${k.name}' has no parameter '${name}'; Params holds ${k.params.map((f) => f.name).join(', ')}`,
      );
    }
  }
  return packed;
}
