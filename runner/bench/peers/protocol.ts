/** What `bench peers` asks of a system, ours among them, and what it is told. Volumes are [N, D, H, W, C], dense. */

export interface HostArray {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer>;
}

/** A 3x3x3 convolution, stride 1, padded, without bias; with `gradients` also those of x and w, given dy. */
export interface ConvolutionWork {
  readonly kind: 'convolution';
  readonly name: string;
  readonly gradients: boolean;
  readonly x: HostArray;
  /** [3, 3, 3, Cin, Cout] */
  readonly w: HostArray;
  readonly dy: HostArray;
  /** A multiply-add as two. */
  readonly flops: number;
}

/**
 * The U-Net of engine/nn/unet3d.ts with its defaults: instance norm and leaky ReLU behind each convolution, max pooling,
 * transposed convolutions. Without `training` the logits; with it a step of SGD with momentum (as torch.optim.SGD's) on the
 * mean of cross-entropy and squared soft Dice (engine/ops/soft_dice.ts).
 */
export interface NetworkWork {
  readonly kind: 'network';
  readonly name: string;
  readonly training: boolean;
  readonly channels: readonly number[];
  readonly classes: number;
  readonly slope: number;
  readonly x: HostArray;
  /** A class for each voxel. */
  readonly labels: Uint32Array<ArrayBuffer>;
  /** By the names and in the layout of engine/nn/unet3d_specs.ts. */
  readonly parameters: readonly (HostArray & { readonly name: string })[];
  readonly rate: number;
  readonly momentum: number;
  /** Of the convolutions. */
  readonly flops: number;
}

export type Work = ConvolutionWork | NetworkWork;

/** Of every instance norm and of soft Dice. */
export const EPSILON = 1e-5;
/** Steps whose losses are compared before a step is timed. */
export const CHECKED_STEPS = 3;

/**
 * In our layout: `y`, `dx`, `dw` of a convolution; `logits` of a network; `losses` of the first CHECKED_STEPS steps and `update`,
 * how the first of them changed the parameters, one behind the other.
 */
export type Results = Readonly<Record<string, Float32Array>>;

/** A work that has run at least once, ready to be timed. */
export interface Prepared {
  readonly results: Results;
  /** What stands for an op that the system lacks, in a few words each. */
  readonly notes?: readonly string[];
  /** GPU memory taken, where the system tells. */
  readonly gpuBytes?: number;
  /** Computes `times` over and waits until the results are there. */
  run(times: number): Promise<void>;
  destroy(): void;
}

/** A library on the adapter that it was given. */
export interface System {
  /** What the library itself says that it computes on. */
  readonly backend: string;
  /** Errors: Unsupported for what the library cannot do at all. */
  prepare(work: Work): Promise<Prepared>;
}

/** What a library needs: the device that it shall use, its packages, and bytes of their files. */
export interface PeerContext {
  readonly device: GPUDevice;
  /** The module `file` of an installed package, by default its main one. */
  load(name: string, file?: string): Promise<unknown>;
  /** Where a file of a package lies, as a file: URL, and its bytes. */
  file(name: string, file: string): { url: string; bytes: Uint8Array };
}

export type OpenPeer = (context: PeerContext) => Promise<System>;

/** A work that a system has no means for. The message says what is missing. */
export class Unsupported extends Error {
  override readonly name = 'Unsupported';
}

/** Packages that a peer in JavaScript is made of; the first one's version is told. */
export const PEER_PACKAGES = {
  tfjs: ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-webgpu'],
  'jax-js': ['@jax-js/jax'],
  onnxruntime: ['onnxruntime-web'],
} as const;
export type JavaScriptPeer = keyof typeof PEER_PACKAGES;

export const PEER_NAMES = [...(Object.keys(PEER_PACKAGES) as JavaScriptPeer[]), 'pytorch'] as const;
export type PeerName = (typeof PEER_NAMES)[number];
