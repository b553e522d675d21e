import { describeValue } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import { BatchNorm } from '../../nn/batch-norm.js';
import { Conv1d } from '../../nn/conv.js';
import type { Dropout } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { type LayerContext, type LayerParts, TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { GroupNorm, LayerNorm } from '../../nn/norm.js';
import type { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { type Activation, activate } from '../../ops/activation.js';
import { add, div, mul } from '../../ops/binary.js';
import { conv1d } from '../../ops/conv.js';
import { slice, transpose } from '../../ops/move.js';
import { sum } from '../../ops/reduce.js';
import { sqrt } from '../../ops/unary.js';
import { activationOf, dropoutOf, layerDropOf } from '../config-values.js';
import type { Family } from '../family.js';
import { adapterNames, FrameAdapter } from '../frame-adapter.js';
import type { ModelInputs, ModelOutput } from '../inputs.js';
import type { Json, ModelConfig } from '../model-config.js';
import { checkHead, type PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { CLASSIFYING, soundHead, soundHeadNames, WITHOUT_ADAPTER } from '../sound-heads.js';
import { type Frames, SoundModel, type SoundSize } from '../sound-model.js';
import { SpecAugment } from '../spec-augment.js';
import { XVectorHead, xVectorDefaults } from '../x-vector-head.js';

/** `x` and the result: float32 [B, T, dModel]. */
export type FramePositions = Module & { forward(x: Tensor): Tensor };

/** A convolution, an optional norm, and an activation. */
class ConvLayer extends Module {
  readonly conv: Conv1d;
  readonly norm: GroupNorm | LayerNorm | null;

  constructor(
    conv: Conv1d,
    private readonly stride: number,
    norm: GroupNorm | LayerNorm | null,
    private readonly activation: Activation,
  ) {
    super();
    this.conv = conv;
    this.norm = norm;
  }

  /** Returns the number of frames after this layer for `count` frames before it. */
  framesOf(count: number): number {
    const taps = this.conv.weight.shape[2] as number;
    return Math.floor((count - taps) / this.stride) + 1;
  }

  /** float32 [B, T, channels] → [B, T', channels']. */
  forward(x: Tensor): Tensor {
    const y = this.conv.forward(x); // [B, T', channels']
    const normed = this.norm instanceof GroupNorm ? transpose(this.norm.forward(transpose(y))) : this.norm?.forward(y);
    return activate('ConvLayer', normed ?? y, this.activation);
  }
}

/**
 * Position embeddings from a grouped convolution over neighbouring frames. Weight normalization (Salimans & Kingma
 * 2016) splits its weights into a direction and a length for each tap. Batch normalization of the input can replace it.
 */
export class ConvPositions extends Module {
  /** [taps], or null with `batchNorm`: `directions` are then the weights. */
  readonly lengths: Tensor | null;
  /** [dModel, dModel / groups, taps] */
  readonly directions: Tensor;
  /** [dModel] */
  readonly bias: Tensor;
  readonly batchNorm: BatchNorm | null;
  readonly #stride: number;

  constructor(
    init: Initializer,
    dModel: number,
    private readonly taps: number,
    private readonly groups: number,
    private readonly activation: Activation,
    { hasBatchNorm = false, stride = 1 }: { readonly hasBatchNorm?: boolean; readonly stride?: number } = {},
  ) {
    super();
    this.#stride = stride;
    this.batchNorm = hasBatchNorm ? new BatchNorm(init, dModel, { channelsLast: true }) : null;
    this.lengths = hasBatchNorm ? null : init.constant([taps], 1);
    this.directions = init.normal([dModel, dModel / groups, taps], 2 * (taps * dModel) ** -0.5);
    this.bias = init.constant([dModel], 0);
  }

  /** float32 [B, T, dModel] → [B, T / stride, dModel], rounded down. */
  forward(x: Tensor): Tensor {
    const { taps, groups, bias } = this;
    const [time] = x.shape.slice(1) as [number];
    const normed = this.batchNorm?.forward(x) ?? x;
    const options = { stride: this.#stride, padding: Math.floor(taps / 2), groups, channelsLast: true };
    const y = conv1d(normed, this.#weight(), bias, options);
    // With an even kernel size, the output is one frame too long.
    return activate('ConvPositions', slice(y, 1, 0, Math.floor(time / this.#stride)), this.activation);
  }

  #weight(): Tensor {
    const { directions, lengths, taps } = this;
    if (lengths === null) return directions;
    const flat = directions.reshape(-1, taps);
    const norms = sqrt(sum(mul(flat, flat), { axis: 0 })); // [taps]
    return mul(flat, div(lengths, norms)).reshape(directions.shape);
  }
}

/**
 * A narrow network for one language, linear2(relu(linear1(norm(x)))), as in MMS (Pratap et al. 2023, arXiv 2305.13516).
 */
class LanguageAdapter extends Module {
  readonly norm: LayerNorm;
  readonly linear1: Linear;
  readonly linear2: Linear;

  constructor(init: Initializer, dModel: number, width: number) {
    super();
    this.norm = new LayerNorm(init, dModel);
    this.linear1 = new Linear(init, dModel, width);
    this.linear2 = new Linear(init, width, dModel);
  }

  /** `x` and the result: float32 [N, dModel]. */
  forward(x: Tensor): Tensor {
    return this.linear2.forward(this.linear1.forward(this.norm.forward(x), 'relu'));
  }
}

/** A layer whose result an adapter changes. */
class AdaptedLayer extends TransformerLayer {
  readonly adapterLayer: LanguageAdapter;

  constructor(options: LayerParts, adapter: () => LanguageAdapter) {
    super(options);
    this.adapterLayer = adapter();
  }

  override forward(x: Tensor, batch: Sequences, context?: LayerContext): Tensor {
    const y = super.forward(x, batch, context);
    return add(y, this.adapterLayer.forward(y));
  }
}

/** Model types whose frames an adapter may shorten. */
const ADAPTED = ['data2vec-audio', 'wav2vec2', 'wav2vec2-conformer', 'wavlm'];

/**
 * wav2vec 2.0 (Baevski et al. 2020, arXiv 2006.11477): convolutions turn samples into frames, and another one adds
 * positions. An encoder reads the frames.
 */
export class Wav2Vec2 extends SoundModel {
  readonly featureLayers: readonly ConvLayer[];
  readonly featureNorm: LayerNorm | null;
  readonly featureProjection: Linear | null;
  readonly featureDropout: Dropout;
  /** Makes position embeddings of frames. Null if only the layers know positions. */
  readonly positions: FramePositions | null;
  readonly startNorm: LayerNorm | null;
  readonly startDropout: Dropout;
  readonly encoder: Stack;
  readonly endNorm: LayerNorm | null;
  readonly adapter: FrameAdapter | null;
  readonly head: PredictionHead | null;
  readonly specAugment: SpecAugment | null;
  protected override readonly layerWeights: Tensor | null;

  constructor(context: FamilyContext) {
    super(context);
    checkHead(context, ['none', 'ctc', ...CLASSIFYING]);
    const { init, config } = context;
    if (!ADAPTED.includes(config.type) || WITHOUT_ADAPTER.includes(context.head)) config.expect('add_adapter', false);
    const dModel = config.size('hidden_size');
    const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_eps'));
    const dropout = (name: string) => dropoutOf(config, name, this.randomness);
    this.featureLayers = featureLayers(init, config);
    const channels = (config.list('conv_dim') as readonly number[]).at(-1) as number;
    const hasNorm = config.flag('feat_proj_layer_norm');
    this.featureNorm = hasNorm ? new LayerNorm(init, channels, config.number('layer_norm_eps')) : null;
    this.featureProjection = this.projects(channels, dModel) ? new Linear(init, channels, dModel) : null;
    this.featureDropout = dropout('feat_proj_dropout');
    this.positions = this.positionsOf(context);
    const isPre = config.flag('do_stable_layer_norm');
    this.startNorm = isPre ? null : norm();
    this.startDropout = dropout('hidden_dropout');
    const layerDrop = layerDropOf(config, 'layerdrop', this.randomness);
    this.encoder = new Stack(config.size('num_hidden_layers'), this.layerMaker(context), null, { layerDrop });
    this.endNorm = isPre ? norm() : null;
    this.adapter = FrameAdapter.of(init, config);
    this.head = soundHead(context, this.adapter?.width ?? dModel, () => dropout('final_dropout'));
    this.specAugment = SpecAugment.of(init, config, dModel, this.randomness, config.type === 'unispeech-sat');
    const isWeighted = CLASSIFYING.includes(context.head) && config.flag('use_weighted_layer_sum');
    if (isWeighted) config.expect('add_adapter', false); // the sum has other frames than the adapter's
    const states = config.size('num_hidden_layers') + 1;
    this.layerWeights = isWeighted ? init.constant([states], 1 / states) : null;
  }

  /** True if a projection turns features of the convolutions into those of the encoder. */
  protected projects(_channels: number, _dModel: number): boolean {
    return true;
  }

  /** Makes the position embeddings. The constructor calls it. */
  protected positionsOf({ init, config }: FamilyContext): FramePositions | null {
    const [taps, groups] = [config.size('num_conv_pos_embeddings'), config.size('num_conv_pos_embedding_groups')];
    const isBatched = config.type === 'hubert' && config.flag('conv_pos_batch_norm');
    const activation = activationOf(config.text('feat_extract_activation'));
    return new ConvPositions(init, config.size('hidden_size'), taps, groups, activation, { hasBatchNorm: isBatched });
  }

  /** Returns a function that makes a layer. The constructor calls it. */
  protected layerMaker(context: FamilyContext): () => TransformerLayer {
    const { init, config } = context;
    const dModel = config.size('hidden_size');
    const dropout = (name: string) => dropoutOf(config, name, this.randomness);
    const isPre = config.flag('do_stable_layer_norm');
    const adapter = isPre ? config.sizeOrNull('adapter_attn_dim') : null;
    const attention = this.attentionMaker(context);
    return () => {
      const options: LayerParts = {
        selfAttn: () =>
          attention({ dModel, heads: config.size('num_attention_heads'), dropout: dropout('attention_dropout') }),
        feedForward: () =>
          new FeedForward(init, {
            dModel,
            dFF: config.size('intermediate_size'),
            activation: activationOf(config.text('hidden_act')),
            dropout: dropout('activation_dropout'),
          }),
        norm: () => new LayerNorm(init, dModel, config.number('layer_norm_eps')),
        dropout: () => dropout('hidden_dropout'),
        wiring: isPre ? 'pre' : 'post',
        randomness: this.randomness,
      };
      return adapter === null
        ? new TransformerLayer(options)
        : new AdaptedLayer(options, () => new LanguageAdapter(init, dModel, adapter));
    };
  }

  /** Returns a function that makes the attention of a layer. WavLM overrides it. */
  protected attentionMaker({ init }: FamilyContext): (options: MultiHeadOptions) => MultiHeadAttention {
    return (options) => new MultiHeadAttention(init, options);
  }

  override framesOf(samples: number): number {
    const frames = this.featureFramesOf(samples);
    return this.adapter?.framesOf(frames) ?? frames;
  }

  /** Returns the number of frames of the convolutions for a number of samples. */
  protected featureFramesOf(samples: number): number {
    return this.featureLayers.reduce((size, layer) => layer.framesOf(size), samples);
  }

  protected override encodedFramesOf(samples: number): number {
    return this.featureFramesOf(samples);
  }

  /** The directions of speakers are for training; graphs lack them. */
  override isOptional(name: string): boolean {
    return super.isOptional(name) || name === 'objective.weight';
  }

  protected override voices(features: Tensor, batch: Sequences, labels: ModelInputs['labels']): ModelOutput | null {
    return this.head instanceof XVectorHead ? this.head.voices(features, batch, labels) : null;
  }

  protected override adapt(frames: Frames, _size: SoundSize): Frames {
    return this.adapter?.forward(frames) ?? frames;
  }

  /** float32 [B, samples] → [B, frames, dModel]. */
  protected extracted(values: Tensor): Tensor {
    const samples = values.reshape(...values.shape, 1); // [B, samples, 1]
    const frames = this.featureLayers.reduce((x, layer) => layer.forward(x), samples); // [B, frames, channels]
    const normed = this.featureNorm?.forward(frames) ?? frames;
    return this.featureDropout.forward(this.featureProjection?.forward(normed) ?? normed);
  }

  protected override embedSound(values: Tensor, batch: Sequences, _counts: readonly number[] | null): Tensor {
    const x = this.extracted(values);
    const augmented = this.specAugment?.forward(x.reshape(batch.total, -1), batch).reshape(x.shape) ?? x;
    const mask = batch.tokenMask?.reshape(batch.size, batch.longest, 1);
    const visible = mask ? mul(augmented, mask) : augmented;
    const placed = this.positions ? add(visible, this.positions.forward(visible)) : visible;
    const embedded = placed.reshape(batch.total, -1); // [B · frames, dModel]
    return this.startDropout.forward(this.startNorm?.forward(embedded) ?? embedded);
  }

  protected override get bodyName(): string {
    return this.settings.type.replace('-', '_');
  }

  protected override get stateNames(): StateNames {
    const body = this.bodyName;
    const [layer, sound] = [`${body}.encoder.layers.*`, `${body}.feature_extractor.conv_layers.*`];
    const positions = `${body}.encoder.pos_conv_embed`;
    const weights = `${positions}.conv.parametrizations.weight`;
    const isBatched = this.positions instanceof ConvPositions && this.positions.batchNorm !== null;
    return {
      'feature_layers.*.conv': `${sound}.conv`,
      'feature_layers.*.norm': `${sound}.layer_norm`,
      feature_norm: `${body}.feature_projection.layer_norm`,
      feature_projection: `${body}.feature_projection.projection`,
      'positions.lengths': { name: `${weights}.original0`, leading: [1, 1] },
      'positions.directions': isBatched ? `${positions}.conv.weight` : `${weights}.original1`,
      'positions.bias': `${positions}.conv.bias`,
      'positions.batch_norm': `${positions}.batch_norm`,
      start_norm: `${body}.encoder.layer_norm`,
      end_norm: `${body}.encoder.layer_norm`,
      'encoder.layers.*.self_attn.qkv': ['q', 'k', 'v'].map((name) => `${layer}.attention.${name}_proj`),
      'encoder.layers.*.self_attn.out_proj': `${layer}.attention.out_proj`,
      'encoder.layers.*.norm1': `${layer}.layer_norm`,
      'encoder.layers.*.feed_forward.linear1': `${layer}.feed_forward.intermediate_dense`,
      'encoder.layers.*.feed_forward.linear2': `${layer}.feed_forward.output_dense`,
      'encoder.layers.*.norm2': `${layer}.final_layer_norm`,
      'encoder.layers.*.adapter_layer.norm': `${layer}.adapter_layer.norm`,
      'encoder.layers.*.adapter_layer.linear1': `${layer}.adapter_layer.linear_1`,
      'encoder.layers.*.adapter_layer.linear2': `${layer}.adapter_layer.linear_2`,
      ...adapterNames(body),
      'spec_augment.vector': `${body}.masked_spec_embed`,
      ...soundHeadNames(this.headKind),
    };
  }
}

/**
 * Returns the convolutions over samples. All have layer norms, or only the first has a norm of each channel over time.
 */
function featureLayers(init: Initializer, config: ModelConfig): ConvLayer[] {
  const activation = activationOf(config.text('feat_extract_activation'));
  const [channels, kernels, strides] = ['conv_dim', 'conv_kernel', 'conv_stride'].map((name) => config.list(name)) as [
    number[],
    number[],
    number[],
  ];
  const kind = config.text('feat_extract_norm');
  if (kind !== 'group' && kind !== 'layer')
    throw new FormatError(`config.json: feat_extract_norm is ${describeValue(kind)}, expected group or layer`);
  return channels.map((outputs, i) => {
    const inputs = i === 0 ? 1 : (channels[i - 1] as number);
    const stride = strides[i] as number;
    const options = { stride, channelsLast: true };
    const conv = new Conv1d(init, {
      inputs,
      outputs,
      kernel: kernels[i] as number,
      ...options,
      bias: config.flag('conv_bias'),
    });
    if (kind === 'layer') return new ConvLayer(conv, stride, new LayerNorm(init, outputs), activation);
    return new ConvLayer(conv, stride, i === 0 ? new GroupNorm(init, outputs, outputs) : null, activation);
  });
}

export const wav2vec2Defaults: Json = {
  vocab_size: 32,
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  intermediate_size: 3072,
  hidden_act: 'gelu',
  hidden_dropout: 0.1,
  activation_dropout: 0.1,
  attention_dropout: 0.1,
  feat_proj_dropout: 0,
  final_dropout: 0.1,
  layerdrop: 0.1,
  layer_norm_eps: 1e-5,
  feat_extract_norm: 'group',
  feat_extract_activation: 'gelu',
  feat_proj_layer_norm: true,
  conv_dim: [512, 512, 512, 512, 512, 512, 512],
  conv_stride: [5, 2, 2, 2, 2, 2, 2],
  conv_kernel: [10, 3, 3, 3, 3, 2, 2],
  conv_bias: false,
  num_conv_pos_embeddings: 128,
  num_conv_pos_embedding_groups: 16,
  do_stable_layer_norm: false,
  conv_pos_batch_norm: false,
  add_adapter: false,
  num_adapter_layers: 3,
  adapter_kernel_size: 3,
  adapter_stride: 2,
  output_hidden_size: null,
  apply_spec_augment: true,
  mask_time_prob: 0.05,
  mask_time_length: 10,
  mask_time_min_masks: 2,
  mask_feature_prob: 0,
  mask_feature_length: 10,
  mask_feature_min_masks: 0,
  use_weighted_layer_sum: false,
  ctc_loss_reduction: 'sum',
  ctc_zero_infinity: false,
  classifier_proj_size: 256,
  ...xVectorDefaults,
  pad_token_id: 0,
  bos_token_id: 1,
  eos_token_id: 2,
};

export const wav2vec2: Family = {
  model: Wav2Vec2,
  className: 'Wav2Vec2',
  vocabulary: 'ctc',
  defaults: wav2vec2Defaults,
};

/** HuBERT (Hsu et al. 2021, arXiv 2106.07447): the network of wav2vec 2.0, trained differently. */
export const hubert: Family = {
  model: Wav2Vec2,
  className: 'Hubert',
  vocabulary: 'ctc',
  defaults: wav2vec2Defaults,
};

/** UniSpeech (Wang et al. 2021, arXiv 2101.07597) and UniSpeech-SAT (Chen et al. 2021, arXiv 2110.05752). */
export const uniSpeech: Family = {
  ...wav2vec2,
  className: 'UniSpeech',
  defaults: { ...wav2vec2Defaults, ctc_loss_reduction: 'mean' },
};
export const uniSpeechSat: Family = { ...uniSpeech, className: 'UniSpeechSat' };
