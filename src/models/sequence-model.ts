import { copied } from '../core/copied.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { atOnce } from '../core/slices.js';
import type { Tensor } from '../core/tensor.js';
import { observeHeads } from '../inspect/attention-maps.js';
import { checkInputs } from '../nn/encoder-decoder.js';
import { withHeadDiversity, withRDrop } from '../nn/regularisers.js';
import { packed, type TokenBatch, type Tokens } from '../nn/token-batch.js';
import { crossEntropy } from '../ops/cross-entropy.js';
import { unpack } from '../ops/move.js';
import { type Encoded, Model } from './model.js';
import type { ScoreResult } from './score.js';
import {
  countLabels,
  isTargetBatch,
  type LossOptions,
  resolveLossOptions,
  shiftedTargets,
  type TargetBatch,
  type TokenRows,
  tokenLabels,
} from './targets.js';

/**
 * A model of pairs of sequences. It predicts each token of a target, or labels each token of a source if it has no
 * decoder.
 */
export abstract class SequenceModel extends Model {
  /**
   * Logits for every token. Encoder–decoder: `forward(source, target)` predicts the next target token. Encoder-only:
   * `forward(source)`. Decoder-only: `forward(target)` or `forward(null, target)`.
   *
   * Batches are rows of ids, or an int32 tensor [B, T], ragged or padded at the end with `padId`. The result is then
   * [B, T, vocabulary], zero at padding. Packed batches, `{ ids, lengths }`, give [N, vocabulary]. The bits of a
   * sequence's logits depend neither on the form nor on the other sequences.
   *
   * Throws ShapeError, DTypeError and ArgumentError, before anything is queued. ArgumentError means a source without an
   * encoder, a target without a decoder, a missing input, or an id outside the vocabulary. Wrong ids that were written
   * to a TokenBatch's tensor later fail the run instead (CommandError).
   */
  forward(source: Tokens | null, target?: Tokens): Tensor {
    return this.device.scope(() => {
      this.beginPass();
      const { features, batch } = atOnce(this.#features('forward', source, target));
      const logits = this.logitsOf(features);
      return batch.time === null ? logits : unpack(logits, batch.lengths, batch.time);
    });
  }

  /**
   * Mean cross entropy of the next target token, given `source` and the tokens before it. Decoder inputs are all but
   * the last token of each target, labels all but the first. For encoder-only models, `target` has one label per source
   * token. For decoder-only models, `source` is null. Labels equal to `ignoreIndex`, by default -100, do not count.
   * Padding at the end of a target is ignored, but `padId` elsewhere is an ordinary token.
   *
   * Returns a scalar for `backward()`. Throws as `forward`, and ArgumentError for invalid options.
   */
  loss(source: Tokens | null, target: Tokens | TargetBatch, options: LossOptions = {}): Tensor {
    return this.device.scope(() => atOnce(this.lossInParts(source, target, options)));
  }

  /** @internal Same as `loss`, but yields after each layer. The caller runs it in a scope. */
  *lossInParts(
    source: Tokens | null,
    target: Tokens | TargetBatch,
    options: LossOptions = {},
  ): Generator<unknown, Tensor> {
    const { labelSmoothing, ignoreIndex, headDiversity, rDrop } = resolveLossOptions(options);
    if (headDiversity > 0 && this.gradientCheckpointing) {
      throw new ArgumentError(
        'loss: headDiversity needs the outputs of heads, which gradientCheckpointing drops; use one of them',
      );
    }
    this.beginPass();
    const shifted = this.decoder === null ? null : isTargetBatch(target) ? target : this.shift(target, 'loss');
    const pass = () => this.withPassSeed(this.#features('loss', source, shifted?.input));
    const outputs: Tensor[] = [];
    const { features, batch } =
      headDiversity > 0 ? observeHeads(this.attentions, outputs, () => atOnce(pass())) : yield* pass();
    const labels = shifted?.labels ?? tokenLabels(this.device, target, batch, ignoreIndex);
    const lossOf = (logits: Tensor) => crossEntropy(logits, labels, { labelSmoothing, ignoreIndex });
    const logits = this.logitsOf(features);
    let loss = lossOf(logits);
    if (rDrop > 0 && this.usesDropout) {
      this.beginPass('dropoutSeed2');
      const again = this.logitsOf((yield* pass()).features);
      loss = withRDrop([loss, lossOf(again)], [logits, again], rDrop);
    }
    return headDiversity > 0 ? withHeadDiversity(loss, headDiversity, outputs, this.#heads) : loss;
  }

  /** Number of labels that `loss` averages for these rows and options. */
  countLabels(source: TokenRows | null, target: TokenRows, options: LossOptions = {}): number {
    const kind = this.decoder === null ? 'source tokens' : 'target tokens';
    const { ignoreIndex } = resolveLossOptions(options);
    return countLabels(kind, source, target, { padId: this.padId, ignoreIndex });
  }

  /** Uploads target sequences, each of at least two tokens, in the form that `loss` uses. Throws as `forward`. */
  shift(target: Tokens, /** @internal */ op = 'shift'): TargetBatch {
    const { inputs, labels } = shiftedTargets(op, target, this.padId);
    const input = this.toBatch(`${op}: target`, packed(inputs));
    return { input, labels: this.device.tensor(labels) };
  }

  /**
   * Log-probabilities of the tokens of given targets, in the form that `loss` takes. The first token only begins a
   * target; an end token counts. `source` is null for decoder-only models. Rejects with the errors of `forward`.
   */
  score(source: Tokens | null, target: Tokens): Promise<ScoreResult> {
    const [sources, targets] = [copied(source), copied(target)];
    return import('./score.js').then(({ score }) => score(this, sources, targets));
  }

  /** The pass that `trace` runs; see `Traceable`. */
  runPass(op: string, source: Tokens | null, target?: Tokens): Tensor {
    return atOnce(this.#features(op, source, target)).features;
  }

  /** Number of heads, which is equal in all layers. */
  get #heads(): number {
    return Object.values(this.attentions).flat()[0]?.heads ?? 1;
  }

  /** Output of the last layer for every token, [N, dModel], with its batch. Yields after each layer. */
  *#features(
    op: string,
    first: Tokens | null,
    second?: Tokens | null,
  ): Generator<unknown, { features: Tensor; batch: TokenBatch }> {
    const { encoder, decoder } = this;
    const [source, target] = encoder === null ? [second ? first : null, second ?? first] : [first, second];
    checkInputs(op, this, source, target);
    const memory = encoder === null ? null : yield* this.encodeBatchInParts(source as Tokens);
    if (decoder === null) {
      const { hidden, batch } = memory as Encoded;
      return { features: hidden, batch };
    }
    const batch = this.toBatch('target', target as Tokens);
    if (memory !== null && memory.batch.size !== batch.size) {
      throw new ShapeError(`${op}: ${memory.batch.size} source and ${batch.size} target sequences`);
    }
    const x = this.embedTarget(batch.ids, batch.positions);
    return { features: yield* decoder.forwardInParts(x, batch, { memory }), batch };
  }
}
