import { ShapeError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Conv2d } from '../../nn/conv.js';
import { Dropout } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { LayerNorm } from '../../nn/norm.js';
import type { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import { type StateNames, withBody } from '../../nn/state-names.js';
import { add, scale } from '../../ops/binary.js';
import { concat, gather, permute } from '../../ops/move.js';
import { activationOf, dropoutOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { ModelInputs, ModelOutput } from '../inputs.js';
import { labelsOf } from '../labels.js';
import { vitModule } from '../module-names.js';
import { checkHead, PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { SoundModel } from '../sound-model.js';
import { imageDefaults } from './vit.js';

/** Tokens before the patches. */
const PREFIX = 2;
const BODY = 'audio_spectrogram_transformer';

/**
 * The audio spectrogram Transformer (Gong et al. 2021, arXiv 2104.01778): a ViT over overlapping patches of a
 * spectrogram of fixed length.
 */
export class Ast extends SoundModel {
  readonly projection: Conv2d;
  /** Two learned tokens, each float32 [dModel]. */
  readonly classToken: Tensor;
  readonly secondToken: Tensor;
  /** float32 [tokens, dModel] */
  readonly positions: Tensor;
  readonly dropout: Dropout;
  readonly encoder: Stack;
  readonly endNorm: LayerNorm;
  readonly head: PredictionHead | null;
  /** Bands of a spectrogram, and their patches in a column. */
  readonly #bands: number;

  constructor(context: FamilyContext) {
    super(context);
    checkHead(context, ['none', 'sequence-classification']);
    const { init, config, head } = context;
    const dModel = config.size('hidden_size');
    const patch = config.size('patch_size');
    const stride = [config.size('frequency_stride'), config.size('time_stride')] as const;
    this.#bands = patchesAlong(config.size('num_mel_bins'), patch, stride[0]);
    this.projection = new Conv2d(init, {
      inputs: 1,
      outputs: dModel,
      kernel: [patch, patch],
      stride,
      channelsLast: true,
    });
    this.classToken = init.normal([dModel], dModel ** -0.5);
    this.secondToken = init.normal([dModel], dModel ** -0.5);
    this.positions = init.normal([this.framesOf(config.size('max_length')), dModel], dModel ** -0.5);
    const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_eps'));
    const dropout = () => new Dropout(config.number('hidden_dropout_prob'), this.randomness);
    this.dropout = dropout();
    const attention = { dModel, heads: config.size('num_attention_heads'), bias: config.flag('qkv_bias') };
    const activation = activationOf(config.text('hidden_act'));
    const layer = () =>
      new TransformerLayer({
        selfAttn: () => {
          const ofAttention = dropoutOf(config, 'attention_probs_dropout_prob', this.randomness);
          return new MultiHeadAttention(init, { ...attention, outBias: true, dropout: ofAttention });
        },
        feedForward: () => new FeedForward(init, { dModel, dFF: config.size('intermediate_size'), activation }),
        norm,
        dropout,
        wiring: 'pre',
        randomness: this.randomness,
      });
    this.encoder = new Stack(config.size('num_hidden_layers'), layer, null);
    this.endNorm = norm();
    const out = () => new Linear(init, dModel, labelsOf(config.values).length);
    this.head = head === 'none' ? null : new MeanHead({ pick: 'tokens', norm: norm(), out: out() });
  }

  override get featureWidth(): number {
    return this.settings.size('num_mel_bins');
  }

  override get soundInput(): 'inputValues' {
    return 'inputValues';
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return super.inputNames.filter((name) => name !== 'attentionMask');
  }

  override framesOf(columns: number): number {
    const { settings } = this;
    const patches = patchesAlong(columns, settings.size('patch_size'), settings.size('time_stride'));
    return patches < 1 ? 0 : PREFIX + patches * this.#bands;
  }

  protected override embedSound(values: Tensor, batch: Sequences): Tensor {
    const [size, columns, bands] = values.shape as [number, number, number];
    const { classToken, secondToken, positions } = this;
    const expected = this.settings.size('max_length');
    if (columns !== expected)
      throw new ShapeError(`forward: inputValues have ${columns} columns, expected ${expected} by config.json`);
    const map = permute(values, [0, 2, 1]).reshape(size, bands, columns, 1);
    const patches = this.projection.forward(map).reshape(size, batch.longest - PREFIX, -1); // [B, patches, dModel]
    const prefix = concat([classToken, secondToken].map((token) => token.reshape(1, -1))); // [2, dModel]
    const ids = Int32Array.from({ length: size * PREFIX }, (_, i) => i % PREFIX);
    const first = gather(prefix, values.device.tensor(ids)).reshape(size, PREFIX, -1);
    const embedded = add(concat([first, patches], 1), positions);
    return this.dropout.forward(embedded.reshape(batch.total, -1));
  }

  protected override pooled(features: Tensor, batch: Sequences): ModelOutput {
    return { poolerOutput: meanOfPrefix(features, batch) };
  }

  protected override get bodyName(): string {
    return BODY;
  }

  override moduleName(name: string): string {
    return vitModule(name);
  }

  protected override get stateNames(): StateNames {
    const [path, layer] = ['encoder.layers.*', 'body.encoder.layer.*'];
    const names: StateNames = {
      projection: 'body.embeddings.patch_embeddings.projection',
      class_token: { name: 'body.embeddings.cls_token', leading: [1, 1] },
      second_token: { name: 'body.embeddings.distillation_token', leading: [1, 1] },
      positions: { name: 'body.embeddings.position_embeddings', leading: [1] },
      [`${path}.self_attn.qkv`]: ['query', 'key', 'value'].map((name) => `${layer}.attention.attention.${name}`),
      [`${path}.self_attn.out_proj`]: `${layer}.attention.output.dense`,
      [`${path}.norm1`]: `${layer}.layernorm_before`,
      [`${path}.norm2`]: `${layer}.layernorm_after`,
      [`${path}.feed_forward.linear1`]: `${layer}.intermediate.dense`,
      [`${path}.feed_forward.linear2`]: `${layer}.output.dense`,
      end_norm: 'body.layernorm',
      'head.norm': 'classifier.layernorm',
      'head.out': 'classifier.dense',
    };
    return withBody(names, 'body', BODY);
  }
}

/** Classes of the mean of the two first tokens. */
class MeanHead extends PredictionHead {
  override forward(features: Tensor, batch: Sequences): Tensor {
    return this.read(meanOfPrefix(features, batch));
  }
}

function meanOfPrefix(features: Tensor, { starts }: Sequences): Tensor {
  const [first, second] = [0, 1].map((i) =>
    gather(features, features.device.tensor(starts.map((start) => start + i))),
  ) as [Tensor, Tensor];
  return scale(add(first, second), 0.5);
}

function patchesAlong(length: number, patch: number, stride: number): number {
  return Math.floor((length - patch) / stride) + 1;
}

const { image_size: _, num_channels: __, ...defaults } = imageDefaults;

export const ast: Family = {
  model: Ast,
  className: 'AST',
  classificationClass: 'ASTForAudioClassification',
  defaults: {
    ...defaults,
    intermediate_size: 3072,
    layer_norm_eps: 1e-12,
    patch_size: 16,
    frequency_stride: 10,
    time_stride: 10,
    max_length: 1024,
    num_mel_bins: 128,
  },
};
