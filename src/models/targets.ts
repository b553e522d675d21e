// What a model is to say, as `loss` compares it with what the model does say.

import { checkKnown, checkNumber, isNotNegative } from '../core/check.js';
import type { Complete } from '../core/complete.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { checkIds, packed, rowsOf, TokenBatch, type Tokens, unpaddedLength } from '../nn/token-batch.js';

/**
 * Target sequences as training uses them: all tokens but the last go in, all but the first are to come out. Between runs
 * of a program that was recorded with it, others of the same lengths can be written to `input.ids` and `labels`.
 * Of an encoder-only model `input` is the source, and there is a label for each of its tokens.
 */
export interface TargetBatch {
  readonly input: TokenBatch;
  /** int32 [N], packed as `input`. */
  readonly labels: Tensor;
}

export interface LossOptions {
  /** The share of each label's probability that is spread evenly over the vocabulary. Default 0; the paper has 0.1. */
  labelSmoothing?: number | undefined;
  /**
   * Adds this much of the mean cosine between the outputs of any two heads of an attention, so that heads learn to
   * differ (Li et al. 2018). Default 0. Not together with `gradientCheckpointing`.
   */
  headDiversity?: number | undefined;
  /**
   * R-Drop (Liang et al. 2021, arXiv 2106.14448): in training the loss is the mean of two passes, in which dropout
   * drops different elements, plus rDrop / 4 times the divergence of their predictions, KL(p‖q) + KL(q‖p). This is the
   * paper's α, 1 to 5 there, and half the paper's loss, so that it compares with the loss without R-Drop. Twice the
   * work. Default 0. Without effect where nothing is dropped.
   */
  rDrop?: number | undefined;
}

/** `options` of `loss` with their defaults; `labelSmoothing` is left to the op. */
export function resolveLossOptions(options: LossOptions): Complete<LossOptions> {
  const names = ['labelSmoothing', 'headDiversity', 'rDrop'] as const;
  const { labelSmoothing = 0, headDiversity = 0, rDrop = 0 } = checkKnown('loss', options, names);
  for (const [name, value] of Object.entries({ headDiversity, rDrop }))
    checkNumber('loss', name, value, isNotNegative, 'a number, 0 or more');
  return { labelSmoothing, headDiversity, rDrop };
}

export function isTargetBatch(target: Tokens | TargetBatch): target is TargetBatch {
  return 'labels' in Object(target);
}

/** Of each target all tokens but the last, and of all together the labels: all but the first. */
export function shiftedTargets(
  op: string,
  target: Tokens,
  padId: number | null,
): { inputs: number[][]; labels: Int32Array } {
  if (target instanceof TokenBatch) throw new ArgumentError(`${op}: give the target as ids, or what shift() returned`);
  const rows = rowsOf(`${op}: target`, target, padId).rows.map((row) => Array.from(row));
  rows.forEach(({ length }, i) => {
    if (length < 2) throw new ShapeError(`${op}: target ${i} has ${length} tokens: nothing comes after the first`);
  });
  checkIds(`${op}: target`, rows);
  return {
    inputs: rows.map((row) => row.slice(0, -1)),
    labels: new Int32Array(packed(rows.map((row) => row.slice(1))).ids),
  };
}

/** Throws ShapeError unless there is a label for each source token, and no more if that must be so. */
function checkAligned(lengths: readonly number[], counts: readonly number[], isExact: boolean): void {
  const fits = (length: number, i: number) => (isExact ? length === counts[i] : length >= (counts[i] as number));
  if (lengths.length === counts.length && lengths.every(fits)) return;
  throw new ShapeError('loss: target has other lengths than source: expected a label for each source token');
}

/** Labels of an encoder-only model: one for each source token, `padId` among them for tokens that have none. */
export function tokenLabels(device: Device, target: Tokens | TargetBatch, { counts }: TokenBatch): Tensor {
  const given = isTargetBatch(target) ? target.input : target;
  if (given instanceof TokenBatch) {
    checkAligned(given.counts, counts, true);
    return isTargetBatch(target) ? target.labels : given.ids;
  }
  const { rows, time } = rowsOf('loss: target', given, null);
  checkAligned(
    rows.map(({ length }) => length),
    counts,
    time === null,
  );
  const labels = rows.map((row, i) => Array.from(row).slice(0, counts[i]));
  checkIds('loss: target', labels);
  return device.tensor(new Int32Array(packed(labels).ids));
}

/** Rows of token ids. */
export type TokenRows = readonly (readonly number[] | Int32Array)[];

/** How many labels `loss` of these rows is the mean over; the model has a decoder unless labels are the source's. */
export function countLabels(
  hasDecoder: boolean,
  source: TokenRows | null,
  target: TokenRows,
  padId: number | null,
): number {
  const from = hasDecoder ? 1 : 0;
  let count = 0;
  target.forEach((row, i) => {
    const end = unpaddedLength((hasDecoder ? row : source?.[i]) ?? row, padId);
    for (let at = from; at < end; at++) if (at < row.length && row[at] !== padId) count++;
  });
  return count;
}
