/** The losses on one page; each has its formula, shapes and gradient rule in its own file. All return [1]. */
export { type CrossEntropyOptions, crossEntropy } from '../ops/cross_entropy.ts';
export { type KlDivergenceOptions, klDivergence } from '../ops/kl_divergence.ts';
export { type Certainty, maskedSoftmaxMse } from '../ops/masked_softmax_mse.ts';
export { type DiceCrossEntropy, diceCrossEntropy, type SoftDiceOptions, softDice } from '../ops/soft_dice.ts';
export { softmaxMse } from '../ops/softmax_mse.ts';
