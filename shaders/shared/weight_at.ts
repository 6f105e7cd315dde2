import { wgsl } from './wgsl.ts';

/**
 * `weight(tap, row, column)` of weights w [taps, Cin, Cout] as a convolution wants them: `flip` takes the taps in reverse,
 * `transpose` exchanges input and output channels; input channels are counted from p.first on. Wants w as array<f32>, and in
 * Params taps, cin, pitch, first.
 */
export const weightAt = ({ transpose, flip }: { transpose: boolean; flip: boolean }): string => wgsl`
fn weight(tap: u32, row: u32, column: u32) -> f32 {
  #if ${flip}
  let t = p.taps - 1u - tap;
  #else
  let t = tap;
  #endif
  #if ${transpose}
  return w[(t * p.cin + p.first + column) * p.pitch + row];
  #else
  return w[(t * p.cin + p.first + row) * p.pitch + column];
  #endif
}
`;
