import type { Device } from '../../core/device.js';
import type { Tensor } from '../../core/tensor.js';
import type { Encoder } from '../../nn/encoder-decoder.js';
import type { TokenBatch } from '../../nn/token-batch.js';
import type { PretrainedTokenizer } from '../../tokenizers/pretrained-tokenizer.js';
import type { ModelInputs, ModelOutput } from '../inputs.js';
import type { Json } from '../model-config.js';
import type { HeadKind, PredictionHead } from '../prediction-head.js';
import type { SentenceHead } from './sentence-head.js';

/** A model of texts, as retrieval needs it. */
export interface TextReader {
  readonly device: Device;
  readonly config: Json;
  readonly headKind: HeadKind;
  readonly head: PredictionHead | null;
  readonly encoder: Encoder | null;
  readonly maxLength: number;
  readonly tokenizer: PretrainedTokenizer | null;
  readonly sentenceHead: SentenceHead | null;
  takes(name: keyof ModelInputs): boolean;
  /**
   * @internal Output of the layers for packed tokens, before any head: float32 [N, hidden]. Padding that a mask hides
   * is computed, too.
   */
  featuresOf(inputs: ModelInputs): Tensor;
  /** @internal Same as `featuresOf`, yielding after each layer. Hidden states are appended to `hiddenStates`. */
  featuresInParts(inputs: ModelInputs, hiddenStates?: Tensor[]): Generator<unknown, Tensor>;
  /** @internal Same as `forward`, yielding after each layer. */
  forwardInParts(inputs: ModelInputs): Generator<unknown, ModelOutput>;
  /**
   * @internal Vectors of texts for the model's own features, [N, hidden], if it makes such: those that CLIP compares with
   * images, float32 [B, d].
   */
  textVectors?(features: Tensor, batch: TokenBatch): Tensor;
  logitsOf(features: Tensor): Tensor;
  forward(inputs: ModelInputs): ModelOutput;
}

/** The most tokens of a sequence: the model's own limit, or its tokenizer's if that is lower. */
export function tokenLimit({ tokenizer, maxLength }: Pick<TextReader, 'tokenizer' | 'maxLength'>): number {
  const limit = tokenizer?.config?.model_max_length;
  return typeof limit === 'number' ? Math.min(limit, maxLength) : maxLength;
}
