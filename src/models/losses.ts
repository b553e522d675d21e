// The losses that transformers computes for labels, head by head.

import { Tensor } from '../core/tensor.js';
import { add, mul, scale, sub } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { crossEntropy } from '../ops/cross-entropy.js';
import { bceWithLogits } from '../ops/losses.js';
import { mean } from '../ops/reduce.js';
import { type ForwardOptions, type ModelInputs, type ModelOutput, type PaddedBatch, perSequence } from './inputs.js';
import type { ModelConfig } from './model-config.js';

/** Label that has no loss, as in transformers. */
export const IGNORED = -100;

/** Mean loss over the labels of tokens, packed like the logits [N, classes]. */
export function tokenLoss(logits: Tensor, labels: readonly number[]): Tensor {
  return crossEntropy(logits, logits.device.tensor(Int32Array.from(labels)), { ignoreIndex: IGNORED });
}

/** Labels of the next token, packed. The last token of each sequence has none. */
export function nextLabels(labels: readonly number[], counts: readonly number[]): number[] {
  let start = 0;
  return counts.flatMap((count) => {
    const following = labels.slice(start + 1, start + count);
    start += count;
    return [...following, IGNORED];
  });
}

/**
 * Loss of classes of sequences, logits [B, labels]. It is the mean squared error for one number, or if the config
 * requires it. For several labels per sequence it is the binary cross entropy, otherwise the cross entropy.
 */
export function sequenceLoss(logits: Tensor, labels: NonNullable<ModelInputs['labels']>, config: ModelConfig): Tensor {
  const { device } = logits;
  const [batch, classes] = logits.shape as [number, number];
  const isMatrix = labels instanceof Tensor ? labels.shape.length === 2 : Array.isArray(labels[0]);
  const kind =
    config.values.problem_type ?? (classes === 1 ? 'regression' : isMatrix ? 'multi_label_classification' : '');
  if (kind === 'multi_label_classification') {
    const targets = labels instanceof Tensor ? labels : device.tensor(labels as readonly number[][]);
    return bceWithLogits(logits, targets);
  }
  if (kind === 'regression') {
    const targets = device.tensor(perSequence('labels', labels, batch * classes), [batch, classes]);
    const difference = sub(logits, targets);
    return mean(mul(difference, difference));
  }
  return tokenLoss(logits, perSequence('labels', labels, batch));
}

/**
 * Scores of the first and last token of an answer, from packed logits [N, 2]. Includes the loss if both positions are
 * given and the loss is wanted.
 */
export function answerOutput(
  logits: Tensor,
  padded: PaddedBatch,
  { startPositions, endPositions }: ModelInputs,
  wanted: boolean,
): ModelOutput {
  const { batch } = padded;
  const [start, end] = [0, 1].map((side) => contiguous(logits.columns(side, side + 1))) as [Tensor, Tensor];
  const shape = batch.time === null ? [batch.total] : [batch.size, batch.time];
  const shown = (scores: Tensor) => padded.unpack(scores).reshape(shape);
  const output: ModelOutput = { startLogits: shown(start), endLogits: shown(end) };
  if (wanted && startPositions && endPositions)
    output.loss = spanLoss(padded.scores(start), padded.scores(end), startPositions, endPositions);
  return output;
}

/** True if the loss of answers is wanted. */
export function wantsSpans({ startPositions, endPositions }: ModelInputs, { loss = true }: ForwardOptions): boolean {
  return loss && startPositions !== undefined && endPositions !== undefined;
}

/** Mean cross entropy of both ends, from scores [B, T]. Positions beyond the rows have no loss. */
export function spanLoss(start: Tensor, end: Tensor, starts: unknown, ends: unknown): Tensor {
  const [batch, time] = start.shape as [number, number];
  const lossOf = (logits: Tensor, name: string, positions: unknown) => {
    const labels = Int32Array.from(perSequence(name, positions, batch), (position) =>
      Math.max(0, Math.min(time, position)),
    );
    return crossEntropy(logits, logits.device.tensor(labels), { ignoreIndex: time });
  };
  const both = add(lossOf(start, 'startPositions', starts), lossOf(end, 'endPositions', ends));
  return scale(both, 1 / 2);
}
