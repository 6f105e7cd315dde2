/** A run folder, wherever it is: a directory on disk, a browser's private file system. Paths use `/`. */
export interface RunStore {
  /** How people call it, for messages. */
  readonly name: string;
  read(path: string): Promise<Uint8Array | undefined>;
  /** Completely or not at all, replacing what was there. */
  write(path: string, content: Uint8Array | string): Promise<void>;
  /** Adds lines to a log. */
  append(path: string, text: string): Promise<void>;
}

/** What a run folder holds. */
export const RUN_FILES = {
  config: 'config.json',
  split: 'split.json',
  environment: 'env.json',
  tuning: 'tuning.json',
  log: 'log.jsonl',
  status: 'status.json',
  latest: 'checkpoints/latest.safetensors',
  best: 'checkpoints/best.safetensors',
  stage1a: 'checkpoints/1a.safetensors',
  stage1b: 'checkpoints/1b.safetensors',
  modelCard: 'model.json',
  weights: 'model.safetensors',
} as const;

/** The checkpoint at the end of a stage that others follow, for runs that start --from it. */
export function stageFile(stage: string): string {
  return `checkpoints/${stage}.safetensors`;
}
