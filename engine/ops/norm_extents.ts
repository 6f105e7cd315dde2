import { CHUNK_LANES } from '../../shaders/shared/chunks.ts';
import type { Device } from '../device.ts';
import { ceilDiv, powerOfTwo, roundUp } from '../shape.ts';
import { channels, rows, type Tensor } from '../tensor.ts';

/** Longest serial sum of the merging stages. */
export const FAN = 64;

/** How x is read: samples x voxels x vec4 units of channels, and the chunks that share the reductions out. */
export interface Extents {
  samples: number;
  voxels: number;
  /** vec4 units of a voxel. */
  pitch: number;
  channels: number;
  /** Channels that share their statistics. */
  size: number;
  /** Chunks of a sample. */
  chunks: number;
  /** Whether a workgroup has a chunk, whose lanes it merges, or an invocation: shaders/shared/chunks.ts. */
  trees: boolean;
  lanes: number;
  length: number;
}

/** Workgroups along an axis of a grid: trees have one for each sample. */
const MOST_SAMPLES = 65535;

/** By workgroups on GPUs; on CPUs, whose barriers are slow, and of very many samples by invocations. */
export function extents(device: Device, x: Tensor, samples: number, size: number): Extents {
  return device.software || samples > MOST_SAMPLES ? flatExtents(x, samples, size) : treeExtents(x, samples, size);
}

function whole(x: Tensor, samples: number, size: number) {
  return { samples, voxels: rows(x) / samples, pitch: x.pitch / 4, channels: channels(x), size };
}

/** Chunks of 16 to 256 voxels, about 8,192 invocations where x has enough for them. */
function flatExtents(x: Tensor, samples: number, size: number): Extents {
  const base = { ...whole(x, samples, size), trees: false };
  const { voxels, pitch } = base;
  if (voxels <= FAN) return { ...base, chunks: 1, lanes: 1, length: voxels };
  const lanes = ceilDiv(64, pitch);
  const length = Math.min(256, Math.max(16, Math.floor((samples * voxels * pitch) / 8192)));
  return { ...base, chunks: ceilDiv(voxels, lanes * length) * lanes, lanes, length };
}

/** Neighbouring vec4 that a workgroup reads at most: two cache lines. */
const MOST_WIDTH = 16;
/** Enough to fill any GPU some times over, so that it is never long half empty. */
const INVOCATIONS = 2 ** 19;

/** 4 to 256 voxels a lane, as many as are read at once or a multiple, about 524,288 invocations where x has enough for them. */
function treeExtents(x: Tensor, samples: number, size: number): Extents {
  const base = { ...whole(x, samples, size), trees: true };
  const { voxels, pitch } = base;
  const lanes = CHUNK_LANES / Math.min(MOST_WIDTH, powerOfTwo(pitch));
  const length = Math.min(256, roundUp(Math.ceil((samples * voxels * pitch) / INVOCATIONS), 4));
  return { ...base, chunks: ceilDiv(voxels, lanes * length), lanes, length };
}

/** What a pass in chunks over x is told, and its invocations or workgroups. */
export function chunkPass(e: Extents): { params: Record<string, number>; work: number | [number, number, number] } {
  const { samples, voxels, pitch, chunks, lanes, length } = e;
  const params = { voxels, pitch, chunks, lanes, length };
  if (e.trees) return { params, work: [chunks, ceilDiv(pitch * lanes, CHUNK_LANES), samples] };
  const count = samples * chunks * pitch;
  return { params: { ...params, count }, work: count };
}
