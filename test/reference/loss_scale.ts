/** Bounds of the scale. */
export const LEAST = 1;
export const MOST = 2 ** 24;

export interface ScaleState {
  scale: number;
  /** Steps in which a norm was not finite, of all. */
  skipped: number;
  /** Steps since the scale last changed. */
  good: number;
}

export interface Judged {
  /** As reported. */
  readonly norm: number;
  /** Of the scaled gradients; 0 for a step that changes nothing. */
  readonly factor: number;
}

/**
 * One step of torch.amp.GradScaler (growth 2, backoff 0.5) on `state`, with the clipping of torch.nn.utils.clip_grad_norm_ in between
 * (maxNorm 0: none), for several norms of gradients that share a scale.
 */
export function lossScale(
  state: ScaleState,
  norms: readonly number[],
  { interval, maxNorm }: { interval: number; maxNorm: number },
): Judged[] {
  const { scale } = state;
  if (norms.every(Number.isFinite)) {
    state.good++;
    if (state.good >= interval) {
      state.scale = Math.min(2 * scale, MOST);
      state.good = 0;
    }
    return norms.map((scaled) => {
      const norm = scaled / scale;
      return { norm, factor: (maxNorm > 0 ? Math.min(1, maxNorm / (norm + 1e-6)) : 1) / scale };
    });
  }
  state.skipped++;
  state.good = 0;
  state.scale = Math.max(0.5 * scale, LEAST);
  return norms.map((norm) => ({ norm: scale > LEAST ? 0 : norm, factor: 0 }));
}
