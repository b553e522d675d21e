import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import type { ConformerLayer } from '../../nn/conformer.js';
import type { Dropout } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { DistanceRows } from '../../nn/frame-attention.js';
import type { Initializer } from '../../nn/init.js';
import { Linear } from '../../nn/linear.js';
import { LayerNorm } from '../../nn/norm.js';
import type { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { add, mul, scale } from '../../ops/binary.js';
import { dropoutOf, layerDropOf } from '../config-values.js';
import { type AttentionMaker, conformerLayers, conformerNames, frameAttention } from '../conformer-layers.js';
import type { Family } from '../family.js';
import { adapterNames, FrameAdapter } from '../frame-adapter.js';
import type { ModelInputs, ModelOutput } from '../inputs.js';
import type { Json, ModelConfig } from '../model-config.js';
import { checkHead, type PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { CLASSIFYING, soundHead, soundHeadNames, WITHOUT_ADAPTER } from '../sound-heads.js';
import { type Frames, SoundModel } from '../sound-model.js';
import { SpecAugment } from '../spec-augment.js';
import { XVectorHead, xVectorDefaults } from '../x-vector-head.js';

/**
 * wav2vec2-BERT (Barrault et al. 2023, arXiv 2312.05187, section 3.2.1): a Conformer with causal convolutions. Its
 * input is mel filter bank features; each row joins two frames of 10 ms.
 */
export class Wav2Vec2Bert extends SoundModel {
  readonly featureNorm: LayerNorm;
  readonly featureProjection: Linear;
  readonly featureDropout: Dropout;
  readonly specAugment: SpecAugment | null;
  readonly startDropout: Dropout;
  readonly encoder: Stack;
  readonly endNorm = null;
  /** A network between the encoder and the adapter, whose output is halved and added. */
  readonly intermediate: FeedForward | null;
  readonly adapter: FrameAdapter | null;
  readonly head: PredictionHead | null;
  protected override readonly layerWeights: Tensor | null;

  constructor(context: FamilyContext) {
    super(context);
    checkHead(context, ['none', 'ctc', ...CLASSIFYING]);
    const { init, config, head } = context;
    if (WITHOUT_ADAPTER.includes(head)) config.expect('add_adapter', false);
    const dModel = config.size('hidden_size');
    const width = config.size('feature_projection_input_dim');
    this.featureNorm = new LayerNorm(init, width, config.number('layer_norm_eps'));
    this.featureProjection = new Linear(init, width, dModel);
    this.featureDropout = dropoutOf(config, 'feat_proj_dropout', this.randomness);
    this.specAugment = SpecAugment.of(init, config, dModel, this.randomness);
    this.startDropout = dropoutOf(config, 'hidden_dropout', this.randomness);
    const layerDrop = layerDropOf(config, 'layerdrop', this.randomness);
    this.encoder = new Stack(config.size('num_hidden_layers'), this.#layerOf(init, config), null, { layerDrop });
    const isWeighted = CLASSIFYING.includes(head) && config.flag('use_weighted_layer_sum');
    if (isWeighted) config.expect('add_adapter', false); // the sum has other frames than the adapter's
    const states = config.size('num_hidden_layers') + 1;
    this.layerWeights = isWeighted ? init.constant([states], 1 / states) : null;
    this.intermediate = config.flag('use_intermediate_ffn_before_adapter')
      ? new FeedForward(init, { dModel, dFF: config.size('intermediate_size'), activation: 'relu' })
      : null;
    this.adapter = FrameAdapter.of(init, config, true);
    this.head = soundHead(context, this.adapter?.width ?? dModel, () =>
      dropoutOf(config, 'final_dropout', this.randomness),
    );
  }

  #layerOf(init: Initializer, config: ModelConfig): () => ConformerLayer {
    const norm = () => new LayerNorm(init, config.size('hidden_size'), config.number('layer_norm_eps'));
    return conformerLayers(init, config, this.randomness, {
      attention: attentionOf(init, config),
      norm,
      convolution: () => ({ ahead: 0, norm }),
    });
  }

  override get featureWidth(): number {
    return this.settings.size('feature_projection_input_dim');
  }

  override framesOf(columns: number): number {
    return this.adapter?.framesOf(columns) ?? columns;
  }

  protected override encodedFramesOf(columns: number): number {
    return columns;
  }

  protected override adapt({ x, batch }: Frames): Frames {
    const y = this.intermediate ? add(x, scale(this.intermediate.forward(x), 0.5)) : x;
    return this.adapter?.forward({ x: y, batch }) ?? { x: y, batch };
  }

  /** The directions of speakers are for training; graphs lack them. */
  override isOptional(name: string): boolean {
    return super.isOptional(name) || name === 'objective.weight';
  }

  protected override voices(features: Tensor, batch: Sequences, labels: ModelInputs['labels']): ModelOutput | null {
    return this.head instanceof XVectorHead ? this.head.voices(features, batch, labels) : null;
  }

  protected override embedSound(values: Tensor, batch: Sequences): Tensor {
    const normed = this.featureNorm.forward(values.reshape(batch.total, -1));
    const x = this.featureDropout.forward(this.featureProjection.forward(normed)); // [B · frames, dModel]
    const augmented = this.specAugment?.forward(x, batch) ?? x;
    const mask = batch.tokenMask;
    return this.startDropout.forward(mask ? mul(augmented, mask) : augmented);
  }

  protected override get bodyName(): string {
    return 'wav2vec2_bert';
  }

  protected override get stateNames(): StateNames {
    return {
      feature_norm: 'wav2vec2_bert.feature_projection.layer_norm',
      feature_projection: 'wav2vec2_bert.feature_projection.projection',
      'spec_augment.vector': 'wav2vec2_bert.masked_spec_embed',
      ...conformerNames('wav2vec2_bert', this.settings, 'depthwise_layer_norm'),
      'intermediate.linear1': 'wav2vec2_bert.intermediate_ffn.intermediate_dense',
      'intermediate.linear2': 'wav2vec2_bert.intermediate_ffn.output_dense',
      ...adapterNames('wav2vec2_bert'),
      ...soundHeadNames(this.headKind),
    };
  }
}

/** Returns a function that makes the kind of attention that `position_embeddings_type` names. */
function attentionOf(init: Initializer, config: ModelConfig): AttentionMaker {
  if (config.values.position_embeddings_type !== 'relative_key')
    return frameAttention(init, config, 'relative_key, relative, rotary or null');
  const headSize = Math.floor(config.size('hidden_size') / config.size('num_attention_heads'));
  const [before, after] = ['left', 'right'].map((side) => config.number(`${side}_max_position_embeddings`)) as [
    number,
    number,
  ];
  const row = (distance: number) => Math.max(-before, Math.min(after, distance)) + before;
  const max = Math.max(before, after, 1);
  const relative = () => new DistanceRows(init, headSize, { rows: before + 1 + after, max, row });
  return (options) => new MultiHeadAttention(init, { ...options, relative });
}

const defaults: Json = {
  vocab_size: null,
  hidden_size: 1024,
  num_hidden_layers: 24,
  num_attention_heads: 16,
  intermediate_size: 4096,
  feature_projection_input_dim: 160,
  hidden_act: 'swish',
  hidden_dropout: 0,
  activation_dropout: 0,
  attention_dropout: 0,
  feat_proj_dropout: 0,
  final_dropout: 0.1,
  layerdrop: 0.1,
  layer_norm_eps: 1e-5,
  apply_spec_augment: true,
  mask_time_prob: 0.05,
  mask_time_length: 10,
  mask_time_min_masks: 2,
  mask_feature_prob: 0,
  mask_feature_length: 10,
  mask_feature_min_masks: 0,
  ctc_loss_reduction: 'sum',
  ctc_zero_infinity: false,
  use_weighted_layer_sum: false,
  classifier_proj_size: 768,
  ...xVectorDefaults,
  pad_token_id: 0,
  bos_token_id: 1,
  eos_token_id: 2,
  use_intermediate_ffn_before_adapter: false,
  add_adapter: false,
  num_adapter_layers: 1,
  adapter_kernel_size: 3,
  adapter_stride: 2,
  adapter_act: 'relu',
  output_hidden_size: null,
  position_embeddings_type: 'relative_key',
  rotary_embedding_base: 10000,
  left_max_position_embeddings: 64,
  right_max_position_embeddings: 8,
  conv_depthwise_kernel_size: 31,
  conformer_conv_dropout: 0.1,
};

export const wav2vec2Bert: Family = {
  model: Wav2Vec2Bert,
  className: 'Wav2Vec2Bert',
  vocabulary: 'ctc',
  defaults,
};
