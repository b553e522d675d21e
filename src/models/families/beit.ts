import { FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { type GridSize, interpolate } from '../../nn/interpolation.js';
import { TransformerLayer } from '../../nn/layer.js';
import { LayerScale } from '../../nn/layer-scale.js';
import { Linear } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { add, scale } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { concat, gather, permute, slice } from '../../ops/move.js';
import { activationOf, dropBranch, dropoutOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import { labelsOf } from '../labels.js';
import type { ModelConfig } from '../model-config.js';
import { vitModule } from '../module-names.js';
import { pixelLoss } from '../pixel-loss.js';
import { PredictionHead } from '../prediction-head.js';
import type { BatchLayout, FamilyContext } from '../pretrained-model.js';
import { TowerModel } from '../tower-model.js';
import { patchesOf, VisionTower } from '../towers.js';
import { AuxiliaryHead, MapPyramid, UperHead } from '../uper-head.js';
import { imageDefaults, imageNames } from './vit.js';

/**
 * Biases of attention scores (relative position bias). They depend on the vertical and horizontal distance of two
 * patches; the class token has its own.
 */
class PatchBias extends Module {
  /**
   * float32 [distances + 3, heads]: biases of pairs of patches, by distance, row by row. Three more rows follow: class
   * token to patch, patch to class token, and class token to itself.
   */
  readonly weight: Tensor;
  #distances: GridSize;
  #grid: GridSize;

  /**
   * `grid`: rows and columns of patches that the table covers. For images of other sizes, the table is interpolated.
   */
  constructor(init: Initializer, grid: GridSize, heads: number) {
    super();
    this.#grid = grid;
    // transformers reads the table with width and height exchanged. This matters if the grid is not square.
    this.#distances = [2 * grid[1] - 1, 2 * grid[0] - 1];
    this.weight = init.constant([this.#distances[0] * this.#distances[1] + 3, heads], 0);
  }

  /** Sets the grid of the images of this pass. */
  start(grid: GridSize): void {
    this.#grid = grid;
  }

  /** Returns float32 [1, heads, T, T], where T is 1 + the number of patches. */
  forward(): Tensor {
    const [height, width] = this.#grid;
    const { weight } = this;
    const patchDistances = this.#distances[0] * this.#distances[1];
    const patches = interpolate('bilinear', weight.rows(0, patchDistances), this.#distances, [
      2 * height - 1,
      2 * width - 1,
    ]);
    const table = concat([patches, weight.rows(patchDistances, patchDistances + 3)]); // [distances, heads]
    const tokens = height * width + 1;
    const rows = weight.device.tensor(distanceRows(this.#grid)); // [T·T]
    return permute(gather(table, rows).reshape(tokens, tokens, -1), [2, 0, 1]).reshape(1, -1, tokens, tokens);
  }
}

/** Returns the row of the bias table for each pair of query and key, [T·T]. */
function distanceRows([height, width]: GridSize): Int32Array {
  const tokens = height * width + 1;
  const patches = (2 * height - 1) * (2 * width - 1);
  return Int32Array.from({ length: tokens * tokens }, (_, i) => {
    const [query, key] = [Math.floor(i / tokens) - 1, (i % tokens) - 1];
    if (query < 0) return patches + (key < 0 ? 2 : 0);
    if (key < 0) return patches + 1;
    const down = Math.floor(query / width) - Math.floor(key / width) + height - 1;
    const right = (query % width) - (key % width) + width - 1;
    return down * (2 * width - 1) + right;
  });
}

/** Attention with a bias of the scores: the layer's own, one that all layers share, both, or none. */
class PatchAttention extends MultiHeadAttention {
  readonly patchBias: PatchBias | null;
  readonly #shared: PatchBias | null;

  constructor(init: Initializer, options: MultiHeadOptions, patchBias: PatchBias | null, shared: PatchBias | null) {
    super(init, options);
    this.patchBias = patchBias;
    this.#shared = shared;
  }

  override scoreBias(): Tensor | null {
    const [layerBias, shared] = [this.patchBias?.forward() ?? null, this.#shared?.forward() ?? null];
    return layerBias && shared ? add(layerBias, shared) : (layerBias ?? shared);
  }
}

/**
 * BEiT (Bao et al. 2021, arXiv 2106.08254): a vision Transformer with layer scale and biases by distance. Labels of
 * pixels come from the maps of four layers.
 */
export class Beit extends TowerModel {
  override readonly text = null;
  readonly sharedBias: PatchBias | null;
  readonly vision: VisionTower;
  /** float32 [dModel]: replaces masked patches in pre-training. It is loaded and saved, but not used. */
  readonly maskToken: Tensor | null;
  readonly head: PredictionHead | null;
  /** The parts that label pixels. Null for another head. */
  readonly pyramid: MapPyramid | null;
  readonly decodeHead: UperHead | null;
  readonly auxiliaryHead: AuxiliaryHead | null;

  constructor(context: FamilyContext) {
    super(context, ['image-classification', 'semantic-segmentation']);
    const { init, config, head } = context;
    const [dModel, heads, layers] = ['hidden_size', 'num_attention_heads', 'num_hidden_layers'].map((name) =>
      config.size(name),
    ) as [number, number, number];
    const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_eps'));
    const interpolates = { positions: config.flag('use_absolute_position_embeddings'), interpolate: true };
    const patches = patchesOf(init, config, interpolates);
    const patchBias = () => new PatchBias(init, patches.grid(patches.image), heads);
    const shared = config.flag('use_shared_relative_position_bias') ? patchBias() : null;
    const biases: PatchBias[] = shared ? [shared] : [];
    const attention = () => {
      const layerBias = config.flag('use_relative_position_bias') ? patchBias() : null;
      if (layerBias) biases.push(layerBias);
      const dropout = dropoutOf(config, 'attention_probs_dropout_prob', this.randomness);
      return new PatchAttention(init, { dModel, heads, bias: [true, false, true], dropout }, layerBias, shared);
    };
    const feedForward = () =>
      new FeedForward(init, {
        dModel,
        dFF: config.size('intermediate_size'),
        activation: activationOf(config.text('hidden_act')),
      });
    const layerScale = config.number('layer_scale_init_value');
    const layer = (i: number) =>
      new TransformerLayer({
        selfAttn: attention,
        feedForward,
        norm,
        postNorm: layerScale > 0 ? () => new LayerScale(init, dModel, layerScale) : null,
        dropout: () => dropBranch(config, this.randomness, i / Math.max(layers - 1, 1)),
        wiring: 'pre',
        randomness: this.randomness,
      });
    this.sharedBias = shared;
    const isMean = config.flag('use_mean_pooling');
    const pooled = () => ({ pick: isMean ? 'meanOfRest' : 'first', norm: isMean ? norm() : null }) as const;
    this.vision = new VisionTower({
      patches,
      start: new Dropout(config.number('hidden_dropout_prob'), this.randomness),
      encoder: new Stack(layers, layer, null),
      norm: isMean ? null : norm(),
      pooler: head === 'none' && this.hasPooler ? new PredictionHead(pooled()) : null,
      onGrid: (grid) => {
        for (const bias of biases) bias.start(grid);
      },
    });
    this.maskToken = config.flag('use_mask_token') ? init.constant([dModel], 0) : null;
    const classes = labelsOf(config.values).length;
    this.head =
      head === 'image-classification'
        ? new PredictionHead({ ...pooled(), out: new Linear(init, dModel, classes) })
        : null;
    const labelsPixels = head === 'semantic-segmentation';
    this.pyramid = labelsPixels ? new MapPyramid(init, dModel) : null;
    this.decodeHead = labelsPixels ? new UperHead(init, config, dModel) : null;
    const hasAuxiliary = labelsPixels && config.flag('use_auxiliary_head');
    this.auxiliaryHead = hasAuxiliary ? new AuxiliaryHead(init, config, dModel) : null;
    if (labelsPixels) layersOf(config, layers);
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return this.decodeHead ? [...super.inputNames, 'labels'] : super.inputNames;
  }

  protected override *runInParts(
    inputs: ModelInputs,
    options: ForwardOptions,
    layout: BatchLayout,
  ): Generator<unknown, ModelOutput> {
    const { pyramid, decodeHead, auxiliaryHead, settings } = this;
    if (!pyramid || !decodeHead) return yield* super.runInParts(inputs, options, layout);
    const { tower, output } = yield* this.readImages(this.vision, inputs, options, layout);
    const { patches } = this.vision;
    const grid = patches.grid((inputs.pixelValues as Tensor).shape.slice(2) as [number, number]);
    const size = tower.batch.size;
    const mapOf = (layer: number) => {
      const rows = (tower.hiddenStates[layer - 1] as Tensor).reshape(size, 1 + grid[0] * grid[1], -1);
      return contiguous(slice(rows, 1, 1, rows.shape[1] as number)).reshape(size, ...grid, -1);
    };
    const maps = pyramid.forward(layersOf(settings, this.vision.layers.length).map(mapOf));
    yield;
    const logits = decodeHead.forward(maps);
    const { hiddenStates } = output;
    const result: ModelOutput = { logits: permute(logits, [0, 3, 1, 2]), ...(hiddenStates && { hiddenStates }) };
    const { labels } = inputs;
    if (labels === undefined || !(options.loss ?? true)) return result;
    const ignored = settings.number('semantic_loss_ignore_index');
    const loss = pixelLoss(logits, labels, ignored);
    if (!auxiliaryHead) return { ...result, loss };
    const auxiliary = pixelLoss(auxiliaryHead.forward(maps[2] as Tensor), labels, ignored);
    return { ...result, loss: add(loss, scale(auxiliary, settings.number('auxiliary_loss_weight'))) };
  }

  /** True if the body makes one vector of an image. */
  protected get hasPooler(): boolean {
    return true;
  }

  protected override get bodyName(): string {
    return 'beit';
  }

  override moduleName(name: string): string {
    return vitModule(name);
  }

  protected override get stateNames(): StateNames {
    const { bodyName } = this;
    const [layer, encoder] = [`${bodyName}.encoder.layer.*`, 'vision.encoder.layers.*'];
    const bias = 'relative_position_bias.relative_position_bias_table';
    const query = (name: string) => `${layer}.attention.attention.${name}`;
    return {
      [`${encoder}.self_attn.qkv.bias`]: [query('query.bias'), null, query('value.bias')],
      ...imageNames(bodyName),
      [`${encoder}.self_attn.patch_bias.weight`]: query(bias),
      'shared_bias.weight': `${bodyName}.encoder.${bias}`,
      [`${encoder}.norm1`]: `${layer}.layernorm_before`,
      [`${encoder}.norm2`]: `${layer}.layernorm_after`,
      [`${encoder}.post_norms.0.weight`]: `${layer}.lambda_1`,
      [`${encoder}.post_norms.1.weight`]: `${layer}.lambda_2`,
      [`${encoder}.feed_forward.linear1`]: `${layer}.intermediate.dense`,
      [`${encoder}.feed_forward.linear2`]: `${layer}.output.dense`,
      'vision.pooler.norm': `${bodyName}.pooler.layernorm`,
      'head.norm': `${bodyName}.pooler.layernorm`,
      mask_token: { name: `${bodyName}.embeddings.mask_token`, leading: [1, 1] },
      'pyramid.first': 'fpn1.0',
      'pyramid.first_norm': 'fpn1.1',
      'pyramid.first_again': 'fpn1.3',
      'pyramid.second': 'fpn2.0',
      ...this.pixelNames,
    };
  }

  /** Names of the convolutions of the heads for pixels. */
  protected get pixelNames(): StateNames {
    return namesOfHeads({ conv: 'conv', norm: 'bn', pooled: '*.1', bottleneck: 'bottleneck' });
  }
}

/** Numbers of the four layers whose inputs are read; 1 is the first layer. Throws FormatError. */
function layersOf(config: ModelConfig, layers: number): readonly number[] {
  const numbers = config.sizes('out_indices', 4);
  const odd = numbers.find((number) => number > layers + 1);
  if (odd === undefined) return numbers;
  throw new FormatError(`config.json: out_indices has ${odd}, expected numbers from 1 to ${layers + 1}`);
}

/** Names of the heads for pixels, which BEiT and data2vec write differently. */
function namesOfHeads({ conv, norm, pooled, bottleneck }: Readonly<Record<string, string>>): StateNames {
  const [head, auxiliary] = ['decode_head', 'auxiliary_head'];
  const convolutions = {
    [`${head}.pooled.*`]: `${head}.psp_modules.${pooled}`,
    [`${head}.bottleneck`]: `${head}.${bottleneck}`,
    [`${head}.lateral.*`]: `${head}.lateral_convs.*`,
    [`${head}.smooth.*`]: `${head}.fpn_convs.*`,
    [`${head}.fuse`]: `${head}.fpn_bottleneck`,
    [`${auxiliary}.convs.*`]: `${auxiliary}.convs.*`,
    [`${auxiliary}.joined`]: `${auxiliary}.conv_cat`,
  };
  return Object.fromEntries(
    Object.entries(convolutions).flatMap(([path, stored]) => [
      [`${path}.convolution`, `${stored}.${conv}`],
      [`${path}.normalization`, `${stored}.${norm}`],
    ]),
  );
}

/** The vision model of data2vec (Baevski et al. 2022, arXiv 2202.03555): a BEiT. */
class Data2VecVision extends Beit {
  protected override get hasPooler(): boolean {
    return false;
  }

  protected override get bodyName(): string {
    return 'data2vec_vision';
  }

  protected override get pixelNames(): StateNames {
    const names = { conv: 'convolution', norm: 'normalization', pooled: 'blocks.*.conv', bottleneck: 'psp_bottleneck' };
    return namesOfHeads(names);
  }
}

export const beit: Family = {
  model: Beit,
  className: 'Beit',
  defaults: {
    ...imageDefaults,
    intermediate_size: 3072,
    layer_norm_eps: 1e-12,
    use_mask_token: false,
    use_absolute_position_embeddings: false,
    use_relative_position_bias: false,
    use_shared_relative_position_bias: false,
    layer_scale_init_value: 0.1,
    drop_path_rate: 0.1,
    use_mean_pooling: true,
    out_indices: [3, 5, 7, 11],
    pool_scales: [1, 2, 3, 6],
    use_auxiliary_head: true,
    auxiliary_loss_weight: 0.4,
    auxiliary_channels: 256,
    auxiliary_num_convs: 1,
    auxiliary_concat_input: false,
    semantic_loss_ignore_index: 255,
  },
  complete: (config, file) => {
    config.out_indices = file.out_indices ?? file.segmentation_indices ?? config.out_indices; // an older name
  },
};

export const data2VecVision: Family = { ...beit, model: Data2VecVision, className: 'Data2VecVision' };
