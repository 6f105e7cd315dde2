/** What the methods are trained with: one object a recipe, read by methods.ts. Triples are [z, y, x]. */
import type { TrainConfigInput } from '../../runner/train/config.ts';
import type { ActionConfig, DeepPartial } from '../../runner/train/config_action.ts';

interface Steps {
  readonly steps: number;
}

/** Steps of each stage of ACTION, and whatever else of section `action` differs from the preset `small`. */
export type ActionSettings = DeepPartial<ActionConfig> & {
  readonly stage1a: Steps;
  readonly stage1b: Steps;
  readonly stage2: Steps;
};

export interface Recipe {
  /** Of every method alike: network, patch, batch, augmentation, validation. */
  readonly every: TrainConfigInput;
  /** Of every method but ACTION, which have one stage: steps, optimiser. */
  readonly oneStage: TrainConfigInput & Steps;
  /** The baselines' own sections. */
  readonly baselines?: Readonly<Partial<Record<'mean-teacher' | 'ua-mt' | 'cps', TrainConfigInput>>>;
  /** Of ACTION and its ablations. */
  readonly action: ActionSettings;
  /** Of the cycles on pseudo-labels of whole volumes that go on from a finished ACTION. */
  readonly volumes: { readonly augmentation?: TrainConfigInput['augmentation']; readonly stage2: Steps };
}

const NETWORK = { channels: [8, 16, 32, 64] };

/** Two cycles without a ramp, unlabelled patches deformed more than labelled ones. */
const volumes = (steps: number) => ({
  augmentation: {
    unlabelled: {
      ...{ rotation: [20, 20, 20] as [number, number, number], scale: 0.2 },
      elastic: { probability: 0.5, spacing: [16, 16, 16] as [number, number, number], amplitude: 1.5 },
    },
  },
  stage2: { steps, cycles: 2, ramp: 0 },
});

/** The PyTorch runs' recipe (pytorch.ts has their numbers); what is not named is our default and the same there. */
const reference: Recipe = {
  every: { network: { ...NETWORK, classPrior: false }, patch: [32, 48, 32], batch: 2, validation: 0 },
  oneStage: { steps: 600, optimiser: { rate: 0.3, warmUp: 20, clip: 5 } },
  action: { stage1a: { steps: 100 }, stage1b: { steps: 250 }, stage2: { steps: 350, cycles: 1 } },
  volumes: volumes(350),
};

/**
 * The steps of `reference`, with heads that start at the classes' shares: stage 1b then needs no long way off the plateau on which
 * the classes are confused (bench/results.md), and stage 2 gets its steps, in two cycles.
 */
const quick: Recipe = {
  every: { ...reference.every, network: NETWORK },
  oneStage: reference.oneStage,
  action: { stage1a: { steps: 100 }, stage1b: { steps: 100 }, stage2: { steps: 500, cycles: 2 } },
  volumes: volumes(500),
};

/**
 * Our own: the same with 2200 steps for every method alike, in ACTION four cycles of stage 2. Chosen in PyTorch on the validation
 * cases of --select (bench/results.md).
 */
const best: Recipe = {
  every: quick.every,
  oneStage: { ...reference.oneStage, steps: 2200 },
  action: { stage1a: { steps: 100 }, stage1b: { steps: 100 }, stage2: { steps: 2000, cycles: 4 } },
  volumes: volumes(1000),
};

export const RECIPES = { reference, quick, best } as const;
export type RecipeName = keyof typeof RECIPES;

/** Rows of the memory banks in the preset `small`, and patches that a step of stage 1 adds to them. */
const BANK = { rows: 36, patches: 4 };

/**
 * For trials: the recipe with every schedule, ACTION's stages too, in the proportion that gives methods of one stage `steps`,
 * and banks that stage 1 still fills before its last step.
 */
export function withSteps(recipe: Recipe, steps: number): Recipe {
  const { oneStage, action, volumes } = recipe;
  const scaled = <S extends Steps>(stage: S): S => ({
    ...stage,
    steps: Math.max(2, Math.round((stage.steps * steps) / oneStage.steps)),
  });
  const [stage1a, stage1b] = [scaled(action.stage1a), scaled(action.stage1b)];
  const most = BANK.patches * (Math.min(stage1a.steps, stage1b.steps) - 1);
  const bank = <B extends { readonly K?: number }>(section: B | undefined) => ({
    ...section,
    K: Math.min(section?.K ?? BANK.rows, most),
  });
  const banks = { global: bank(action.global), local: bank(action.local) };
  return {
    ...recipe,
    oneStage: { ...oneStage, steps },
    action: { ...action, ...banks, stage1a, stage1b, stage2: scaled(action.stage2) },
    volumes: { ...volumes, stage2: scaled(volumes.stage2) },
  };
}
