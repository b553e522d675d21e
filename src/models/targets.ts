// Targets: the outputs that `loss` compares with those of a model.

import { checkOptions, orNull } from '../core/check-options.js';
import type { Complete } from '../core/complete.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { checkIds, packed, rowsOf, TokenBatch, type Tokens, unpaddedLength } from '../nn/token-batch.js';

/**
 * Target sequences in training: the decoder reads all tokens but the last, and predicts all but the first. Between runs
 * of a recorded program, others of equal lengths can be written to `input.ids` and `labels`. In an encoder-only model,
 * `input` is the source, and each of its tokens has a label.
 */
export interface TargetBatch {
  readonly input: TokenBatch;
  /** int32 [N], packed as `input` is. */
  readonly labels: Tensor;
}

export interface LossOptions {
  /**
   * Label without a loss, as in PyTorch: a 32-bit integer outside the classes, or a class that is not learned; null for
   * none. Default: -100. In an encoder-only model it marks tokens without a label. In a decoder's target it is a token
   * that is read but not learned.
   */
  ignoreIndex?: number | null | undefined;
  /** Share of each label's probability that is spread evenly over the vocabulary. Default: 0; the paper has 0.1. */
  labelSmoothing?: number | undefined;
  /**
   * Weight of the mean cosine between the outputs of pairs of heads, which makes heads differ (Li et al. 2018). Default:
   * 0. Not together with `gradientCheckpointing`.
   */
  headDiversity?: number | undefined;
  /**
   * R-Drop (Liang et al. 2021, arXiv 2106.14448), the paper's α, which is 1 to 5 there. In training, the loss is the
   * mean of two passes, in which dropout drops different elements. To it, rDrop / 4 times the divergence of their
   * predictions is added, KL(p‖q) + KL(q‖p). This is half of the paper's loss, so that it compares with the loss
   * without R-Drop. It doubles the work. Default: 0. Without effect if nothing is dropped.
   */
  rDrop?: number | undefined;
}

/** Options of `loss` with defaults. */
export function resolveLossOptions(options: LossOptions): Complete<LossOptions> {
  const {
    labelSmoothing = 0,
    ignoreIndex = -100,
    headDiversity = 0,
    rDrop = 0,
  } = checkOptions('loss', options, {
    labelSmoothing: 'share',
    ignoreIndex: orNull('int32'),
    headDiversity: 'notNegative',
    rDrop: 'notNegative',
  });
  return { labelSmoothing, ignoreIndex, headDiversity, rDrop };
}

export function isTargetBatch(target: Tokens | TargetBatch): target is TargetBatch {
  return 'labels' in Object(target);
}

/** Input of the decoder, all tokens of each target but the last, and labels, all tokens but the first. */
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
 * Labels of an encoder-only model: one per source token, `ignoreIndex` for tokens without one. Rows may continue with
 * `ignoreIndex` where the source is padded.
 */
export function tokenLabels(
  device: Device,
  target: Tokens | TargetBatch,
  { counts }: TokenBatch,
  ignoreIndex: number | null,
): Tensor {
  const tokens = isTargetBatch(target) ? target.input : target;
  if (tokens instanceof TokenBatch) {
    checkAligned(tokens.counts, counts);
    return isTargetBatch(target) ? target.labels : tokens.ids;
  }
  const rows = rowsOf('loss: target', tokens, null).rows.map((row) => Array.from(row));
  const lengths = rows.map((row, i) => lengthWithout(row, ignoreIndex, counts[i] ?? 0));
  checkAligned(lengths, counts);
  const labels = rows.map((row, i) => row.slice(0, counts[i]));
  checkIds(
    'loss: target',
    labels.map((row) => row.map((label) => (label === ignoreIndex ? 0 : label))),
  );
  return device.tensor(new Int32Array(packed(labels).ids));
}

/** Length of a row of labels, without trailing ones that equal `ignoreIndex`, but at least `min`. */
function lengthWithout(row: readonly number[], ignoreIndex: number | null, min: number): number {
  let { length } = row;
  while (length > min && row[length - 1] === ignoreIndex) length--;
  return length;
}

/** Throws ShapeError unless each source token has exactly one label. */
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

/** Number of labels that `loss` averages for these rows: of target tokens, or of an encoder's source tokens. */
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
    for (let index = isShifted ? 1 : 0; index < end; index++) if (row[index] !== ignoreIndex) count++;
  });
  return count;
}
