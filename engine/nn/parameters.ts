import type { Device } from '../device.ts';
import { ActionError, DataError, FitError, UsageError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import { Program } from '../program.ts';
import { Recording } from '../recording.ts';
import { formatShape, product, sameShape } from '../shape.ts';
import { pitchOf, storedBytes, type Tensor, toStored, unpadded } from '../tensor.ts';
import { parameterStream } from './init.ts';
import { layOut, type ParameterLayout, type ParameterSpec } from './parameter_layout.ts';

/** Dense host values by parameter name. */
export type ParameterValues = Map<string, { shape: readonly number[]; data: Float32Array }>;

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
  /** [stored elements]: every buffer, in a storage of its own; undefined when there is none. */
  readonly flatBuffers: Tensor | undefined;
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
    const { bufferBytes } = this.layout;
    this.flat = this.flatTensor('parameters');
    this.flatGrad = trainable ? this.flatTensor('gradients') : undefined;
    this.flatBuffers = bufferBytes > 0 ? device.tensor([bufferBytes / 4], 'running statistics') : undefined;
    this.views = new Map(specs.map((spec, i) => [spec.name, this.view(spec, this.layout.offsets[i])]));
  }

  /**
   * Allocates and initialises; the draws depend on seed and names only. `trainable: false` makes a teacher: no gradients;
   * `initialise: false` leaves zeros, for values that are loaded or copied next.
   */
  static create(
    device: Device,
    specs: readonly ParameterSpec[],
    {
      trainable = true,
      initialise = true,
      seed = 0,
    }: { trainable?: boolean; initialise?: boolean; seed?: number } = {},
  ): Parameters {
    const parameters = new Parameters(device, specs, trainable);
    if (!initialise) return parameters;
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

  /** Every parameter but the buffers, in declaration order, for Recording.backward. */
  leaves(): Tensor[] {
    return this.specs.filter((spec) => !spec.buffer).map(({ name }) => this.get(name));
  }

  /** Bytes held on the device: values, gradients and buffers. */
  get bytes(): number {
    return this.layout.bytes * (this.flatGrad ? 2 : 1) + this.layout.bufferBytes;
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

  /** Downloads values and buffers, or another tensor of the flat layout (gradients, momenta), by name and without padding. */
  async read(flat: Tensor = this.flat): Promise<ParameterValues> {
    const stored = new Map<Tensor, Float32Array>();
    const values: ParameterValues = new Map();
    for (const { spec, from } of this.entries(flat)) {
      if (!stored.has(from)) stored.set(from, (await this.device.readStored(from)) as Float32Array);
      const t = this.get(spec.name);
      const start = t.offset / 4;
      const part = (stored.get(from) as Float32Array).subarray(start, start + storedBytes(t) / 4);
      values.set(spec.name, { shape: spec.shape, data: unpadded(t, part) });
    }
    return values;
  }

  /** Uploads what read() gave. Errors: DataError listing every missing, unknown or differently shaped entry; nothing is written then. */
  load(values: ParameterValues, flat: Tensor = this.flat): void {
    const entries = this.entries(flat);
    const problems = mismatches(
      entries.map(({ spec }) => spec),
      values,
    );
    if (problems.length > 0) {
      throw new DataError(
        `these values do not fit the network: ${problems.join('; ')}; use the configuration they were made with`,
      );
    }
    for (const { spec, from } of entries) {
      const t = this.get(spec.name);
      const { data } = values.get(spec.name) as { data: Float32Array };
      this.device.writeStored({ ...t, storage: from.storage }, toStored(t, data));
    }
  }

  /** Copies all values of a network of the same declaration, on the device: how a teacher starts. */
  async copyFrom(source: Parameters): Promise<void> {
    this.assertSameSpecs(source, 'copyFrom');
    const recording = new Recording(this.device, 'copy parameters');
    recording.copy(source.flat, this.flat);
    if (this.flatBuffers) recording.copy(source.flatBuffers as Tensor, this.flatBuffers);
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
    if (this.flatBuffers) this.device.destroyTensor(this.flatBuffers);
  }

  private view({ name, shape, buffer }: ParameterSpec, offset: number): Tensor {
    const value = { label: name, shape, pitch: pitchOf(shape, false), offset, dtype: 'f32' as const };
    const { storage } = buffer ? (this.flatBuffers as Tensor) : this.flat;
    if (buffer || !this.flatGrad) return { ...value, storage, requiresGrad: false };
    const grad = { ...value, label: `d${name}`, storage: this.flatGrad.storage, requiresGrad: false };
    return { ...value, storage, requiresGrad: true, grad };
  }

  /** What a flat tensor holds: the values come with the buffers, anything else is of learned parameters only. */
  private entries(flat: Tensor): { spec: ParameterSpec; from: Tensor }[] {
    return this.specs
      .filter((spec) => !spec.buffer || flat === this.flat)
      .map((spec) => ({ spec, from: spec.buffer ? (this.flatBuffers as Tensor) : flat }));
  }
}

function mismatches(specs: readonly ParameterSpec[], values: ParameterValues): string[] {
  const problems: string[] = [];
  for (const { name, shape } of specs) {
    const value = values.get(name);
    if (!value) problems.push(`'${name}' ${formatShape(shape)} is missing`);
    else if (!sameShape(shape, value.shape)) {
      problems.push(`'${name}' is ${formatShape(value.shape)} where the network has ${formatShape(shape)}`);
    } else if (value.data.length !== product(shape)) {
      problems.push(`'${name}' ${formatShape(shape)} comes with ${value.data.length} values, not ${product(shape)}`);
    }
  }
  const names = new Set(specs.map(({ name }) => name));
  for (const name of values.keys()) {
    if (names.has(name)) continue;
    problems.push(`the network has no '${name}' (nearest: '${nearest(name, names)}')`);
  }
  return problems;
}
