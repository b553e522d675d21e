// Models for pretraining, which predict masked words and the order of two texts.

import type { Tensor } from '../core/tensor.js';
import { add } from '../ops/binary.js';
import { EncoderModel } from './encoder-model.js';
import type { ForwardOptions, ModelInputs, ModelOutput, PaddedBatch } from './inputs.js';
import { tokenLoss } from './losses.js';
import type { PredictionHead } from './prediction-head.js';

/** The names of the order's labels and logits in a family. */
export interface OrderNames {
  readonly labels: 'nextSentenceLabel' | 'sentenceOrderLabel';
  readonly logits: 'seqRelationshipLogits' | 'sopLogits';
}

const NEXT_SENTENCE: OrderNames = { labels: 'nextSentenceLabel', logits: 'seqRelationshipLogits' };
export const SENTENCE_ORDER: OrderNames = { labels: 'sentenceOrderLabel', logits: 'sopLogits' };

/** An encoder whose head 'pretraining' also predicts the order of two texts. */
export abstract class PairEncoder extends EncoderModel {
  /** Predicts the order of two texts, beside the words of `head`. Null with other heads. */
  abstract readonly order: PredictionHead | null;
  protected readonly orderNames: OrderNames = NEXT_SENTENCE;

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return this.order ? [...super.inputNames, this.orderNames.labels] : super.inputNames;
  }

  protected override headOutput(...args: Parameters<EncoderModel['headOutput']>): ModelOutput {
    const [words, ...given] = args;
    return this.order
      ? pretrainingOutput({ words, order: this.order }, this.orderNames, ...given)
      : super.headOutput(...args);
  }
}

/**
 * Returns the logits of both heads for packed features, float32 [N, hidden]. There is a loss if words and the order
 * have labels: the sum of both.
 */
function pretrainingOutput(
  heads: { readonly words: PredictionHead; readonly order: PredictionHead },
  names: OrderNames,
  features: Tensor,
  padded: PaddedBatch,
  inputs: ModelInputs,
  options: ForwardOptions,
): ModelOutput {
  const words = heads.words.forward(features, padded.sequences);
  const order = heads.order.forward(features, padded.sequences);
  const output: ModelOutput = { predictionLogits: padded.unpack(words), [names.logits]: order };
  const { labels, [names.labels]: orders } = inputs;
  if (labels === undefined || orders === undefined || options.loss === false) return output;
  const ofWords = tokenLoss(words, padded.pack('labels', labels as number[][]));
  return { ...output, loss: add(ofWords, tokenLoss(order, [...orders])) };
}
