import { ActionError } from './errors.ts';
import { type Kernel, kernel } from './kernel.ts';

/**
 * bfloat16 storage with float32 arithmetic: the upper half of a float32, so it has float32's range and 8 bits of precision, and
 * gradients need no scaling. Two lie in a u32, so every adapter can hold them. Any kernel that reads and writes whole vec4f has
 * a form for it.
 */

/** Nearest bfloat16 values, ties to even, two in a word, the first in the lower half. NaN stays NaN. */
export function toBf16(values: Float32Array): Uint32Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length + (values.length % 2));
  for (let i = 0; i < values.length; i++) {
    const b = bits[i];
    halves[i] = Number.isNaN(values[i]) ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
  }
  return new Uint32Array(halves.buffer);
}

export function fromBf16(words: Uint32Array): Float32Array<ArrayBuffer> {
  const halves = new Uint16Array(words.buffer, words.byteOffset, words.length * 2);
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i] << 16;
  return new Float32Array(bits.buffer);
}

const CONVERSIONS = `
fn bf16_unpack(v: vec2u) -> vec4f {
  return bitcast<vec4f>(vec4u(v.x << 16u, v.x & 0xffff0000u, v.y << 16u, v.y & 0xffff0000u));
}
fn bf16_pack(v: vec4f) -> vec2u {
  let b = bitcast<vec4u>(v);
  let nan = (b & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
  let r = select(b + 0x7fffu + ((b >> vec4u(16u)) & vec4u(1u)), b | vec4u(0x400000u), nan) >> vec4u(16u);
  return vec2u(r.x | (r.y << 16u), r.z | (r.w << 16u));
}
`;

const known = new Map<Kernel, Map<string, Kernel>>();

/**
 * The kernel with some of its bindings stored as bfloat16: reads `x[i]` unpack, writes `y[i] = value;` pack. Errors: ActionError
 * for a binding that is no array<vec4f> in storage or is used in another way than by reading and assigning whole elements.
 */
export function bf16Form(k: Kernel, names: readonly string[]): Kernel {
  const key = names.join(' ');
  const forms = known.get(k) ?? new Map<string, Kernel>();
  known.set(k, forms);
  let form = forms.get(key);
  if (!form) {
    form = kernel(`${k.name}_bf16`, names.reduce((code, name) => convert(k, code, name), k.code) + CONVERSIONS);
    forms.set(key, form);
  }
  return form;
}

function convert(k: Kernel, code: string, name: string): string {
  const declared = new RegExp(`(var<storage,\\s*(?:read|read_write)>\\s*${name}\\s*:\\s*)array<vec4f>\\s*;`);
  const refuse = (why: string) => new ActionError(`kernel '${k.name}' has no bfloat16 form: ${why}`);
  if (!declared.test(code)) throw refuse(`'${name}' is no array<vec4f> in storage`);
  if (new RegExp(`&\\s*${name}\\b`).test(code)) throw refuse(`it takes the address of '${name}'`);
  return access(code.replace(declared, '$1array<vec2u>;'), name, refuse);
}

/** Rewrites every `name[...]` of a text. */
function access(text: string, name: string, refuse: (why: string) => ActionError): string {
  const use = new RegExp(`(?<![\\w.])${name}\\s*\\[`, 'g');
  const found = use.exec(text);
  if (!found) return text;
  const open = found.index + found[0].length - 1;
  const close = closing(text, open);
  const index = access(text.slice(open + 1, close), name, refuse);
  const rest = text.slice(close + 1);
  const head = text.slice(0, found.index);
  const assignment = /^\s*([-+*/%&|^]?)=(?!=)/.exec(rest);
  if (!assignment) {
    if (/^\s*\.\w+\s*([-+*/]?)=(?!=)/.test(rest)) throw refuse(`it writes a component of '${name}'`);
    return `${head}bf16_unpack(${name}[${index}])${access(rest, name, refuse)}`;
  }
  const end = rest.indexOf(';');
  const value = access(rest.slice(assignment[0].length, end), name, refuse).trim();
  const operator = assignment[1];
  const stored = operator ? `bf16_unpack(${name}[${index}]) ${operator} (${value})` : value;
  return `${head}${name}[${index}] = bf16_pack(${stored})${access(rest.slice(end), name, refuse)}`;
}

/** Where the bracket that opens at `open` closes. */
function closing(text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === '[') depth++;
    else if (text[i] === ']' && --depth === 0) return i;
  }
  return text.length;
}
