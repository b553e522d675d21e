import { FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import type { AttentionMaps, AttentionsByKind } from '../../inspect/attention-maps.js';
import { Conv2d } from '../../nn/conv.js';
import type { Dropout } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import type { GridSize } from '../../nn/interpolation.js';
import { Linear } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import type { StateNames } from '../../nn/state-names.js';
import { sigmoid } from '../../ops/activation.js';
import { concat, gather, permute } from '../../ops/move.js';
import { activationOf } from '../config-values.js';
import {
  DetectionEncoderLayer,
  type DetectionLayerOptions,
  DetectionModel,
  dropoutsOf,
  type GridMask,
  gridMask,
  type Keys,
  layerNames,
  PerceptronHead,
  PositionedAttention,
  sinePositions,
} from '../detection.js';
import { detectionLoss, type Found } from '../detection-loss.js';
import type { Family } from '../family.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import { labelsOf } from '../labels.js';
import { MaskHead } from '../mask-head.js';
import { detrModule } from '../module-names.js';
import { PredictionHead } from '../prediction-head.js';
import type { FamilyContext, HeadKind } from '../pretrained-model.js';
import { backboneOf, type ResNet } from '../resnet.js';

/** Number of learned positions of rows, and of columns. */
const LEARNED_POSITIONS = 50;

/**
 * DETR (Carion et al. 2020, arXiv 2005.12872): an encoder reads the feature map of a convolutional network. A decoder
 * turns learned queries into objects, and with the head for segmentation into masks.
 */
export class Detr extends DetectionModel {
  readonly backbone: ResNet;
  readonly inputProjection: Conv2d;
  readonly encoderLayers: readonly DetectionEncoderLayer[];
  readonly decoderLayers: readonly DetrDecoderLayer[];
  readonly decoderNorm: LayerNorm;
  /** float32 [queries, dModel]: position embeddings of the queries. */
  readonly queries: Tensor;
  /** `rowPositions` and `columnPositions`: float32 [50, dModel / 2]. Null if positions are sinusoids. */
  readonly rowPositions: Tensor | null;
  readonly columnPositions: Tensor | null;
  readonly head: PredictionHead | null;
  readonly boxes: PerceptronHead | null;
  /** Makes a mask for each query. Null in a detector. */
  readonly masks: MaskHead | null;
  readonly dropout: Dropout;
  readonly #names: StateNames;

  constructor(
    context: FamilyContext,
    heads: readonly HeadKind[] = ['none', 'object-detection', 'panoptic-segmentation'],
  ) {
    super(context, heads);
    const { init, config, head } = context;
    const dModel = config.size('d_model');
    if (dModel % 4 !== 0) throw new FormatError(`config.json: d_model is ${dModel}, expected a multiple of 4`);
    config.expect('dilation', false);
    const { backbone, names } = backboneOf(init, config, {
      path: 'backbone',
      prefix: `${this.bodyName}.backbone.conv_encoder.model`,
      frozen: true,
      default: { model_type: 'timm_backbone', backbone: config.values.backbone ?? 'resnet50' },
    });
    this.backbone = backbone;
    this.#names = names;
    this.inputProjection = new Conv2d(init, {
      inputs: backbone.channels.at(-1) as number,
      outputs: dModel,
      kernel: [1, 1],
      channelsLast: true,
    });
    const isLearned = config.oneOf('position_embedding_type', { sine: false, learned: true });
    const positions = () => init.normal([LEARNED_POSITIONS, dModel / 2], 1);
    this.rowPositions = isLearned ? positions() : null;
    this.columnPositions = isLearned ? positions() : null;
    this.queries = init.normal([config.size('num_queries'), dModel], 1);
    const options = (side: 'encoder' | 'decoder'): DetectionLayerOptions => ({
      dModel,
      heads: config.size(`${side}_attention_heads`),
      dFF: config.size(`${side}_ffn_dim`),
      activation: activationOf(config.text('activation_function')),
      dropout: config.number('dropout'),
      attentionDropout: config.number('attention_dropout'),
      activationDropout: config.number('activation_dropout'),
      randomness: this.randomness,
    });
    const layers = <Layer>(side: 'encoder' | 'decoder', make: () => Layer) =>
      Array.from({ length: config.size(`${side}_layers`) }, make);
    this.encoderLayers = layers('encoder', () => this.encoderLayer(init, options('encoder')));
    this.decoderLayers = layers('decoder', () => this.decoderLayer(init, options('decoder')));
    this.decoderNorm = new LayerNorm(init, dModel);
    this.dropout = dropoutsOf(options('encoder')).branch;
    const isDetector = head !== 'none';
    const classes = isDetector ? labelsOf(config.values).length + 1 : 0;
    this.head = isDetector ? new PredictionHead({ pick: 'tokens', out: new Linear(init, dModel, classes) }) : null;
    this.boxes = isDetector ? new PerceptronHead(init, dModel, dModel, 4, 3) : null;
    this.masks =
      head === 'panoptic-segmentation'
        ? new MaskHead(init, {
            dModel,
            heads: config.size('encoder_attention_heads'),
            channels: backbone.channels.slice(0, 3),
            activation: activationOf(config.text('activation_function')),
          })
        : null;
  }

  protected encoderLayer(init: Initializer, options: DetectionLayerOptions): DetectionEncoderLayer {
    return new DetectionEncoderLayer(init, options);
  }

  protected decoderLayer(init: Initializer, options: DetectionLayerOptions): DetrDecoderLayer {
    return new DetrDecoderLayer(init, options);
  }

  /** Input of the decoder's cross-attention. `x`: the output of the encoder's last layer, float32 [B, T, dModel]. */
  protected memoryOf(x: Tensor): Tensor {
    return x;
  }

  override get attentions(): AttentionsByKind {
    return {
      encoder: this.encoderLayers.map(({ selfAttn }) => selfAttn),
      decoder: this.decoderLayers.map(({ selfAttn }) => selfAttn),
      cross: this.decoderLayers.map(({ encoderAttn }) => encoderAttn),
    };
  }

  protected override mapsOf({ encoder, decoder, cross }: AttentionMaps): ModelOutput {
    return { encoderAttentions: encoder, decoderAttentions: decoder, crossAttentions: cross };
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return ['pixelMask', ...super.inputNames];
  }

  protected override *forwardPixelsInParts(
    pixels: Tensor,
    inputs: ModelInputs,
    options: ForwardOptions,
  ): Generator<unknown, ModelOutput> {
    const maps = yield* this.backbone.forwardInParts(permute(pixels, [0, 2, 3, 1]));
    const map = this.inputProjection.forward(maps.at(-1) as Tensor);
    yield;
    const mask = gridMask(inputs.pixelMask, pixels, map.shape.slice(1, 3) as unknown as GridSize);
    const { encoded, memory } = yield* this.#encodeInParts(map, mask);
    const { decoded, auxiliary } = yield* this.#decodeInParts(memory);
    const features = decoded.at(-1) as Tensor;
    const output: ModelOutput = { lastHiddenState: features, encoderLastHiddenState: memory.x };
    if (auxiliary.length > 0 && this.head === null)
      output.intermediateHiddenStates = concat(auxiliary.map((state) => state.reshape(1, ...state.shape)));
    if (options.hiddenStates) [output.encoderHiddenStates, output.decoderHiddenStates] = [encoded, decoded];
    const { head, boxes } = this;
    if (!head || !boxes) return output;
    const found: Found = this.#find(features, head, boxes);
    if (this.masks) {
      const channelsFirst = (state: Tensor) => permute(state, [0, 3, 1, 2]);
      found.predMasks = yield* this.masks.forwardInParts({
        queries: features,
        memory: memory.x,
        marks: mask.isPadded ? mask.cells : null,
        features: channelsFirst(map),
        maps: maps.slice(0, 3).map(channelsFirst),
      });
    }
    const withLoss = this.withLoss(output, inputs, options, (labels) => {
      const earlier = auxiliary.slice(0, -1).map((state) => this.#find(state, head, boxes));
      return detectionLoss([found, ...earlier], labels, this.settings);
    });
    return { ...withLoss, ...found };
  }

  /** Encodes a feature map [B, height, width, dModel]. `encoded`: the input of the first layer, and all outputs. */
  *#encodeInParts(map: Tensor, { cells, isPadded }: GridMask): Generator<unknown, { encoded: Tensor[]; memory: Keys }> {
    const [batch, height, width, dModel] = map.shape as [number, number, number, number];
    const positions = this.#positionsOf(cells, [height, width], dModel);
    const seen = Int32Array.from(cells.flat(), Number);
    const mask = isPadded ? this.device.tensor(seen, [batch, 1, 1, height * width]) : null;
    const encoded = [this.dropout.forward(map.reshape(batch, height * width, dModel))];
    for (const layer of this.encoderLayers) {
      encoded.push(layer.forward(encoded.at(-1) as Tensor, positions, mask));
      yield;
    }
    return { encoded, memory: { x: this.memoryOf(encoded.at(-1) as Tensor), positions, mask } };
  }

  /**
   * Turns the queries into features of objects, [B, queries, dModel]. `decoded`: the input of the first layer, and all
   * outputs; as in transformers, only the last one is normalized. `auxiliary`: normalized outputs, if the loss needs
   * those of each layer.
   */
  *#decodeInParts(memory: Keys): Generator<unknown, { decoded: Tensor[]; auxiliary: Tensor[] }> {
    let x = this.device.zeros([
      memory.x.shape[0] as number,
      this.queries.shape[0] as number,
      memory.x.shape[2] as number,
    ]);
    const decoded = [x];
    const auxiliary: Tensor[] = [];
    for (const layer of this.decoderLayers) {
      x = layer.forward(x, this.queries, memory);
      decoded.push(x);
      // If transformers needs the output of each layer for the loss, it also normalizes the input of the next layer.
      if (this.settings.flag('auxiliary_loss')) {
        x = this.decoderNorm.forward(x);
        auxiliary.push(x);
      }
      yield;
    }
    return { decoded: [...decoded.slice(0, -1), this.decoderNorm.forward(x)], auxiliary };
  }

  #find(features: Tensor, head: PredictionHead, boxes: PerceptronHead): Found {
    return { logits: head.read(features), predBoxes: sigmoid(boxes.forward(features)) };
  }

  /** Returns the position embeddings of the pixels, float32 [B, T, dModel], where T is height · width of `grid`. */
  #positionsOf(masks: readonly (readonly boolean[])[], grid: GridSize, dModel: number): Tensor {
    const { device, rowPositions, columnPositions } = this;
    const [height, width] = grid;
    if (!rowPositions || !columnPositions)
      return device.tensor(sinePositions(masks, grid, dModel), [masks.length, height * width, dModel]);
    const perCell = (indexOf: (cell: number) => number) =>
      device.tensor(Int32Array.from({ length: height * width }, (_, cell) => indexOf(cell)));
    const columns = gather(
      columnPositions,
      perCell((cell) => cell % width),
    );
    const rows = gather(
      rowPositions,
      perCell((cell) => Math.floor(cell / width)),
    );
    return concat([columns, rows], -1).reshape(1, height * width, dModel);
  }

  protected override get bodyName(): string {
    return this.headKind === 'panoptic-segmentation' ? 'detr.model' : 'model';
  }

  override moduleName(name: string): string {
    return detrModule(name);
  }

  protected override get stateNames(): StateNames {
    const body = this.bodyName;
    const detector = body.slice(0, -'model'.length);
    return {
      ...this.#names,
      input_projection: `${body}.input_projection`,
      queries: `${body}.query_position_embeddings.weight`,
      row_positions: `${body}.position_embedding.row_embeddings.weight`,
      column_positions: `${body}.position_embedding.column_embeddings.weight`,
      ...layerNames('encoder_layers.*', `${body}.encoder.layers.*`),
      ...layerNames('decoder_layers.*', `${body}.decoder.layers.*`),
      decoder_norm: `${body}.decoder.layernorm`,
      'head.out': `${detector}class_labels_classifier`,
      boxes: `${detector}bbox_predictor`,
      ...(this.masks && MaskHead.namesOf('masks')),
    };
  }
}

/** A decoder layer: queries attend to each other and to the image. */
export class DetrDecoderLayer extends Module {
  readonly selfAttn: PositionedAttention;
  readonly selfAttnLayerNorm: LayerNorm;
  readonly encoderAttn: PositionedAttention;
  readonly encoderAttnLayerNorm: LayerNorm;
  readonly feedForward: FeedForward;
  readonly finalLayerNorm: LayerNorm;
  readonly dropout: Dropout;

  constructor(init: Initializer, options: DetectionLayerOptions) {
    super();
    const { dModel, heads, dFF, activation } = options;
    const { branch, attention, hidden } = dropoutsOf(options);
    this.selfAttn = new PositionedAttention(init, dModel, heads, attention);
    this.selfAttnLayerNorm = new LayerNorm(init, dModel);
    this.encoderAttn = new PositionedAttention(init, dModel, heads, attention);
    this.encoderAttnLayerNorm = new LayerNorm(init, dModel);
    this.feedForward = new FeedForward(init, { dModel, dFF, activation, dropout: hidden });
    this.finalLayerNorm = new LayerNorm(init, dModel);
    this.dropout = branch;
  }

  /** `x`: float32 [B, queries, dModel]. `positions`: [queries, dModel]. */
  forward(x: Tensor, positions: Tensor, memory: Keys): Tensor {
    const { dropout } = this;
    const selfAttended = dropout.forward(this.selfAttn.forward(x, positions));
    const queries = this.selfAttnLayerNorm.forward(selfAttended, x);
    const seen = dropout.forward(this.encoderAttn.forward(queries, positions, memory));
    const mixed = this.encoderAttnLayerNorm.forward(seen, queries);
    return this.finalLayerNorm.forward(dropout.forward(this.feedForward.forward(mixed)), mixed);
  }
}

export const detr: Family = {
  model: Detr,
  className: 'Detr',
  defaults: {
    num_channels: 3,
    num_queries: 100,
    encoder_layers: 6,
    encoder_ffn_dim: 2048,
    encoder_attention_heads: 8,
    decoder_layers: 6,
    decoder_ffn_dim: 2048,
    decoder_attention_heads: 8,
    activation_function: 'relu',
    d_model: 256,
    dropout: 0.1,
    attention_dropout: 0,
    activation_dropout: 0,
    auxiliary_loss: false,
    position_embedding_type: 'sine',
    class_cost: 1,
    bbox_cost: 5,
    giou_cost: 2,
    bbox_loss_coefficient: 5,
    giou_loss_coefficient: 2,
    mask_loss_coefficient: 1,
    dice_loss_coefficient: 1,
    eos_coefficient: 0.1,
  },
};
