/** The U-Net of engine/nn/unet3d.ts once more, over the ops of another library. */

/** A library's ops on its own values. */
export interface NetworkOps<T> {
  /** Stride 1, padded by half the kernel. */
  convolution(x: T, weight: T, bias?: T): T;
  /** Instance norm, then leaky ReLU. */
  normActivation(x: T, gamma: T, beta: T): T;
  /** The largest of 2 x 2 x 2 voxels. */
  pool(x: T): T;
  /** Transposed convolution, kernel and stride 2. */
  up(x: T, weight: T, bias: T): T;
  /** Along the channels. */
  concat(a: T, b: T): T;
  /** Another hold on a value, for libraries in which an op takes its inputs away. */
  again?(x: T): T;
}

/** Logits. `parameter` gives each parameter once. */
export function networkForward<T>(ops: NetworkOps<T>, levels: number, parameter: (name: string) => T, x: T): T {
  const blocks = (at: string, input: T) => {
    let y = input;
    for (const block of [0, 1]) {
      const name = `${at}.${block}`;
      y = ops.convolution(y, parameter(`${name}.conv.weight`));
      y = ops.normActivation(y, parameter(`${name}.norm.weight`), parameter(`${name}.norm.bias`));
    }
    return y;
  };
  const skips: T[] = [];
  let y = blocks('encoder.0', x);
  for (let level = 1; level < levels; level++) {
    skips.push(ops.again ? ops.again(y) : y);
    y = blocks(`encoder.${level}`, ops.pool(y));
  }
  for (let level = levels - 2; level >= 0; level--) {
    const at = `decoder.${level}`;
    const up = ops.up(y, parameter(`${at}.up.weight`), parameter(`${at}.up.bias`));
    y = blocks(at, ops.concat(up, skips[level]));
  }
  return ops.convolution(y, parameter('head.weight'), parameter('head.bias'));
}
