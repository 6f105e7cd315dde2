/**
 * What an adapter's matrix units multiply at once: an m x k matrix of float16 by a k x n one, with float32 sums, by all
 * `subgroup` invocations of a subgroup together (WGSL chromium_experimental_subgroup_matrix).
 */
export interface MatrixUnit {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly subgroup: number;
}

/** GPUSubgroupMatrixConfig, which no published type declarations have yet. */
interface SubgroupMatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** What tells whether there are matrix units: parts of a GPUAdapter. */
export interface MatrixAdapter {
  readonly features: { has(feature: string): boolean };
  readonly info: {
    readonly subgroupMinSize?: number;
    readonly subgroupMaxSize?: number;
    readonly subgroupMatrixConfigs?: Iterable<SubgroupMatrixConfig>;
  };
}

const NEEDED = ['chromium-experimental-subgroup-matrix', 'shader-f16', 'subgroups'];

/** The largest configuration of an adapter whose subgroups all have one size; undefined where there is none. */
export function matrixUnitOf({ features, info }: MatrixAdapter): MatrixUnit | undefined {
  const { subgroupMinSize, subgroupMaxSize, subgroupMatrixConfigs = [] } = info;
  if (!subgroupMaxSize || subgroupMinSize !== subgroupMaxSize || !NEEDED.every((name) => features.has(name)))
    return undefined;
  return [...subgroupMatrixConfigs]
    .filter(({ componentType, resultComponentType }) => componentType === 'f16' && resultComponentType === 'f32')
    .filter(({ M, N, K }) => [M, N, K].every((extent) => extent % 4 === 0))
    .map(({ M, N, K }) => ({ m: M, n: N, k: K, subgroup: subgroupMaxSize }))
    .sort((a, b) => b.m * b.n * b.k - a.m * a.n * a.k)[0];
}
