import type { Device } from '../device.ts';
import { ActionError, DataError, FitError, UsageError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import { Program } from '../program.ts';
import { Recording } from '../recording.ts';
import { formatShape, product, roundUp, sameShape } from '../shape.ts';
import { fromStored, pitchOf, storedBytes, type Tensor, toStored } from '../tensor.ts';
import { type Init, parameterStream } from './init.ts';

/** A parameter as a network declares it: convolutions [kd, kh, kw, Cin, Cout], linear [in, out], norm and bias [C]. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly init: Init;
}

/** Dense host values by parameter name. */
export type ParameterValues = Map<string, { shape: readonly number[]; data: Float32Array }>;

/** Where every parameter lies in the flat buffer; known before anything is allocated. */
export interface ParameterLayout {
  /** Bytes from the start, multiples of 256, in declaration order. */
  readonly offsets: readonly number[];
  readonly bytes: number;
  /** Weights (two axes or more) lie first, norm and bias vectors behind them: bytes of the first part. */
  readonly weightBytes: number;
}

const ALIGNMENT = 256;

/** Lays parameters out one behind the other, last axis padded to a multiple of 4, starts aligned to 256 bytes. */
export function layOut(specs: readonly Pick<ParameterSpec, 'shape'>[]): ParameterLayout {
  const offsets = new Array<number>(specs.length);
  let bytes = 0;
  const place = (wanted: (rank: number) => boolean) => {
    specs.forEach(({ shape }, i) => {
      if (!wanted(shape.length)) return;
      offsets[i] = bytes;
      bytes += roundUp(product(shape.slice(0, -1)) * pitchOf(shape, false) * 4, ALIGNMENT);
    });
  };
  place((rank) => rank > 1);
  const weightBytes = bytes;
  place((rank) => rank <= 1);
  return { offsets, bytes, weightBytes };
}

/**
 * All parameters of a network in one flat buffer of values and, when trainable, one flat buffer of gradients: optimiser,
 * teacher and checkpoint are flat loops. The gaps and the channel padding are zero and stay zero.
 */
export class Parameters {
  readonly device: Device;
  readonly specs: readonly ParameterSpec[];
  readonly layout: ParameterLayout;
  /** [stored elements]: every value. */
  readonly flat: Tensor;
  /** [stored elements]: every gradient; undefined when not trainable. */
  readonly flatGrad: Tensor | undefined;
  private readonly views: ReadonlyMap<string, Tensor>;

  private constructor(device: Device, specs: readonly ParameterSpec[], trainable: boolean) {
    const names = new Set<string>();
    for (const { name } of specs) {
      if (names.has(name)) throw new UsageError(`parameter '${name}' is declared twice; give each its own name`);
      names.add(name);
    }
    this.device = device;
    this.specs = specs;
    this.layout = layOut(specs);
    this.flat = this.flatTensor('parameters');
    this.flatGrad = trainable ? this.flatTensor('gradients') : undefined;
    this.views = new Map(specs.map((spec, i) => [spec.name, this.view(spec, this.layout.offsets[i])]));
  }

  /** Allocates and initialises; the draws depend on seed and names only. `trainable: false` makes a teacher: no gradients. */
  static create(
    device: Device,
    specs: readonly ParameterSpec[],
    { trainable = true, seed = 0 }: { trainable?: boolean; seed?: number } = {},
  ): Parameters {
    const parameters = new Parameters(device, specs, trainable);
    for (const { name, shape, init } of specs) {
      device.write(parameters.get(name), init(shape, parameterStream(seed, name)));
    }
    return parameters;
  }

  /** The parameter's tensor, the same object each time. */
  get(name: string): Tensor {
    const found = this.views.get(name);
    if (found) return found;
    throw new ActionError(`no parameter '${name}'; the nearest is '${nearest(name, this.views.keys())}'`);
  }

  /** Every parameter in declaration order, for Recording.backward. */
  leaves(): Tensor[] {
    return [...this.views.values()];
  }

  /** Bytes held on the device: values and gradients. */
  get bytes(): number {
    return this.layout.bytes * (this.flatGrad ? 2 : 1);
  }

  /** A zero-filled tensor of the same flat layout, for momenta. */
  flatTensor(label: string): Tensor {
    const { maxStorageBufferBindingSize, maxBufferSize } = this.device.limits;
    const limit = Math.min(maxStorageBufferBindingSize, maxBufferSize);
    if (this.layout.bytes > limit) {
      throw new FitError(
        `'${label}' of the network need ${this.layout.bytes} bytes in one buffer but this adapter allows ${limit}; use fewer channels or levels`,
      );
    }
    return this.device.tensor([this.layout.bytes / 4], label);
  }

  /** Downloads the values, or another tensor of the same layout (gradients, momenta), by name and without padding. */
  async read(flat: Tensor = this.flat): Promise<ParameterValues> {
    const stored = (await this.device.readStored(flat)) as Float32Array;
    return new Map(
      this.specs.map(({ name, shape }) => {
        const t = this.get(name);
        const start = t.offset / 4;
        const data = fromStored(t, stored.subarray(start, start + storedBytes(t) / 4));
        return [name, { shape, data }];
      }),
    );
  }

  /** Uploads what read() gave. Errors: DataError listing every missing, unknown or differently shaped entry; nothing is written then. */
  load(values: ParameterValues, flat: Tensor = this.flat): void {
    const problems = this.mismatches(values);
    if (problems.length > 0) {
      throw new DataError(
        `these values do not fit the network: ${problems.join('; ')}; use the configuration they were made with`,
      );
    }
    const stored = new Float32Array(this.layout.bytes / 4);
    for (const [name, { data }] of values) stored.set(toStored(this.get(name), data), this.get(name).offset / 4);
    this.device.writeStored(flat, stored);
  }

  /** Copies all values of a network of the same declaration, on the device: how a teacher starts. */
  async copyFrom(source: Parameters): Promise<void> {
    this.assertSameSpecs(source, 'copyFrom');
    const recording = new Recording(this.device, 'copy parameters');
    recording.copy(source.flat, this.flat);
    const program = await Program.create(recording);
    program.run();
    program.destroy();
  }

  /** Throws unless `other` has the same names and shapes in the same order, hence the same layout. */
  assertSameSpecs(other: Parameters, by: string): void {
    const differs = (spec: ParameterSpec, i: number) =>
      spec.name !== other.specs[i]?.name || !sameShape(spec.shape, other.specs[i].shape);
    const at = this.specs.findIndex(differs);
    if (at < 0 && this.specs.length === other.specs.length) return;
    const show = (spec?: ParameterSpec) => (spec ? `'${spec.name}' ${formatShape(spec.shape)}` : 'nothing');
    const i = at < 0 ? this.specs.length : at;
    throw new ActionError(`${by}: parameter ${i} is ${show(this.specs[i])} here and ${show(other.specs[i])} there`);
  }

  destroy(): void {
    this.device.destroyTensor(this.flat);
    if (this.flatGrad) this.device.destroyTensor(this.flatGrad);
  }

  private view({ name, shape }: ParameterSpec, offset: number): Tensor {
    const value = { label: name, shape, pitch: pitchOf(shape, false), offset, dtype: 'f32' as const };
    if (!this.flatGrad) return { ...value, storage: this.flat.storage, requiresGrad: false };
    const grad = { ...value, label: `d${name}`, storage: this.flatGrad.storage, requiresGrad: false };
    return { ...value, storage: this.flat.storage, requiresGrad: true, grad };
  }

  private mismatches(values: ParameterValues): string[] {
    const problems: string[] = [];
    for (const { name, shape } of this.specs) {
      const value = values.get(name);
      if (!value) problems.push(`'${name}' ${formatShape(shape)} is missing`);
      else if (!sameShape(shape, value.shape)) {
        problems.push(`'${name}' is ${formatShape(value.shape)} where the network has ${formatShape(shape)}`);
      } else if (value.data.length !== product(shape)) {
        problems.push(`'${name}' ${formatShape(shape)} comes with ${value.data.length} values, not ${product(shape)}`);
      }
    }
    for (const name of values.keys()) {
      if (this.views.has(name)) continue;
      problems.push(`the network has no '${name}' (nearest: '${nearest(name, this.views.keys())}')`);
    }
    return problems;
  }
}
