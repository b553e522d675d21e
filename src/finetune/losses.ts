// Losses for sentence embeddings, distillation and preferences. Results equal those of sentence-transformers, PyTorch
// and trl.

import { checkOptions, orNull } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { normalized } from '../models/retrieval/modules/normalize.js';
import { relu } from '../ops/activation.js';
import { add, mul, scale, sub } from '../ops/binary.js';
import { crossEntropy } from '../ops/cross-entropy.js';
import { cosineSimilarity, klDiv, mseLoss } from '../ops/losses.js';
import { matmul } from '../ops/matmul.js';
import { concat } from '../ops/move.js';
import { mean } from '../ops/reduce.js';
import { logSoftmax, softmax } from '../ops/softmax.js';
import { norm } from '../ops/statistics.js';
import { softplus } from '../ops/unary.js';

/**
 * In-batch negatives (MultipleNegativesRankingLoss). Each anchor should be nearer to its own positive than to the other
 * positives and the negatives, if given. The loss is the cross entropy of cosines times `scale`. All tensors are
 * float32 [B, d].
 */
export function inBatchNegatives(
  anchors: Tensor,
  positives: Tensor,
  options: { /** Default: 20. */ scale?: number | undefined; negatives?: Tensor | null | undefined } = {},
): Tensor {
  const checked = checkOptions('inBatchNegatives', options, { scale: 'positive', negatives: orNull('tensor') });
  const { scale: factor = 20, negatives } = checked;
  const candidates = negatives ? concat([positives, negatives]) : positives;
  const cosines = matmul(normalized(anchors), normalized(candidates), { transposeB: true });
  const diagonal = Int32Array.from({ length: anchors.shape[0] as number }, (_, i) => i);
  return crossEntropy(scale(cosines, factor), anchors.device.tensor(diagonal));
}

/**
 * The mean squared difference between the cosines of pairs and their scores, which are from -1 to 1
 * (CosineSimilarityLoss).
 */
export function cosineLoss(a: Tensor, b: Tensor, scores: readonly number[]): Tensor {
  return mseLoss(cosineSimilarity(a, b), a.device.tensor(Float32Array.from(scores)));
}

/**
 * CoSENTLoss (Su 2022): pairs with higher scores should have higher cosines, for any scale of the scores. The loss is
 * ln(1 + Σ exp(scale·(cosⱼ − cosᵢ))) over all i, j with scoreᵢ > scoreⱼ.
 */
export function rankedCosineLoss(
  a: Tensor,
  b: Tensor,
  scores: readonly number[],
  options: { /** Default: 20. */ scale?: number | undefined } = {},
): Tensor {
  const { scale: factor = 20 } = checkOptions('rankedCosineLoss', options, { scale: 'positive' });
  const { device } = a;
  const size = scores.length;
  const cosines = scale(cosineSimilarity(a, b), factor);
  const differences = sub(cosines.reshape(1, size), cosines.reshape(size, 1)); // [i, j] is cosⱼ − cosᵢ
  const hidden = scores.flatMap((score) => scores.map((other) => (score > other ? 0 : -1e12)));
  const terms = add(differences, device.tensor(Float32Array.from(hidden), [size, size])).reshape(1, size * size);
  return crossEntropy(concat([device.zeros([1, 1]), terms], -1), device.tensor(Int32Array.of(0)));
}

export interface TripletOptions {
  /** Default: 5 for 'euclidean', 0.5 for 'cosine'. */
  margin?: number | undefined;
  /** Default: 'euclidean'. */
  distance?: 'euclidean' | 'cosine' | undefined;
}

/** The mean of max(0, distance to the positive − distance to the negative + margin) (TripletLoss). All [B, d]. */
export function tripletLoss(anchor: Tensor, positive: Tensor, negative: Tensor, options: TripletOptions = {}): Tensor {
  const kinds = { margin: 'notNegative', distance: ['euclidean', 'cosine'] } as const;
  const { distance = 'euclidean', margin = distance === 'cosine' ? 0.5 : 5 } = checkOptions(
    'tripletLoss',
    options,
    kinds,
  );
  const between = (a: Tensor, b: Tensor) =>
    distance === 'cosine' ? add(scale(cosineSimilarity(a, b), -1), 1) : norm(add(sub(a, b), 1e-6), { axis: -1 });
  return mean(relu(add(sub(between(anchor, positive), between(anchor, negative)), margin)));
}

/**
 * Contrastive loss of pairs (ContrastiveLoss, Hadsell et al. 2006): pairs with label 1 should be near, pairs with label
 * 0 farther apart than the margin. It is the mean of ½(y·d² + (1 − y)·max(0, margin − d)²), d = 1 − cosine.
 */
export function contrastiveLoss(
  a: Tensor,
  b: Tensor,
  labels: readonly number[],
  options: { /** Default: 0.5. */ margin?: number | undefined } = {},
): Tensor {
  const { margin = 0.5 } = checkOptions('contrastiveLoss', options, { margin: 'positive' });
  const distance = add(scale(cosineSimilarity(a, b), -1), 1);
  const apart = relu(add(scale(distance, -1), margin));
  const y = a.device.tensor(Float32Array.from(labels));
  const terms = add(mul(y, mul(distance, distance)), mul(add(scale(y, -1), 1), mul(apart, apart)));
  return scale(mean(terms), 1 / 2);
}

/**
 * T²·KL(softmax(teacher / T) ‖ softmax(student / T)), the mean over rows (Hinton et al. 2015). Both [rows, classes]; no
 * gradient goes to the teacher.
 */
export function distillationLoss(
  student: Tensor,
  teacher: Tensor,
  options: { /** T. Default: 2. */ temperature?: number | undefined } = {},
): Tensor {
  const { temperature = 2 } = checkOptions('distillationLoss', options, { temperature: 'positive' });
  const target = student.device.noGrad(() => softmax(scale(teacher, 1 / temperature)));
  const divergence = klDiv(logSoftmax(scale(student, 1 / temperature)), target, { reduction: 'batchmean' });
  return scale(divergence, temperature ** 2);
}

/** Log-probabilities of answers, summed over their tokens, each [B]. */
export interface AnswerScores {
  readonly chosen: Tensor;
  readonly rejected: Tensor;
}

/**
 * Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290): the mean of −ln σ(β·((πᶜ − πʳ) − (ρᶜ −
 * ρʳ))). π is the trained policy, ρ the reference that it started from.
 */
export function dpoLoss(
  policy: AnswerScores,
  reference: AnswerScores,
  options: {
    /** β. Default: 0.1. */ beta?: number | undefined /** Default: 0. */;
    labelSmoothing?: number | undefined;
  } = {},
): Tensor {
  const kinds = { beta: 'positive', labelSmoothing: 'notNegative' } as const;
  const { beta = 0.1, labelSmoothing = 0 } = checkOptions('dpoLoss', options, kinds);
  const margin = sub(sub(policy.chosen, policy.rejected), sub(reference.chosen, reference.rejected));
  const threshold = Number.MAX_VALUE; // exact, whatever the size
  const right = softplus(scale(margin, -beta), { threshold });
  if (labelSmoothing === 0) return mean(right);
  const wrong = softplus(scale(margin, beta), { threshold });
  return mean(add(scale(right, 1 - labelSmoothing), scale(wrong, labelSmoothing)));
}
