import { kernel } from '../../engine/kernel.ts';
import type { MatrixUnit } from '../../engine/matrix_unit.ts';
import type { Recording } from '../../engine/recording.ts';
import { repeat } from '../../shaders/shared/wgsl.ts';

/** A unit of three different extents, small for short compile times. */
export const UNLIKE: MatrixUnit = { m: 8, n: 4, k: 16, subgroup: 16 };

/** Configurations that NVIDIA's drivers offer. */
export const NVIDIA: readonly MatrixUnit[] = [
  { m: 16, n: 16, k: 16, subgroup: 32 },
  { m: 16, n: 8, k: 8, subgroup: 32 },
];

/**
 * Kernels for matrix units on adapters that have none, as text: what is tested is all but the units themselves, with the
 * extents of any unit. A factor is where it lies in memory, which nothing changes while it is used; of a matrix of sums every
 * invocation holds the row that is its own. Two float16 lie in a word. The terms of a product are a loop of a length that drivers
 * do not know, or they would unroll it.
 */
function emulated(code: string, { m, n, k, subgroup }: MatrixUnit): string {
  const LOAD = /subgroupMatrixLoad<(Left|Right), (row|col)_major>\(&(\w+), /g;
  const STORE = /subgroupMatrixStore<row_major>\(&(\w+), (.*?)\);/g;
  const factors = new Map([...code.matchAll(LOAD)].map(([, type, order, from]) => [type, { order, from }]));
  const [left, right] = [factors.get('Left'), factors.get('Right')];
  const quad = (from: string, at: string) => (code.includes(`${from}: array<vec4h`) ? `unpacked(${from}[${at}])` : '');
  const multiply =
    !left || !right
      ? ''
      : `
fn multiply(left: Left, right: Right, sums: Sums, row: u32) -> Sums {
  var all = sums;
  ${left.order === 'col' ? 'let own = vec4f(vec4u(row % 4u) == vec4u(0u, 1u, 2u, 3u));' : ''}
  for (var t = 0u; t < min(p.count, 1u) * ${k}u; t++) {
    ${
      left.order === 'col'
        ? `let a = dot(own, ${quad(left.from, 'left.x + t * left.y + row / 4u')});`
        : `let a = dot(vec4f(vec4u(t % 4u) == vec4u(0u, 1u, 2u, 3u)), ${quad(left.from, 'left.x + row * left.y + t / 4u')});`
    }
    ${repeat(n / 4, (c) => `all[${c}] += a * ${quad(right.from, `right.x + t * right.y + ${c}u`)};`)}
  }
  return all;
}`;
  const stores = [...new Set([...code.matchAll(STORE)].map(([, to]) => to))].map(
    (to) => `
fn store_${to}(at: u32, values: Sums, stride: u32, lane: u32) {
  if (lane >= ${m}u) { return; }
  var all = values;
  ${repeat(n / 4, (c) => `${to}[at + lane * stride + ${c}u] = all[${c}];`)}
}`,
  );
  const types = `
alias Left = vec2u;
alias Right = vec2u;
alias Sums = array<vec4f, ${n / 4}>;
fn packed(v: vec4f) -> vec2u { return vec2u(pack2x16float(v.xy), pack2x16float(v.zw)); }
fn unpacked(words: vec2u) -> vec4f { return vec4f(unpack2x16float(words.x), unpack2x16float(words.y)); }
`;
  const main = code
    .replace(/^(enable|alias) .*;$/gm, '')
    .replace(/: array<vec4h/g, ': array<vec2u')
    .replace('vec4h(0.0)', 'vec4f(0.0)')
    .replace('= f16(', '= (')
    .replace('out[i] = value;', 'out[i] = packed(value);')
    .replace(/vec4h\(/g, 'packed(')
    .replace(LOAD, 'vec2u(')
    .replace(/subgroupMatrixMultiplyAccumulate\((.*?)\);/g, `multiply($1, lane % ${m}u);`)
    .replace(STORE, 'store_$1($2, lane);')
    .replace(/\s*@builtin\(subgroup_id\) subgroup: u32,/, '')
    .replace(/\s*@builtin\(subgroup_invocation_id\) lane: u32,/, '')
    .replace(/\n\) \{\n/, `\n) {\n  let subgroup = local / ${subgroup}u;\n  let lane = local % ${subgroup}u;\n`);
  return [types, multiply, ...stores, main].join('\n');
}

/** Replaces the kernels for matrix units that a recording holds so far. */
export function emulateMatrices(rec: Recording, unit: MatrixUnit): void {
  for (const command of rec.commands) {
    if (command.kind !== 'dispatch' || !/^enable/m.test(command.kernel.code)) continue;
    command.kernel = kernel(`${command.kernel.name}_emulated`, emulated(command.kernel.code, unit));
  }
}
