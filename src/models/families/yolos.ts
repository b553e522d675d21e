import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { type GridSize, interpolate } from '../../nn/interpolation.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { LayerNorm } from '../../nn/norm.js';
import type { PatchEmbedding } from '../../nn/patch-embedding.js';
import { Sequences } from '../../nn/sequences.js';
import type { StateNames } from '../../nn/state-names.js';
import { relu, sigmoid } from '../../ops/activation.js';
import { add } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { concat, gather, slice } from '../../ops/move.js';
import { activationOf, dropoutOf } from '../config-values.js';
import { PerceptronHead } from '../detection.js';
import { detectionLoss, type Found } from '../detection-loss.js';
import type { Family } from '../family.js';
import { ImageModel } from '../image-model.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import { labelsOf } from '../labels.js';
import { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { patchesOf } from '../towers.js';
import { detr } from './detr.js';
import { imageDefaults, imageNames } from './vit.js';

/**
 * YOLOS (Fang et al. 2021, arXiv 2106.00666): a ViT that reads learned tokens after the patches, and turns each of them
 * into an object.
 */
export class Yolos extends ImageModel {
  readonly patches: PatchEmbedding;
  /** float32 [objects, dModel] */
  readonly objects: Tensor;
  /** float32 [tokens, dModel]: positions of the class token, the patches and the objects. */
  readonly positions: Tensor;
  /** float32 [(layers − 1) · tokens, dModel]: positions that are added after each layer but the last; null for none. */
  readonly laterPositions: Tensor | null;
  readonly dropout: Dropout;
  readonly layers: readonly TransformerLayer[];
  readonly norm: LayerNorm;
  readonly pooler: PredictionHead | null;
  readonly head: PredictionHead | null;
  readonly boxes: PerceptronHead | null;

  constructor(context: FamilyContext) {
    super(context, ['none', 'object-detection']);
    const { init, config, head } = context;
    config.expect('auxiliary_loss', false);
    const dModel = config.size('hidden_size');
    const layers = config.size('num_hidden_layers');
    this.patches = patchesOf(init, config, { positions: false, interpolate: true });
    const objects = config.size('num_detection_tokens');
    const [rows, columns] = this.patches.grid(this.patches.image);
    const tokens = 1 + rows * columns + objects;
    this.objects = init.normal([objects, dModel], dModel ** -0.5);
    this.positions = init.normal([tokens, dModel], dModel ** -0.5);
    const isPlacedAgain = config.flag('use_mid_position_embeddings') && layers > 1;
    this.laterPositions = isPlacedAgain ? init.normal([(layers - 1) * tokens, dModel], dModel ** -0.5) : null;
    this.dropout = new Dropout(config.number('hidden_dropout_prob'), this.randomness);
    this.layers = Array.from({ length: layers }, () => this.#layerOf(context));
    this.norm = new LayerNorm(init, dModel, config.number('layer_norm_eps'));
    const isDetector = head !== 'none';
    const dense = () => new Linear(init, dModel, dModel);
    this.pooler = isDetector ? null : new PredictionHead({ pick: 'first', dense: dense(), activation: 'tanh' });
    this.head = isDetector ? new ClassHead(init, dModel, labelsOf(config.values).length + 1) : null;
    this.boxes = isDetector ? new PerceptronHead(init, dModel, dModel, 4, 3) : null;
  }

  #layerOf({ init, config }: FamilyContext): TransformerLayer {
    const dModel = config.size('hidden_size');
    const attention = { dModel, heads: config.size('num_attention_heads'), bias: config.flag('qkv_bias') };
    const dropout = dropoutOf(config, 'attention_probs_dropout_prob', this.randomness);
    const activation = activationOf(config.text('hidden_act'));
    return new TransformerLayer({
      selfAttn: () => new MultiHeadAttention(init, { ...attention, outBias: true, dropout }),
      feedForward: () => new FeedForward(init, { dModel, dFF: config.size('intermediate_size'), activation }),
      norm: () => new LayerNorm(init, dModel, config.number('layer_norm_eps')),
      dropout: () => new Dropout(config.number('hidden_dropout_prob'), this.randomness),
      wiring: 'pre',
      randomness: this.randomness,
    });
  }

  protected override *forwardPixelsInParts(
    pixels: Tensor,
    { labels }: ModelInputs,
    options: ForwardOptions,
  ): Generator<unknown, ModelOutput> {
    const { device } = this;
    const patches = this.patches.forward(pixels); // [B, 1 + patches, dModel]
    const grid = this.patches.grid(pixels.shape.slice(2) as [number, number]);
    const [batch, , dModel] = patches.shape as [number, number, number];
    const count = this.objects.shape[0] as number;
    const ids = Int32Array.from({ length: batch * count }, (_, i) => i % count);
    const objects = gather(this.objects, device.tensor(ids)).reshape(batch, count, dModel);
    const embedded = add(concat([patches, objects], 1), this.#positionsFor(this.positions, grid)); // [B, T, dModel]
    const time = embedded.shape[1] as number;
    const sequences = Sequences.of(device, Array<number>(batch).fill(time));
    const padded = (rows: Tensor) => rows.reshape(batch, time, dModel);
    let x = this.dropout.forward(embedded.reshape(batch * time, dModel));
    const states = [x];
    for (const [i, layer] of this.layers.entries()) {
      x = layer.forward(x, sequences);
      states.push(x); // without the positions, as in transformers
      if (this.laterPositions && i < this.layers.length - 1)
        x = add(padded(x), this.#positionsFor(this.#later(this.laterPositions, i), grid)).reshape(x.shape);
      yield;
    }
    const features = this.norm.forward(x);
    const output: ModelOutput = { lastHiddenState: padded(features) };
    if (options.hiddenStates) output.hiddenStates = states.map(padded);
    if (this.pooler) output.poolerOutput = this.pooler.forward(features, sequences);
    if (!this.head || !this.boxes) return output;
    const found = contiguous(slice(padded(features), 1, time - count, time)); // [B, objects, dModel]
    const predicted: Found = { logits: this.head.read(found), predBoxes: sigmoid(this.boxes.forward(found)) };
    if (labels && (options.loss ?? true)) output.loss = detectionLoss([predicted], labels, this.settings);
    return { ...output, ...predicted };
  }

  #later(positions: Tensor, layer: number): Tensor {
    const tokens = this.positions.shape[0] as number;
    return positions.rows(layer * tokens, (layer + 1) * tokens);
  }

  /** Positions for a grid of patches: those of patches are interpolated. */
  #positionsFor(positions: Tensor, grid: GridSize): Tensor {
    const [total, last] = [positions.shape[0] as number, this.objects.shape[0] as number];
    const patches = positions.rows(1, total - last);
    const nativeGrid = this.patches.grid(this.patches.image);
    if (`${nativeGrid}` === `${grid}`) return positions;
    const parts = [
      positions.rows(0, 1),
      interpolate('bicubic', patches, nativeGrid, grid),
      positions.rows(total - last, total),
    ];
    return concat(parts);
  }

  protected override get bodyName(): string {
    return 'vit';
  }

  protected override get stateNames(): StateNames {
    const [body, layer] = ['vit', 'vit.encoder.layer.*'];
    const names = Object.entries(imageNames(body)).map(([path, name]) => [
      path.replace('vision.encoder.', '').replace('vision.', ''),
      name,
    ]);
    return {
      ...(Object.fromEntries(names) as StateNames),
      positions: { name: `${body}.embeddings.position_embeddings`, leading: [1] },
      objects: { name: `${body}.embeddings.detection_tokens`, leading: [1] },
      later_positions: { name: `${body}.encoder.mid_position_embeddings`, leading: [this.layers.length - 1, 1] },
      'layers.*.norm1': `${layer}.layernorm_before`,
      'layers.*.norm2': `${layer}.layernorm_after`,
      'layers.*.feed_forward.linear1': `${layer}.intermediate.dense`,
      'layers.*.feed_forward.linear2': `${layer}.output.dense`,
      'pooler.dense': `${body}.pooler.dense`,
      'head.hidden.*': 'class_labels_classifier.layers.*',
      'head.out': 'class_labels_classifier.layers.2',
      boxes: 'bbox_predictor',
    };
  }
}

/** Classes of objects, from a network of three layers. */
class ClassHead extends PredictionHead {
  readonly hidden: readonly Linear[];

  constructor(init: Initializer, dModel: number, classes: number) {
    super({ pick: 'tokens', out: new Linear(init, dModel, classes) });
    this.hidden = [new Linear(init, dModel, dModel), new Linear(init, dModel, dModel)];
  }

  override read(rows: Tensor): Tensor {
    return super.read(this.hidden.reduce((x, layer) => relu(layer.forward(x)), rows));
  }
}

const { class_cost, bbox_cost, giou_cost, bbox_loss_coefficient, giou_loss_coefficient, eos_coefficient } =
  detr.defaults;

export const yolos: Family = {
  model: Yolos,
  className: 'Yolos',
  defaults: {
    ...imageDefaults,
    intermediate_size: 3072,
    layer_norm_eps: 1e-12,
    image_size: [512, 864],
    num_detection_tokens: 100,
    use_mid_position_embeddings: true,
    auxiliary_loss: false,
    class_cost,
    bbox_cost,
    giou_cost,
    bbox_loss_coefficient,
    giou_loss_coefficient,
    eos_coefficient,
  },
};
