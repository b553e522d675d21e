import type { Tensor } from '../core/tensor.js';
import type { AttentionMaps } from '../inspect/attention-maps.js';
import type { Stack } from '../nn/stack.js';
import { unpaddedLength } from '../nn/token-batch.js';
import { gather } from '../ops/move.js';
import { type ForwardOptions, type ModelInputs, type ModelOutput, PaddedBatch, unpackMaps } from './inputs.js';
import { answerOutput, nextLabels, sequenceLoss, tokenLoss, wantsSpans } from './losses.js';
import type { Json } from './model-config.js';
import type { PredictionHead } from './prediction-head.js';
import { type BatchLayout, PretrainedModel } from './pretrained-model.js';

/** A language model: every token attends to the tokens before it. */
export abstract class CausalModel extends PretrainedModel {
  override readonly encoder = null;
  abstract override readonly decoder: Stack;
  abstract override readonly head: PredictionHead | null;

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    const answers = this.headKind === 'question-answering' ? (['startPositions', 'endPositions'] as const) : [];
    return ['inputIds', 'attentionMask', 'labels', ...answers];
  }

  protected override run(inputs: ModelInputs, options: ForwardOptions, layout: BatchLayout): ModelOutput {
    // transformers' loss of answers runs over all places of a row, with padding.
    const padding = this.headKind === 'question-answering' && wantsSpans(inputs, options) ? 'kept' : 'dropped';
    const padded = PaddedBatch.from(this.device, 'inputIds', inputs.inputIds, inputs.attentionMask, padding);
    layout.target = padded;
    const { batch } = padded;
    const hiddenStates: Tensor[] | undefined = options.hiddenStates ? [] : undefined;
    const features = this.#features(padded, hiddenStates);
    const output: ModelOutput = {};
    if (hiddenStates) output.hiddenStates = hiddenStates.map((state) => padded.unpack(state));
    const { head } = this;
    if (head === null) {
      output.lastHiddenState = padded.unpack(features);
      const sentence = this.sentenceHead?.forward(features, batch);
      if (sentence) output.sentenceEmbedding = sentence;
      return output;
    }
    if (this.headKind === 'question-answering')
      return { ...output, ...answerOutput(head.forward(features, batch), padded, inputs, options.loss ?? true) };
    const labels = (options.loss ?? true) ? inputs.labels : undefined;
    if (this.headKind === 'sequence-classification') {
      const logits = this.logitsOf(gather(features, this.#lastTokens(padded)));
      if (labels) output.loss = sequenceLoss(logits, labels, this.settings);
      return { ...output, logits };
    }
    const isNext = this.headKind === 'language-model';
    const logits = isNext ? this.logitsOf(features) : head.forward(features, batch);
    if (labels) {
      const own = padded.pack('labels', labels as number[][]);
      output.loss = tokenLoss(logits, isNext ? nextLabels(own, batch.counts) : own);
    }
    return { ...output, logits: padded.unpack(logits) };
  }

  protected override passFeatures({ inputIds, attentionMask }: ModelInputs): Tensor {
    return this.#features(PaddedBatch.from(this.device, 'inputIds', inputIds, attentionMask, 'dropped'));
  }

  /** The features of the last layer, float32 [N, hidden]. */
  #features(padded: PaddedBatch, hiddenStates?: Tensor[]): Tensor {
    const x = this.embedTarget(padded.batch.ids, this.positionsOf(padded));
    return this.decoder.forward(x, padded.sequences, { hiddenStates });
  }

  /** int32 [N]: positions of tokens, and of padding if it is computed. */
  protected positionsOf({ batch }: PaddedBatch): Tensor {
    return batch.positions;
  }

  /** Rows of the last tokens that differ from the padding id. transformers ignores the mask here, too. */
  #lastTokens({ rows, batch: { counts } }: PaddedBatch): Tensor {
    const padId = this.settings.numberOrNull('pad_token_id');
    let start = 0;
    const ends = counts.map((count, i) => {
      const row = rows?.[i];
      const end = start + (row ? Math.max(1, unpaddedLength(row, padId)) : count) - 1;
      start += count;
      return end;
    });
    return this.device.tensor(Int32Array.from(ends));
  }

  protected override mapsOf({ decoder }: AttentionMaps, _: ModelOutput, { target }: BatchLayout): ModelOutput {
    return { attentions: unpackMaps(decoder, target) };
  }

  protected override embedSource(ids: Tensor, positions: Tensor): Tensor {
    return this.embedTarget(ids, positions);
  }

  /** With RoPE's type `dynamic`, the maximum is multiplied by its factor, because its angles are stretched. */
  override get maxLength(): number {
    const { rope_type: type, factor } = (this.config.rope_parameters ?? {}) as Json;
    return type === 'dynamic' && typeof factor === 'number' ? Math.floor(factor * super.maxLength) : super.maxLength;
  }

  /** With longrope, the length beyond which other frequencies apply. */
  get rereadLength(): number | null {
    const { rope_type: type, original_max_position_embeddings: length } = (this.config.rope_parameters ?? {}) as Json;
    return type === 'longrope' && typeof length === 'number' && length < this.maxLength ? length : null;
  }

  override get startId(): number | null {
    return this.settings.numberOrNull('bos_token_id');
  }
}
