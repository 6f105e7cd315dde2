/** What a file that is not NIfTI most likely is, and the way out of it. */

const SIGNATURES: readonly (readonly [offset: number, signature: string, what: string, remedy: string])[] = [
  [128, 'DICM', 'a DICOM file', 'convert the series with dcm2niix'],
  [0, 'NRRD', 'an NRRD file', 'convert it to .nii.gz'],
  [0, 'ObjectType', 'a MetaImage file', 'convert it to .nii.gz'],
  [0, '\x89HDF', 'an HDF5 file', 'give it the ending .h5, or convert it to .nii.gz'],
  [0, 'CDF', 'a MINC (NetCDF) file', 'convert it with mnc2nii'],
  [0, '\x89PNG', 'a PNG picture', 'stack the slices into one .nii.gz'],
  [0, '\xff\xd8\xff', 'a JPEG picture', 'stack the slices into one .nii.gz'],
  [0, 'II*\0', 'a TIFF picture', 'convert it to .nii.gz with the right voxel sizes'],
  [0, 'MM\0*', 'a TIFF picture', 'convert it to .nii.gz with the right voxel sizes'],
  [0, 'PK\x03\x04', 'a zip archive', 'unpack it first'],
  [0, '\x28\xb5\x2f\xfd', 'zstandard-compressed', 'unpack it and compress it with gzip'],
  [0, 'BZh', 'bzip2-compressed', 'unpack it and compress it with gzip'],
  [0, '\xfd7zXZ', 'xz-compressed', 'unpack it and compress it with gzip'],
  [0, 'version https://git-lfs', 'a Git LFS pointer', 'fetch the file itself with git lfs pull'],
  [0, '<', 'a web page or XML text', 'download the volume itself'],
];

/** A sentence about `bytes`, which carry no NIfTI magic. */
export function describeForeign(bytes: Uint8Array, name: string): string {
  if (bytes.length === 0) return `${name} is empty (0 bytes); copy or export it again`;
  for (const [offset, signature, what, remedy] of SIGNATURES) {
    if (startsWith(bytes, offset, signature)) return `${name} is ${what}, not NIfTI; ${remedy}`;
  }
  if (bytes.length < 348) {
    return `${name} is too short for a NIfTI header (${bytes.length} bytes, at least 348 needed); copy or export it again`;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getInt32(0, true) === 348 || view.getInt32(0, false) === 348) {
    return `${name} has an Analyze 7.5 header, which does not say how the volume is oriented; convert it to NIfTI first`;
  }
  return `${name} is not a NIfTI file (no n+1, ni1, n+2 or ni2 in its header); expected .nii, .nii.gz or .hdr with .img`;
}

function startsWith(bytes: Uint8Array, offset: number, signature: string): boolean {
  for (let i = 0; i < signature.length; i++) {
    if (bytes[offset + i] !== signature.charCodeAt(i)) return false;
  }
  return true;
}
