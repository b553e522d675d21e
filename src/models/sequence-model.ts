import { copied } from '../core/copied.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { type AttentionMaps, observeAttention, observeHeads } from '../inspect/attention-maps.js';
import { checkInputs } from '../nn/encoder-decoder.js';
import { withHeadDiversity } from '../nn/head-diversity.js';
import { inference } from '../nn/module.js';
import { withRDrop } from '../nn/r-drop.js';
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

/** A model of pairs of sequences: what it says of each token of a target, or of a source if it has no decoder. */
export abstract class SequenceModel extends Model {
  /**
   * Logits for every token: of an encoder–decoder `forward(source, target)`, the next target token's; encoder-only
   * `forward(source)`; decoder-only `forward(target)` (or `forward(null, target)`).
   *
   * Batches are rows of ids or an int32 tensor [B, T], padded at the end with `padId` or ragged; the result is then
   * [B, T, vocabulary], zero at padding. Or they are packed, `{ ids, lengths }`; the result is then [N, vocabulary].
   * Neither the form nor the other sequences make a difference to the bits of what one gives.
   *
   * Throws ShapeError, DTypeError, and ArgumentError if a source is given to a model without an encoder, a target to
   * one without a decoder, one of them is missing, or an id is outside the vocabulary: nothing is queued then.
   * Ids that were written to a TokenBatch's tensor since it was made fail the run (CommandError) instead.
   */
  forward(source: Tokens | null, target?: Tokens): Tensor {
    return this.device.scope(() => {
      this.beginPass();
      const { features, batch } = this.#features('forward', source, target);
      const logits = this.logitsOf(features);
      return batch.time === null ? logits : unpack(logits, batch.lengths, batch.time);
    });
  }

  /**
   * The mean cross entropy of the next target token, given `source` and the tokens before it: decoder inputs are all
   * but the last token of each target, labels all but the first. Encoder-only: `target` has a label for each source
   * token and no others. Labels that are `ignoreIndex`, by default -100, are not learnt and do not count; padding at the
   * end of a target is no token, `padId` elsewhere is one like others. Decoder-only: `source` is null. The result is a
   * scalar, ready for `backward()`. Throws as `forward`, and ArgumentError for options that make no sense.
   */
  loss(source: Tokens | null, target: Tokens | TargetBatch, options: LossOptions = {}): Tensor {
    const { labelSmoothing, ignoreIndex, headDiversity, rDrop } = resolveLossOptions(options);
    if (headDiversity > 0 && this.gradientCheckpointing) {
      throw new ArgumentError('loss: headDiversity needs what gradientCheckpointing forgets; use one of them');
    }
    return this.device.scope(() => {
      this.beginPass();
      const shifted = this.decoder === null ? null : isTargetBatch(target) ? target : this.shift(target, 'loss');
      const pass = () => this.#features('loss', source, shifted?.input);
      const outputs: Tensor[] = [];
      const { features, batch } = headDiversity > 0 ? observeHeads(this.attentions, outputs, pass) : pass();
      const labels = shifted?.labels ?? tokenLabels(this.device, target, batch, ignoreIndex);
      const lossOf = (logits: Tensor) => crossEntropy(logits, labels, { labelSmoothing, ignoreIndex });
      const logits = this.logitsOf(features);
      let loss = lossOf(logits);
      if (rDrop > 0 && this.drops) {
        this.beginPass('dropoutSeed2');
        const again = this.logitsOf(pass().features);
        loss = withRDrop([loss, lossOf(again)], [logits, again], rDrop);
      }
      return headDiversity > 0 ? withHeadDiversity(loss, headDiversity, outputs, this.#heads) : loss;
    });
  }

  /** How many labels `loss` of the same rows and options is the mean over. */
  countLabels(source: TokenRows | null, target: TokenRows, options: LossOptions = {}): number {
    const kind = this.decoder === null ? 'source tokens' : 'target tokens';
    const { ignoreIndex } = resolveLossOptions(options);
    return countLabels(kind, source, target, { padId: this.padId, ignoreIndex });
  }

  /** Uploads target sequences as `loss` uses them, each of two tokens at least. Throws as `forward`. */
  shift(target: Tokens, /** @internal */ op = 'shift'): TargetBatch {
    const { inputs, labels } = shiftedTargets(op, target, this.padId);
    const input = this.toBatch(`${op}: target`, packed(inputs));
    return { input, labels: this.device.tensor(labels) };
  }

  /**
   * The log-probability of every token of given targets, as `loss` takes them: the first one only begins it, and the
   * end counts if it is there. `source` is null for decoder-only models. Rejects with what `forward` throws.
   */
  score(source: Tokens | null, target: Tokens): Promise<ScoreResult> {
    const [sources, targets] = [copied(source), copied(target)];
    return import('./score.js').then(({ score }) => score(this, sources, targets));
  }

  /**
   * The attention probabilities of every layer for one batch: what each token looked at. Without dropout or gradients.
   * The tensors belong to the scope it is called in. Throws as `forward`.
   */
  attentionMaps(source: Tokens | null, target?: Tokens): AttentionMaps {
    return inference(this, () =>
      observeAttention(this.attentions, () => this.#features('attentionMaps', source, target)),
    );
  }

  /** The heads of each attention, which all have as many. */
  get #heads(): number {
    return Object.values(this.attentions).flat()[0]?.heads ?? 1;
  }

  /** The last layer's output for every token, [N, dModel], and the batch that says to whom they belong. */
  #features(op: string, first: Tokens | null, second?: Tokens | null): { features: Tensor; batch: TokenBatch } {
    const { encoder, decoder } = this;
    const [source, target] = encoder === null ? [second ? first : null, second ?? first] : [first, second];
    checkInputs(op, this, source, target);
    const memory = encoder === null ? null : this.encodeBatch(source as Tokens);
    if (decoder === null) {
      const { hidden, batch } = memory as Encoded;
      return { features: hidden, batch };
    }
    const batch = this.toBatch('target', target as Tokens);
    if (memory !== null && memory.batch.size !== batch.size) {
      throw new ShapeError(`${op}: ${memory.batch.size} source and ${batch.size} target sequences`);
    }
    const x = this.embedTarget(batch.ids, batch.positions);
    return { features: decoder.forward(x, batch, { memory }), batch };
  }
}
