import type { MatrixUnit } from '../../engine/matrix_unit.ts';
import { repeat } from '../../shaders/shared/wgsl.ts';

/** A unit of three different extents, small for short compile times. */
export const UNLIKE: MatrixUnit = { m: 8, n: 4, k: 16, subgroup: 16 };

/** What Mesa's lavapipe offers. */
export const LAVAPIPE: MatrixUnit = { m: 8, n: 8, k: 8, subgroup: 8 };

/** Configurations that NVIDIA's drivers offer. */
export const NVIDIA: readonly MatrixUnit[] = [
  { m: 16, n: 16, k: 16, subgroup: 32 },
  { m: 16, n: 8, k: 8, subgroup: 32 },
];

const LOAD = /subgroupMatrixLoad<(Left|Right), (row|col)_major>\(&(\w+), /g;
const MULTIPLY = /(sum_\w+) = subgroupMatrixMultiplyAccumulate\((\w+, \w+), \1\);/g;
const STORE = /subgroupMatrixStore<row_major>\(&(\w+), (.*?)\);/g;

/**
 * Kernels for matrix units on adapters that have none, as text: what is computed is all but the units themselves, with the
 * extents of any unit. A factor is where it lies in memory, which nothing changes while it is used; of a matrix of sums every
 * invocation holds the row that is its own. Two float16 lie in a word. The products of a loop are put down and then computed
 * behind the last of them, in a loop of a length that drivers do not know: each by itself would take minutes to compile.
 */
function rewritten(code: string, unit: MatrixUnit): string {
  const { m, n, k, subgroup } = unit;
  const main = code
    .replace(/^(enable|alias) .*;$/gm, '')
    .replace(/: array<vec4h/g, ': array<vec2u')
    .replace('vec4h(0.0)', 'vec4f(0.0)')
    .replace('= f16(', '= (')
    .replace('out[i] = value;', 'out[i] = packed(value);')
    .replace(/vec4h\(/g, 'packed(');
  const products = [...code.matchAll(MULTIPLY)];
  const helpers = `
fn packed(v: vec4f) -> vec2u { return vec2u(pack2x16float(v.xy), pack2x16float(v.zw)); }
fn unpacked(words: vec2u) -> vec4f { return vec4f(unpack2x16float(words.x), unpack2x16float(words.y)); }
`;
  if (products.length === 0) return helpers + main;

  const sums = [...new Set(products.map(([, sum]) => sum))];
  const [left, right] = ['Left', 'Right'].map((side) => {
    const [, , order, from] = [...code.matchAll(LOAD)].find(([, type]) => type === side) as RegExpExecArray;
    return { order, quad: (at: string) => `unpacked(${from}[${at}])` };
  });
  const four = (line: (i: number) => string) => [0, 1, 2, 3].map(line).join(', ');
  const terms =
    left.order === 'row'
      ? left.quad('pair.x + row * pair.y + t')
      : `vec4f(${four((i) => `${left.quad(`pair.x + (4u * t + ${i}u) * pair.y + row / 4u`)}[row % 4u]`)})`;
  const columns = (c: number) => `mat4x4f(${four((i) => right.quad(`pair.z + (4u * t + ${i}u) * pair.w + ${c}u`))})`;
  const multiply = `
alias Sums = array<vec4f, ${n / 4}>;
var<private> totals: array<Sums, ${sums.length}>;
var<private> pairs: array<vec4u, ${products.length}>;
const TOTAL_OF = array(${products.map(([, sum]) => `${sums.indexOf(sum)}u`).join(', ')});
fn multiply_pairs(row: u32) {
  for (var i = 0u; i < min(p.count, 1u) * ${products.length}u; i++) {
    let pair = pairs[i];
    var all = totals[TOTAL_OF[i]];
    for (var t = 0u; t < ${k / 4}u; t++) {
      let factors = ${terms};
      ${repeat(n / 4, (c) => `all[${c}] += ${columns(c)} * factors;`)}
    }
    totals[TOTAL_OF[i]] = all;
  }
}`;
  const stores = [...new Set([...code.matchAll(STORE)].map(([, to]) => to))].map(
    (to) => `
fn store_${to}(at: u32, values: Sums, stride: u32, lane: u32) {
  if (lane >= ${m}u) { return; }
  ${repeat(n / 4, (c) => `${to}[at + lane * stride + ${c}u] = values[${c}];`)}
}`,
  );
  let product = 0;
  const computing = main
    .replace(/var sum_\w+ = Sums\(\);/g, '')
    .replace(LOAD, 'vec2u(')
    .replace(MULTIPLY, (_, _sum, factors) => {
      const put = `pairs[${product++}] = vec4u(${factors});`;
      return product === products.length ? `${put} multiply_pairs(lane % ${m}u);` : put;
    })
    .replace(STORE, 'store_$1($2, lane);')
    .replace(/\bsum_\d+_\d+\b/g, (sum) => `totals[${sums.indexOf(sum)}]`)
    .replace(/\s*@builtin\(subgroup_id\) subgroup: u32,/, '')
    .replace(/\s*@builtin\(subgroup_invocation_id\) lane: u32,/, '')
    .replace(/\n\) \{\n/, `\n) {\n  let subgroup = local / ${subgroup}u;\n  let lane = local % ${subgroup}u;\n`);
  return [helpers, multiply, ...stores, computing].join('\n');
}

const FOR_UNITS = /^enable (f16|chromium_experimental_subgroup_matrix);/m;

/**
 * The device as if it had the unit: the kernels for it are compiled as text that needs none, everything else is the device's own.
 * `onRewritten` is told the label of each module that was rewritten.
 */
export function emulated(gpu: GPUDevice, unit: MatrixUnit, onRewritten?: (label: string) => void): GPUDevice {
  const createShaderModule = (descriptor: GPUShaderModuleDescriptor): GPUShaderModule => {
    if (!FOR_UNITS.test(descriptor.code)) return gpu.createShaderModule(descriptor);
    onRewritten?.(descriptor.label ?? '');
    return gpu.createShaderModule({ ...descriptor, code: rewritten(descriptor.code, unit) });
  };
  return new Proxy(gpu, {
    get: (_, key) => {
      if (key === 'createShaderModule') return createShaderModule;
      const value: unknown = Reflect.get(gpu, key);
      return typeof value === 'function' ? value.bind(gpu) : value;
    },
  });
}
