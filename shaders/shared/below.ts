import { wgsl } from './wgsl.ts';

/**
 * `below(word, n)`: a random word as an integer in [0, n), floor(word n / 2^32) to the last bit; unbiased to n / 2^32.
 * Integers only, so that the host (Number(BigInt(word) * BigInt(n) >> 32n)) and PyTorch get the same one.
 */
export const below = wgsl`
fn below(word: u32, n: u32) -> u32 {
  let low = (word & 0xffffu) * (n & 0xffffu);
  let middle = (word >> 16u) * (n & 0xffffu) + (low >> 16u);
  let other = (word & 0xffffu) * (n >> 16u) + (middle & 0xffffu);
  return (word >> 16u) * (n >> 16u) + (middle >> 16u) + (other >> 16u);
}
`;
