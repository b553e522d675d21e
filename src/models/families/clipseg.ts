import { describeShape, describeValue } from '../../core/check.js';
import { ArgumentError, ShapeError } from '../../core/errors.js';
import { eachWithin } from '../../core/slices.js';
import { Tensor } from '../../core/tensor.js';
import type { AttentionMaps } from '../../inspect/attention-maps.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Conv2d, ConvTranspose2d } from '../../nn/conv.js';
import type { Randomness } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import type { GridSize } from '../../nn/interpolation.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import type { Sequences } from '../../nn/sequences.js';
import type { StateNames } from '../../nn/state-names.js';
import { relu } from '../../ops/activation.js';
import { add, mul } from '../../ops/binary.js';
import { bceWithLogits } from '../../ops/losses.js';
import { slice } from '../../ops/move.js';
import { dropoutOf } from '../config-values.js';
import { type Contrast, contrast, DualEncoderModel, pairLoss } from '../dual-encoder-model.js';
import type { Family } from '../family.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import { ModelConfig } from '../model-config.js';
import type { BatchLayout, FamilyContext } from '../pretrained-model.js';
import { TextTower, towerNames, type VisionTower } from '../towers.js';
import { clipVision, EndPooler } from './clip.js';

/**
 * CLIPSeg (Lüddecke & Ecker 2021, arXiv 2112.10003): CLIP, and a small decoder that marks in an image what a text
 * describes. CLIP itself receives no gradients from the decoder.
 */
export class ClipSeg extends DualEncoderModel {
  readonly text: TextTower;
  readonly vision: VisionTower;
  override readonly textProjection: Linear;
  override readonly visualProjection: Linear;
  /** A scalar: the logarithm of the factor of the cosines. */
  readonly logitScale: Tensor;
  readonly maskDecoder: MaskDecoder | null;
  override readonly head = null;
  /** Layers whose output the decoder reads, from the last one. */
  readonly #layers: readonly number[];

  constructor(context: FamilyContext) {
    super(context, ['prompted-segmentation']);
    const { init, config, head } = context;
    const [text, vision] = (['text', 'vision'] as const).map(
      (side) => new ModelConfig(config.object(`${side}_config`)),
    ) as [ModelConfig, ModelConfig];
    this.text = new TextTower(init, text, true, new EndPooler(text), this.randomness);
    this.vision = clipVision(init, vision, this.randomness, true);
    const width = config.size('projection_dim');
    this.visualProjection = new Linear(init, vision.size('hidden_size'), width, false);
    this.textProjection = new Linear(init, text.size('hidden_size'), width, false);
    this.logitScale = init.constant([], config.number('logit_scale_init_value'));
    this.#layers = (config.list('extract_layers') as number[]).toReversed();
    this.maskDecoder = head === 'prompted-segmentation' ? new MaskDecoder(init, config, vision, this.randomness) : null;
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return this.maskDecoder ? [...super.inputNames, 'conditionalPixelValues', 'labels'] : super.inputNames;
  }

  protected override *runInParts(
    inputs: ModelInputs,
    options: ForwardOptions,
    layout: BatchLayout,
  ): Generator<unknown, ModelOutput> {
    const { maskDecoder, vision } = this;
    if (maskDecoder === null) return yield* super.runInParts(inputs, options, layout);
    const frozen = <T>(part: () => T): T => this.device.noGrad(part);
    const conditions = yield* eachWithin(frozen, this.#conditionsInParts(inputs, options, layout));
    const seen = yield* eachWithin(frozen, vision.forwardInParts(inputs));
    const [prompts, images] = [conditions.shape[0], seen.batch.size];
    if (prompts !== images)
      throw new ArgumentError(
        `forward: there are ${prompts} ${inputs.inputIds ? 'texts' : 'images of what to mark'} and ${images} images, expected as many`,
      );
    const [, , ...sides] = (inputs.pixelValues as Tensor).shape as [number, number, number, number];
    const states = this.#layers.map((layer) => seen.hiddenStates[layer + 1] as Tensor);
    const logits = maskDecoder.forward(states, conditions, seen.batch, vision.patches.grid(sides));
    const output: ModelOutput = { logits };
    if (inputs.labels !== undefined && (options.loss ?? true)) output.loss = maskLoss(logits, inputs.labels);
    return output;
  }

  /** The vectors of what to mark, float32 [B, projection_dim]: of texts if they are given, otherwise of images. */
  *#conditionsInParts(inputs: ModelInputs, options: ForwardOptions, layout: BatchLayout): Generator<unknown, Tensor> {
    const { conditionalPixelValues: pixelValues } = inputs;
    if (inputs.inputIds !== undefined || pixelValues === undefined) {
      const read = yield* this.readText(this.text, inputs, options, layout);
      return this.textProjection.forward(read.pooled as Tensor);
    }
    const { pooled } = yield* this.readImages(this.vision, { pixelValues }, options, layout);
    return this.visualProjection.forward(pooled as Tensor);
  }

  protected override compare(text: Tensor, image: Tensor): Contrast {
    return contrast(text, image, this.logitScale);
  }

  protected override contrastLoss(logits: Tensor): Tensor {
    return pairLoss(logits);
  }

  protected override mapsOf(maps: AttentionMaps, output: ModelOutput, layout: BatchLayout): ModelOutput {
    return this.maskDecoder ? {} : super.mapsOf(maps, output, layout);
  }

  /** Graphs with the decoder lack what only the comparison of vectors reads. */
  override isOptional(name: string): boolean {
    const isUnread = /^clip\.(visual_projection|logit_scale|vision_model\.post_layernorm)\b/.test(name);
    return super.isOptional(name) || (this.maskDecoder !== null && isUnread);
  }

  protected override get bodyName(): string {
    return 'clip';
  }

  protected override get stateNames(): StateNames {
    const stateNames = { ...towerNames('text'), ...visionNames, ...towerNames('vision') };
    const inClip = (name: StateNames[string]): StateNames[string] =>
      typeof name === 'string' ? `clip.${name}` : (name as readonly string[]).map((part) => `clip.${part}`);
    const [layer, convolution] = ['decoder.layers.*', 'decoder.transposed_convolution'];
    return {
      ...Object.fromEntries(Object.entries(stateNames).map(([path, name]) => [path, inClip(name)])),
      visual_projection: 'clip.visual_projection',
      text_projection: 'clip.text_projection',
      logit_scale: 'clip.logit_scale',
      'mask_decoder.layers.*.self_attn.qkv': ['q', 'k', 'v'].map((name) => `${layer}.self_attn.${name}_proj`),
      'mask_decoder.layers.*.self_attn.out_proj': `${layer}.self_attn.out_proj`,
      'mask_decoder.layers.*.norm1': `${layer}.layer_norm1`,
      'mask_decoder.layers.*.norm2': `${layer}.layer_norm2`,
      'mask_decoder.layers.*.feed_forward.linear1': `${layer}.mlp.fc1`,
      'mask_decoder.layers.*.feed_forward.linear2': `${layer}.mlp.fc2`,
      'mask_decoder.mix': `${convolution}.0`,
      'mask_decoder.grow': `${convolution}.2`,
      'mask_decoder.out': this.maskDecoder?.mix ? `${convolution}.4` : convolution,
      mask_decoder: 'decoder',
    };
  }
}

const visionNames: StateNames = {
  'vision.start': 'vision_model.pre_layrnorm',
  'vision.pooler.norm': 'vision_model.post_layernorm',
};

/** The binary cross entropy of masks, float32 [B, H, W] from 0 to 1. Throws ArgumentError, ShapeError. */
function maskLoss(logits: Tensor, labels: NonNullable<ModelInputs['labels']>): Tensor {
  if (!(labels instanceof Tensor))
    throw new ArgumentError(`forward: labels is ${describeValue(labels)}, expected a tensor [B, height, width]`);
  if (`${labels.shape}` === `${logits.shape}`) return bceWithLogits(logits, labels);
  throw new ShapeError(`forward: labels is ${describeShape(labels.shape)}, expected ${describeShape(logits.shape)}`);
}

/** Post-norm layers over features of several of CLIP's layers. The vector of the text scales and shifts features. */
class MaskDecoder extends Module {
  readonly filmMul: Linear;
  readonly filmAdd: Linear;
  readonly reduces: readonly Linear[];
  readonly layers: readonly TransformerLayer[];
  /** `mix` and `grow` are null for a single transposed convolution. */
  readonly mix: Conv2d | null;
  readonly grow: ConvTranspose2d | null;
  readonly out: ConvTranspose2d;
  /** The layer before which the text has its effect. */
  readonly #conditional: number;

  constructor(init: Initializer, config: ModelConfig, vision: ModelConfig, randomness: Randomness) {
    super();
    const [dModel, projectionSize] = [config.size('reduce_dim'), config.size('projection_dim')];
    const count = config.list('extract_layers').length;
    const patch = vision.size('patch_size');
    this.filmMul = new Linear(init, projectionSize, dModel);
    this.filmAdd = new Linear(init, projectionSize, dModel);
    this.reduces = Array.from({ length: count }, () => new Linear(init, vision.size('hidden_size'), dModel));
    const attention = { dModel, heads: config.size('decoder_num_attention_heads') };
    const layer = () =>
      new TransformerLayer({
        selfAttn: () =>
          new MultiHeadAttention(init, { ...attention, dropout: dropoutOf(vision, 'attention_dropout', randomness) }),
        feedForward: () =>
          new FeedForward(init, { dModel, dFF: config.size('decoder_intermediate_size'), activation: 'relu' }),
        norm: () => new LayerNorm(init, dModel, vision.number('layer_norm_eps')),
        wiring: 'post',
        randomness,
      });
    this.layers = Array.from({ length: count }, layer);
    const channelsLast = true;
    const growing = (inputs: number, outputs: number, factor: number) =>
      new ConvTranspose2d(init, { inputs, outputs, kernel: [factor, factor], stride: factor, channelsLast });
    const isComplex = config.flag('use_complex_transposed_convolution');
    const [half, quarter] = [Math.floor(dModel / 2), Math.floor(patch / 4)];
    this.mix = isComplex
      ? new Conv2d(init, { inputs: dModel, outputs: dModel, kernel: [3, 3], padding: 1, channelsLast })
      : null;
    this.grow = isComplex ? growing(dModel, half, quarter) : null;
    this.out = isComplex ? growing(half, 1, quarter) : growing(dModel, 1, patch);
    this.#conditional = config.number('conditional_layer');
  }

  /**
   * `states`: features of CLIP's layers, [N, hidden], the rows of `batch`. `conditions`: vectors of the texts, [B,
   * projection_dim]. Returns the logits of masks, [B, height, width].
   */
  forward(states: readonly Tensor[], conditions: Tensor, batch: Sequences, grid: GridSize): Tensor {
    const { size, longest } = batch;
    const x = this.layers.reduce<Tensor | null>((before, layer, i) => {
      const reduced = (this.reduces[i] as Linear).forward(states[i] as Tensor);
      const rows = before ? add(reduced, before) : reduced;
      return layer.forward(i === this.#conditional ? this.#condition(rows, conditions, batch) : rows, batch);
    }, null) as Tensor;
    const patches = slice(x.reshape(size, longest, -1), 1, 1, longest); // [B, patches, dModel]
    const map = patches.reshape(size, ...grid, -1);
    const grown = this.mix && this.grow ? relu(this.grow.forward(relu(this.mix.forward(map)))) : map;
    const logits = this.out.forward(grown); // [B, height, width, 1]
    return logits.reshape(logits.shape.slice(0, 3));
  }

  #condition(rows: Tensor, conditions: Tensor, { size, longest }: Sequences): Tensor {
    const [factors, shifts] = [this.filmMul, this.filmAdd].map((film) => film.forward(conditions).reshape(size, 1, -1));
    const y = add(mul(rows.reshape(size, longest, -1), factors as Tensor), shifts as Tensor);
    return y.reshape(rows.shape);
  }
}

export const clipSeg: Family = {
  model: ClipSeg,
  className: 'CLIPSeg',
  defaults: {
    projection_dim: 512,
    logit_scale_init_value: 2.6592,
    extract_layers: [3, 6, 9],
    reduce_dim: 64,
    decoder_num_attention_heads: 4,
    decoder_intermediate_size: 2048,
    conditional_layer: 0,
    use_complex_transposed_convolution: false,
  },
  parts: { text_config: 'clip_text_model', vision_config: 'clip_vision_model' },
};
