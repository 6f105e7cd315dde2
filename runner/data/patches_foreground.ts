/** Positions [z][y][x] of the voxels of each class that occurs, background (0) left out. */
export function foregroundVoxels(label: Uint8Array): Uint32Array[] {
  const counts = new Uint32Array(256);
  for (let i = 0; i < label.length; i++) counts[label[i]]++;
  const voxels = Array.from(counts, (count, value) => new Uint32Array(value === 0 ? 0 : count));
  const filled = new Uint32Array(256);
  for (let i = 0; i < label.length; i++) {
    const value = label[i];
    if (value !== 0) voxels[value][filled[value]++] = i;
  }
  return voxels.filter((list) => list.length > 0);
}
