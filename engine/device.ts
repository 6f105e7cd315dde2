import { ActionError, DeviceLostError, FitError, GpuMemoryError, GpuValidationError } from './errors.ts';
import type { Kernel } from './kernel.ts';
import type { MatrixUnit } from './matrix_unit.ts';
import { formatShape } from './shape.ts';
import {
  type Dtype,
  elementBytes,
  fromStored,
  pitchOf,
  type Storage,
  storedBytes,
  type Tensor,
  toStored,
} from './tensor.ts';
import type { ChooseWay } from './ways.ts';

/** What ops choose their kernels by; a host's OpenedGpu has them. */
export interface DeviceTraits {
  readonly software?: boolean;
  /** 'llvmpipe' is the one that matters so far. */
  readonly kind?: string;
  /** GPUAdapterInfo.vendor: 'nvidia', 'amd', 'apple', ... Kernels that fit the registers of one may not fit another's. */
  readonly vendor?: string;
  readonly matrixUnit?: MatrixUnit;
  /** What a tuner found out; the usual ways without it. */
  readonly choose?: ChooseWay;
}

export interface TensorOptions {
  dtype?: Dtype;
  /** No padding of the last axis: labels, scalars, index lists. */
  dense?: boolean;
  /** Host values without padding; zeros when absent. */
  data?: ArrayLike<number>;
}

/** Buffer usage of everything that holds tensors. */
const TENSOR_USAGE = 0x80 | 0x40 | 0x08 | 0x04; // STORAGE | UNIFORM | COPY_DST | COPY_SRC

/**
 * A GPUDevice's buffers (counted to the byte), pipelines, uploads and read-back, and what WebGPU reports on the side
 * (validation, memory, loss), turned into typed errors at the next call. Others encode and submit commands: program.ts, and
 * the timing of tuning and benches.
 */
export class Device {
  readonly gpu: GPUDevice;
  /** The adapter is a program on the CPU (llvmpipe, SwiftShader): ops choose the kernels that suit it. */
  readonly software: boolean;
  /** The adapter reads uniform buffers much faster than storage buffers (llvmpipe): convolutions read through windows. */
  readonly uniformWindows: boolean;
  /** GPUAdapterInfo.vendor, or '' where nobody told. */
  readonly vendor: string;
  /** What convolutions that may round their factors to float16 multiply with; undefined where there is none. */
  readonly matrixUnit: MatrixUnit | undefined;
  /** Which of several ways an op takes, engine/ways.ts. */
  readonly choose: ChooseWay;
  /** Sum of the sizes of all live buffers made through this object. */
  bytesHeld = 0;
  private readonly pipelines = new Map<Kernel, Promise<GPUComputePipeline>>();
  private readonly live = new Set<GPUBuffer>();
  private failure: ActionError | undefined;
  private readonly onError = (event: Event) => {
    this.failure ??= typed((event as GPUUncapturedErrorEvent).error);
  };

  constructor(gpu: GPUDevice, options: DeviceTraits = {}) {
    this.gpu = gpu;
    this.software = options.software ?? false;
    this.uniformWindows = options.kind === 'llvmpipe';
    this.vendor = options.vendor ?? '';
    this.matrixUnit = options.matrixUnit;
    this.choose = options.choose ?? (() => undefined);
    gpu.addEventListener('uncapturederror', this.onError);
    gpu.lost.then((info) => {
      if (info.reason !== 'destroyed') {
        this.failure ??= new DeviceLostError(
          `the GPU device was lost (${info.message || 'no reason given'}); start again to resume from the last checkpoint`,
        );
      }
    });
  }

  get limits(): GPUSupportedLimits {
    return this.gpu.limits;
  }

  /** Throws what WebGPU reported since the last call: validation, out of memory, device lost. */
  throwIfFailed(): void {
    if (!this.failure) return;
    const failure = this.failure;
    if (!(failure instanceof DeviceLostError)) this.failure = undefined;
    throw failure;
  }

  /** A buffer counted in bytesHeld. Errors: FitError when a limit of the adapter forbids the size. */
  createBuffer(bytes: number, label: string, usage: number = TENSOR_USAGE): GPUBuffer {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.limits;
    const limit = usage & 0x80 ? Math.min(maxBufferSize, maxStorageBufferBindingSize) : maxBufferSize;
    if (bytes > limit) {
      throw new FitError(
        `'${label}' needs ${bytes} bytes in one buffer but this adapter allows ${limit}; use a smaller patch, batch or fewer channels`,
      );
    }
    const buffer = this.gpu.createBuffer({ label, size: bytes, usage });
    this.live.add(buffer);
    this.bytesHeld += bytes;
    return buffer;
  }

  /**
   * What `make` resolves to; undefined where the GPU has no room for it, and whatever it had allocated is free again. Nothing else may use the device meanwhile. Errors: those of `make`, GpuValidationError.
   */
  async createIfRoom<T>(make: () => Promise<T>): Promise<T | undefined> {
    const before = new Set(this.live);
    this.gpu.pushErrorScope('validation');
    this.gpu.pushErrorScope('out-of-memory');
    const [made] = await Promise.allSettled([make()]);
    const [full, invalid] = await Promise.all([this.gpu.popErrorScope(), this.gpu.popErrorScope()]);
    if (full || (made.status === 'rejected' && made.reason instanceof GpuMemoryError)) {
      // What follows a buffer that could not be had is invalid too: no fault of its own.
      for (const buffer of [...this.live]) if (!before.has(buffer)) this.destroyBuffer(buffer);
      return undefined;
    }
    if (invalid) throw typed(invalid);
    if (made.status === 'rejected') throw made.reason;
    return made.value;
  }

  destroyBuffer(buffer: GPUBuffer): void {
    if (!this.live.delete(buffer)) return;
    this.bytesHeld -= buffer.size;
    buffer.destroy();
  }

  /** A tensor that lives until destroyTensor: parameters, inputs, banks. Zero-filled unless `data` is given. */
  tensor(shape: readonly number[], label: string, options: TensorOptions = {}): Tensor {
    const pitch = pitchOf(shape, options.dense ?? false);
    const dtype = options.dtype ?? 'f32';
    const bytes = Math.max(16, shape.slice(0, -1).reduce((a, b) => a * b, 1) * pitch * elementBytes(dtype));
    const storage: Storage = { label, bytes, buffer: this.createBuffer(bytes, label) };
    const t: Tensor = { label, shape, pitch, dtype, storage, offset: 0, requiresGrad: false };
    if (options.data) this.write(t, options.data);
    return t;
  }

  destroyTensor(t: Tensor): void {
    if (t.storage.buffer) this.destroyBuffer(t.storage.buffer);
  }

  /** Uploads dense host values (padding is added here). */
  write(t: Tensor, dense: ArrayLike<number>): void {
    this.writeStored(t, toStored(t, dense));
  }

  /** Uploads values that are laid out as the tensor stores them. */
  writeStored(t: Tensor, stored: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>, byteOffset = 0): void {
    this.gpu.queue.writeBuffer(persistent(t), t.offset + byteOffset, stored);
  }

  /** Downloads a persistent tensor without its padding. */
  async read(t: Tensor): Promise<Float32Array | Uint32Array> {
    return fromStored(t, await this.readBuffer(persistent(t), t.offset, storedBytes(t)));
  }

  /** Downloads a persistent tensor as stored, bfloat16 in words. */
  async readStored(t: Tensor): Promise<Float32Array | Uint32Array> {
    const bytes = storedBytes(t);
    const copy = await this.readBuffer(persistent(t), t.offset, bytes);
    return t.dtype === 'f32' ? new Float32Array(copy) : new Uint32Array(copy);
  }

  /** Downloads bytes of a buffer; waits for all work submitted before. */
  async readBuffer(buffer: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    const staging = this.createBuffer(bytes, 'readback', 0x01 | 0x08); // MAP_READ | COPY_DST
    try {
      const encoder = this.gpu.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, offset, staging, 0, bytes);
      this.gpu.queue.submit([encoder.finish()]);
      await staging.mapAsync(0x01).catch((cause: unknown) => {
        this.throwIfFailed();
        throw new DeviceLostError(`reading '${buffer.label}' back failed: ${String(cause)}`);
      });
      const copy = staging.getMappedRange().slice(0);
      staging.unmap();
      this.throwIfFailed();
      return copy;
    } finally {
      this.destroyBuffer(staging);
    }
  }

  /** Resolves when everything submitted so far is done; rejects with what went wrong. */
  async idle(): Promise<void> {
    await this.gpu.queue.onSubmittedWorkDone();
    this.throwIfFailed();
  }

  /** The pipeline of a kernel, compiled once. Errors: GpuValidationError with the compiler's lines. */
  pipeline(k: Kernel): Promise<GPUComputePipeline> {
    let pipeline = this.pipelines.get(k);
    if (!pipeline) {
      pipeline = this.compile(k);
      this.pipelines.set(k, pipeline);
    }
    return pipeline;
  }

  get pipelineCount(): number {
    return this.pipelines.size;
  }

  private async compile(k: Kernel): Promise<GPUComputePipeline> {
    const { gpu } = this;
    const [x, y, z] = k.workgroup;
    if (x * y * z > this.limits.maxComputeInvocationsPerWorkgroup) {
      throw new FitError(
        `kernel '${k.name}' wants workgroups of ${x * y * z} but this adapter allows ${this.limits.maxComputeInvocationsPerWorkgroup}`,
      );
    }
    const layout = gpu.createBindGroupLayout({
      label: k.name,
      entries: k.bindings.map(({ index, access }) => ({
        binding: index,
        visibility: 0x04, // COMPUTE
        buffer: {
          type: access === 'read' ? 'read-only-storage' : access === 'read_write' ? 'storage' : 'uniform',
        },
      })),
    });
    gpu.pushErrorScope('validation');
    const module = gpu.createShaderModule({ label: k.name, code: k.code });
    const scope = gpu.popErrorScope();
    const messages = (await module.getCompilationInfo()).messages.filter((m) => m.type === 'error');
    await scope;
    if (messages.length > 0) {
      const lines = messages.map((m) => `${k.name}:${m.lineNum}:${m.linePos} ${m.message}`).join('\n');
      const source = k.code.split('\n').map((line, i) => `${String(i + 1).padStart(4)} ${line}`);
      throw new GpuValidationError(`kernel '${k.name}' does not compile:\n${lines}\n${source.join('\n')}`);
    }
    try {
      return await gpu.createComputePipelineAsync({
        label: k.name,
        layout: gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: 'main' },
      });
    } catch (cause) {
      throw new GpuValidationError(`kernel '${k.name}': the driver refused the pipeline: ${String(cause)}`, { cause });
    }
  }

  /** Destroys every buffer made here; the GPUDevice itself belongs to the host that opened it. */
  destroy(): void {
    for (const buffer of [...this.live]) this.destroyBuffer(buffer);
    this.gpu.removeEventListener('uncapturederror', this.onError);
  }
}

function persistent(t: Tensor): GPUBuffer {
  if (t.storage.buffer) return t.storage.buffer;
  throw new ActionError(
    `'${t.label}' ${formatShape(t.shape)} is planned memory of a recording; keep() it and read it there`,
  );
}

function typed(error: GPUError): ActionError {
  if (error.constructor.name === 'GPUOutOfMemoryError') {
    return new GpuMemoryError(
      `the GPU is out of memory: ${error.message}; use a smaller patch, batch or fewer channels`,
    );
  }
  return new GpuValidationError(`WebGPU refused a command: ${error.message}`);
}
