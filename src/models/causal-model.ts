import type { Tensor } from '../core/tensor.js';
import type { AttentionMaps } from '../inspect/attention-maps.js';
import type { Stack } from '../nn/stack.js';
import { type ForwardOptions, type ModelInputs, type ModelOutput, PaddedBatch } from './inputs.js';
import { nextLabels, sequenceLoss, tokenLoss } from './losses.js';
import type { PredictionHead } from './prediction-head.js';
import { PretrainedModel } from './pretrained-model.js';

/** A language model: every token sees those before it. */
export abstract class CausalModel extends PretrainedModel {
  override readonly encoder = null;
  abstract override readonly decoder: Stack;
  abstract override readonly head: PredictionHead | null;

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return ['inputIds', 'attentionMask', 'labels'];
  }

  protected override run(inputs: ModelInputs, options: ForwardOptions): ModelOutput {
    const padded = PaddedBatch.from(this.device, 'inputIds', inputs.inputIds, inputs.attentionMask);
    const { batch } = padded;
    const hiddenStates: Tensor[] = [];
    const features = this.decoder.forward(this.embedTarget(batch.ids, batch.positions), batch, { hiddenStates });
    const output: ModelOutput = {};
    if (options.hiddenStates) output.hiddenStates = hiddenStates.map((state) => padded.unpack(state));
    if (this.head === null) return { ...output, lastHiddenState: padded.unpack(features) };
    const logits = this.head.pick === 'tokens' ? this.logitsOf(features) : this.head.forward(features, batch);
    const labels = (options.loss ?? true) ? inputs.labels : undefined;
    if (this.headKind === 'sequence-classification') {
      if (labels) output.loss = sequenceLoss(logits, labels, this.settings);
      return { ...output, logits };
    }
    if (labels) output.loss = tokenLoss(logits, nextLabels(padded.pack('labels', labels as number[][]), batch.counts));
    return { ...output, logits: padded.unpack(logits) };
  }

  protected override mapsOf({ decoder }: AttentionMaps): ModelOutput {
    return { attentions: decoder };
  }

  protected override embedSource(ids: Tensor, positions: Tensor): Tensor {
    return this.embedTarget(ids, positions);
  }

  logitsOf(features: Tensor): Tensor {
    return this.head?.out?.forward(features) ?? features;
  }

  override get vocabSize(): number {
    return this.settings.size('vocab_size');
  }

  override get maxLength(): number {
    return this.settings.size('max_position_embeddings');
  }

  override get startId(): number | null {
    return this.settings.numberOrNull('bos_token_id');
  }

  override get endIds(): readonly number[] {
    const ids = this.config.eos_token_id;
    return typeof ids === 'number' ? [ids] : Array.isArray(ids) ? (ids as number[]) : [];
  }
}
