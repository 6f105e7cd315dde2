/** Counts what a step must not do. */

/** Mappings of buffers while `body` runs; `buffer` is any buffer of the device. */
export async function mappingsIn(buffer: GPUBuffer, body: () => Promise<void>): Promise<number> {
  const prototype = Object.getPrototypeOf(buffer) as GPUBuffer;
  const { mapAsync } = prototype;
  let mappings = 0;
  prototype.mapAsync = function (...options) {
    mappings++;
    return mapAsync.apply(this, options);
  };
  try {
    await body();
  } finally {
    prototype.mapAsync = mapAsync;
  }
  return mappings;
}
