import { DataError, UsageError } from '../../engine/errors.ts';
import { Stream } from '../../engine/random.ts';
import type { Case, Dataset } from './dataset.ts';

export interface SplitOptions {
  /** The first K training cases, or their ids; all of them when absent. */
  readonly labelled?: number | readonly string[];
  /**
   * Validation cases: how many to draw from the labelled ones (they then do not train), or the ids of any training case
   * with a label. When absent, those that the data set itself sets aside.
   */
  readonly validation?: number | readonly string[];
  /** Draws the validation cases. */
  readonly seed?: number;
}

export interface Split {
  /** Cases whose labels train the network. */
  readonly labelled: readonly Case[];
  /** Cases without a label, and training cases that were not chosen: those have lost theirs, so that it is never read. */
  readonly unlabelled: readonly Case[];
  readonly validation: readonly Case[];
  readonly test: readonly Case[];
  /** SHA-256 over which case has which part, 16 hexadecimal digits. */
  readonly hash: string;
}

const VALIDATION_STREAM = 0x7661;

/** @throws UsageError for unknown or repeated ids and for counts that do not fit; DataError when nothing is labelled. */
export async function makeSplit(dataset: Dataset, options: SplitOptions = {}): Promise<Split> {
  if (dataset.labelled.length === 0) {
    throw new DataError(
      `${dataset.root} has no labelled training case (${dataset.unlabelled.length} unlabelled); add labels for at least one image`,
    );
  }
  const chosen = chooseLabelled(dataset, options.labelled);
  const validation = chooseValidation(dataset, chosen, options);
  const held = new Set(validation.map((item) => item.id));
  const labelled = chosen.filter((item) => !held.has(item.id));
  if (labelled.length === 0) {
    throw new UsageError(
      `All ${chosen.length} labelled cases are set aside for validation and none is left to train on; keep at least one for training`,
    );
  }
  const used = new Set([...labelled, ...validation].map((item) => item.id));
  const rest = dataset.labelled.filter((item) => !used.has(item.id)).map(({ id, images }): Case => ({ id, images }));
  const parts = { labelled, unlabelled: [...rest, ...dataset.unlabelled], validation, test: dataset.test };
  return { ...parts, hash: await splitHash(parts) };
}

function chooseLabelled({ labelled }: Dataset, choice: SplitOptions['labelled']): readonly Case[] {
  if (choice === undefined) return labelled;
  if (typeof choice !== 'number') return findCases(labelled, choice, 'labelled');
  if (!Number.isInteger(choice) || choice < 1 || choice > labelled.length) {
    throw new UsageError(
      `${choice} labelled cases were asked for, but the data set has ${labelled.length}; choose 1 to ${labelled.length}`,
    );
  }
  return labelled.slice(0, choice);
}

function chooseValidation(
  dataset: Dataset,
  chosen: readonly Case[],
  { validation, seed = 0 }: SplitOptions,
): readonly Case[] {
  if (validation === undefined) return dataset.validation;
  if (typeof validation !== 'number')
    return findCases([...dataset.labelled, ...dataset.validation], validation, 'validation');
  if (!Number.isInteger(validation) || validation < 0 || validation >= chosen.length) {
    throw new UsageError(
      `${validation} validation cases were asked for, but they are taken from ${chosen.length} labelled ones; choose 0 to ${chosen.length - 1}`,
    );
  }
  const drawn = new Stream(seed, VALIDATION_STREAM).permutation(chosen.length).slice(0, validation);
  return drawn.sort((a, b) => a - b).map((i) => chosen[i]);
}

/** Cases by id, in the order of the ids. */
function findCases(cases: readonly Case[], ids: readonly string[], role: string): Case[] {
  const byId = new Map(cases.map((item) => [item.id, item]));
  const repeated = ids.find((id, i) => ids.indexOf(id) !== i);
  if (repeated !== undefined) {
    throw new UsageError(`The list of ${role} cases names ${repeated} more than once; keep one line`);
  }
  if (ids.length === 0) throw new UsageError(`The list of ${role} cases is empty; give one case id a line`);
  return ids.map((id) => {
    const found = byId.get(id);
    if (found) return found;
    const near = nearest(id, [...byId.keys()]);
    throw new UsageError(
      `The list of ${role} cases names ${id}, which is no labelled training case; ${near ? `did you mean ${near}?` : `they are called like ${cases[0].id}`}`,
    );
  });
}

/** Case ids of a list file: one a line, blank lines and what follows a # left out, file endings tolerated. */
export function parseCaseList(text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line) =>
      line
        .replace(/#.*/, '')
        .trim()
        .replace(/(_0000)?\.(nii(\.gz)?|h5)$/, ''),
    )
    .filter(Boolean);
}

/** The candidate with the fewest edits (Levenshtein), if fewer than a third of the letters have to change. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates.map((candidate) => ({ candidate, edits: editDistance(word, candidate) }));
  ranked.sort((a, b) => a.edits - b.edits);
  return ranked.length > 0 && ranked[0].edits * 3 <= word.length + 2 ? ranked[0].candidate : undefined;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length];
}

async function splitHash(parts: Omit<Split, 'hash'>): Promise<string> {
  const ids = (cases: readonly Case[]) => cases.map((item) => item.id);
  const { labelled, unlabelled, validation, test } = parts;
  const text = JSON.stringify([labelled, unlabelled, validation, test].map(ids));
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return [...new Uint8Array(digest, 0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
