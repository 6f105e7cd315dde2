/** NIfTI-1 and NIfTI-2 files, bytes to `Volume` and back. */
export type { AffineSource } from './nifti_affine.ts';
export type { LabelNames } from './nifti_extension.ts';
export { type NiftiHeader, type ReadNiftiOptions, readNifti, readNiftiHeader } from './nifti_read.ts';
export { type WriteNiftiOptions, writeNifti } from './nifti_write.ts';
