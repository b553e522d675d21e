// Targets: the outputs that `loss` compares with those of a model.

import { checkOptions, type OptionRule } from '../core/check-options.js';
import { isInt32 } from '../core/check-values.js';
import type { Complete } from '../core/complete.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { checkIds, packed, rowsOf, TokenBatch, type Tokens, unpaddedLength } from '../nn/token-batch.js';

/**
 * Target sequences as training uses them: all tokens but the last go in, all but the first are to come out. Between runs
 * of a program that was recorded with it, others of the same lengths can be written to `input.ids` and `labels`.
 * In an encoder-only model `input` is the source, and there is a label for each of its tokens.
 */
export interface TargetBatch {
  readonly input: TokenBatch;
  /** int32 [N], packed as `input`. */
  readonly labels: Tensor;
}

export interface LossOptions {
  /**
   * A label that is not learnt, as PyTorch's: a 32-bit integer that is none of a class, or one that shall not be learnt;
   * null for none. Default -100. Labels of an encoder-only model may be that where a token has none; among the target
   * tokens of a decoder, which also reads them, it is an id that is read but not learnt.
   */
  ignoreIndex?: number | null | undefined;
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

const IGNORE_INDEX: OptionRule = {
  accepts: (value) => value === null || isInt32(value as number),
  expected: 'a 32-bit integer or null',
};

/** `options` of `loss` with their defaults; `labelSmoothing` is left to the op. */
export function resolveLossOptions(options: LossOptions): Complete<LossOptions> {
  const {
    labelSmoothing = 0,
    ignoreIndex = -100,
    headDiversity = 0,
    rDrop = 0,
  } = checkOptions('loss', options, {
    labelSmoothing: 'any',
    ignoreIndex: IGNORE_INDEX,
    headDiversity: 'notNegative',
    rDrop: 'notNegative',
  });
  return { labelSmoothing, ignoreIndex, headDiversity, rDrop };
}

export function isTargetBatch(target: Tokens | TargetBatch): target is TargetBatch {
  return 'labels' in Object(target);
}

/** The decoder's input, all tokens of each target but the last, and the labels of all: all tokens but the first. */
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

/**
 * Labels of an encoder-only model: one for each source token, `ignoreIndex` for tokens that have none. Rows may go on
 * with `ignoreIndex` where the source is padded.
 */
export function tokenLabels(
  device: Device,
  target: Tokens | TargetBatch,
  { counts }: TokenBatch,
  ignoreIndex: number | null,
): Tensor {
  const given = isTargetBatch(target) ? target.input : target;
  if (given instanceof TokenBatch) {
    checkAligned(given.counts, counts);
    return isTargetBatch(target) ? target.labels : given.ids;
  }
  const rows = rowsOf('loss: target', given, null).rows.map((row) => Array.from(row));
  const lengths = rows.map((row, i) => lengthWithout(row, ignoreIndex, counts[i] ?? 0));
  checkAligned(lengths, counts);
  const labels = rows.map((row, i) => row.slice(0, counts[i]));
  checkIds(
    'loss: target',
    labels.map((row) => row.map((label) => (label === ignoreIndex ? 0 : label))),
  );
  return device.tensor(new Int32Array(packed(labels).ids));
}

/** The length of a row of labels, without those after the first `least` that are not learnt. */
function lengthWithout(row: readonly number[], ignoreIndex: number | null, least: number): number {
  let { length } = row;
  while (length > least && row[length - 1] === ignoreIndex) length--;
  return length;
}

/** Throws ShapeError unless there is a label for each source token, and no more. */
function checkAligned(lengths: readonly number[], counts: readonly number[]): void {
  const of = (numbers: readonly number[]) => `${numbers.length} rows`;
  if (lengths.length !== counts.length) {
    throw new ShapeError(
      `loss: target has ${of(lengths)}, source ${of(counts)}: expected a label for each source token`,
    );
  }
  const i = lengths.findIndex((length, row) => length !== counts[row]);
  if (i < 0) return;
  throw new ShapeError(
    `loss: row ${i} of target has ${lengths[i]} labels, but that of source ${counts[i]} tokens: expected a label for ` +
      'each source token, and ignoreIndex where the source has padding or a token none',
  );
}

/** Rows of token ids. */
export type TokenRows = readonly (readonly number[] | Int32Array)[];

/** How many labels `loss` of these rows is the mean over: those of target tokens, or of an encoder's source tokens. */
export function countLabels(
  kind: 'target tokens' | 'source tokens',
  source: TokenRows | null,
  target: TokenRows,
  { padId, ignoreIndex }: { padId: number | null; ignoreIndex: number | null },
): number {
  const isShifted = kind === 'target tokens';
  let count = 0;
  target.forEach((row, i) => {
    const end = Math.min(row.length, unpaddedLength((isShifted ? row : source?.[i]) ?? row, padId));
    for (let at = isShifted ? 1 : 0; at < end; at++) if (row[at] !== ignoreIndex) count++;
  });
  return count;
}
