/** Finds the model of a run: its card, and its weights or, while training goes on, those of a checkpoint. */
import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { DataError } from '../../engine/errors.ts';
import type { ParameterValues } from '../../engine/nn/parameters.ts';
import { runFolder } from '../host/run_folder.ts';
import { decodeWeights, type ModelCard, parseModelCard } from '../predict/model.ts';
import { decodeCheckpoint } from '../train/checkpoint.ts';
import { RUN_FILES } from '../train/run_store.ts';

export interface FoundModel {
  readonly card: ModelCard;
  readonly weights: ParameterValues;
  /** The file that the weights come from. */
  readonly file: string;
  /** A sentence for the user where these are not the weights of a finished training. */
  readonly note?: string;
}

/** @throws DataError where the folder holds no model, or a damaged one */
export async function findModel(folder: string): Promise<FoundModel> {
  if ((await stat(folder).catch(() => undefined))?.isFile()) {
    const inside = dirname(folder);
    const run = basename(inside) === 'checkpoints' ? dirname(inside) : inside;
    throw new DataError(`${folder} is a file; give the run folder, ${run}`);
  }
  const run = runFolder(folder);
  const name = (path: string) => `${folder}/${path}`;
  const json = await run.read(RUN_FILES.modelCard);
  if (!json) {
    throw new DataError(
      `${name(RUN_FILES.modelCard)} does not exist, so there is no model; give the folder that action3d train wrote`,
    );
  }
  const card = parseModelCard(new TextDecoder().decode(json), name(RUN_FILES.modelCard));
  const finished = await run.read(RUN_FILES.weights);
  if (finished) {
    const file = name(RUN_FILES.weights);
    return { card, weights: decodeWeights(finished, file), file };
  }
  for (const path of [RUN_FILES.best, RUN_FILES.latest]) {
    const saved = await run.read(path);
    if (!saved) continue;
    const { step, groups } = decodeCheckpoint(saved, name(path));
    const weights = groups.get('student');
    if (!weights) throw new DataError(`${name(path)} holds no student network; copy it again from the run`);
    const note = `Training has not finished: these are the weights of ${name(path)}, step ${step}.`;
    return { card, weights, file: name(path), note };
  }
  throw new DataError(
    `${folder} has a ${RUN_FILES.modelCard} but no weights (${RUN_FILES.weights}, ${RUN_FILES.best} or ${RUN_FILES.latest}); copy them there, or train until the first checkpoint`,
  );
}
