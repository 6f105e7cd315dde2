import type { KernelShape } from '../../runner/bench/shapes.ts';

/** Every op that can be timed, at odd sizes that take milliseconds. */
export const TINY: readonly KernelShape[] = [
  { op: 'conv3d', name: 'odd', input: [2, 5, 4, 7, 3], out: 5 },
  { op: 'conv3d', name: 'flat', input: [1, 3, 4, 5, 6], out: 2, kernel: [1, 3, 1] },
  { op: 'conv3d_f16', name: 'odd', input: [2, 4, 4, 7, 6], out: 8 },
  { op: 'conv_transpose3d', name: 'odd', input: [2, 2, 3, 4, 5], out: 3 },
  { op: 'norm', name: 'odd', input: [2, 5, 4, 7, 6] },
  { op: 'max_pool3d', name: 'odd', input: [2, 5, 4, 7, 3] },
  { op: 'max_pool3d', name: 'flat', input: [1, 4, 4, 4, 2], kernel: [1, 2, 2] },
  { op: 'concat', name: 'odd', input: [1, 3, 4, 5, 6] },
  { op: 'loss', name: 'odd', input: [2, 5, 4, 7, 3] },
  { op: 'softmax', name: 'odd', input: [1, 5, 4, 7, 3] },
  { op: 'add', name: 'odd', input: [1, 5, 4, 7, 3] },
  { op: 'matmul', name: 'odd', input: [13, 17], out: 11 },
  { op: 'sgd', name: 'odd', input: [1001] },
];
