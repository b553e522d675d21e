import { describeValue } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import { atOnce } from '../../core/slices.js';
import type { Tensor } from '../../core/tensor.js';
import { BatchNorm } from '../../nn/batch-norm.js';
import type { Conv2d } from '../../nn/conv.js';
import { Dropout, type Randomness } from '../../nn/dropout.js';
import type { Initializer } from '../../nn/init.js';
import { Linear } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { PatchEmbedding } from '../../nn/patch-embedding.js';
import type { StateNames } from '../../nn/state-names.js';
import { type Activation, relu } from '../../ops/activation.js';
import { add, scale } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { interpolate } from '../../ops/interpolate.js';
import { concat, gather, permute, slice } from '../../ops/move.js';
import { Bit, bitNames } from '../bit.js';
import { activationOf, dropoutOf, heightAndWidth } from '../config-values.js';
import { conv, DepthNeck, fusedMap, isUnusedInNeck, neckNames } from '../depth-neck.js';
import type { Family } from '../family.js';
import { ImageModel } from '../image-model.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import { labelsOf } from '../labels.js';
import { type Json, ModelConfig } from '../model-config.js';
import { dinov2Module } from '../module-names.js';
import { pixelLoss } from '../pixel-loss.js';
import type { FamilyContext } from '../pretrained-model.js';
import { patchesOf, type VisionTower } from '../towers.js';
import { Dinov2, dinov2, stagesInParts, stagesOf } from './dinov2.js';
import { vit, vitNames, vitTower } from './vit.js';

/**
 * The dense prediction Transformer (Ranftl et al. 2021, arXiv 2103.13413). Features of several layers of a vision
 * Transformer become maps of different sizes, which are fused. They give the depth or the label of each pixel.
 *
 * The encoder is ViT, ViT over the last map of a convolutional network ("hybrid"), or DINOv2.
 */
export class Dpt extends ImageModel {
  readonly vision: VisionTower | null;
  readonly backbone: Dinov2 | null;
  readonly readout: Readout | null;
  readonly neck: DepthNeck | null;
  readonly depthHead: DepthHead | null;
  readonly labelHead: LabelHead | null;
  readonly auxiliaryHead: LabelHead | null;
  override readonly head = null;
  /** Layers whose output is used, counted from 1; 0 is the input of the first layer. */
  readonly #stages: readonly number[];

  constructor(context: FamilyContext) {
    super(context, ['none', 'depth-estimation', 'semantic-segmentation']);
    const { init, config, head } = context;
    const isHybrid = config.flag('is_hybrid');
    const backboneConfig = isHybrid ? null : config.values.backbone_config;
    if (backboneConfig != null && head === 'semantic-segmentation')
      throw new FormatError('config.json: backbone_config is given, expected is_hybrid, or a ViT without a backbone');
    const backbone = backboneConfig != null && head === 'depth-estimation' ? backboneOf(config) : null;
    this.backbone = backbone && new Dinov2({ init, config: backbone, head: 'none', randomness: this.randomness });
    const patches = () => (isHybrid ? new HybridPatches(init, config, this.randomness) : vitPatches(init, config));
    this.vision = backbone ? null : vitTower(context, this.randomness, { patches: patches(), pools: head === 'none' });
    const maps = config.sizes('neck_hidden_sizes').length;
    const isDense = head !== 'none';
    this.#stages = isDense ? (backbone ? stagesOf(backbone, maps) : layersOf(config, maps, isHybrid)) : [];
    const [inputs, whole] = [(backbone ?? config).size('hidden_size'), isHybrid ? HYBRID_MAPS : 0];
    this.readout = isDense ? new Readout(init, config, { inputs, whole, maps }) : null;
    this.neck = isDense ? new DepthNeck(init, config, { inputs, whole, fits: false }) : null;
    this.depthHead = head === 'depth-estimation' ? new DepthHead(init, config) : null;
    const isLabelled = head === 'semantic-segmentation';
    const labelHead = (dropout: Dropout) => new LabelHead(init, config, dropout);
    this.labelHead = isLabelled ? labelHead(dropoutOf(config, 'semantic_classifier_dropout', this.randomness)) : null;
    const isTaught = isLabelled && config.flag('use_auxiliary_head');
    this.auxiliaryHead = isTaught ? labelHead(new Dropout(0.1, this.randomness)) : null;
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return this.labelHead ? ['pixelValues', 'labels'] : ['pixelValues'];
  }

  protected override *forwardPixelsInParts(
    pixels: Tensor,
    { labels }: ModelInputs,
    options: ForwardOptions,
  ): Generator<unknown, ModelOutput> {
    const { maps, ...output } = yield* this.#encode(pixels, options);
    if (this.neck === null) return output;
    const fused = this.neck.forward(maps);
    const map = fusedMap(fused, this.settings); // [B, H, W, features]
    if (this.depthHead) return { ...output, predictedDepth: this.depthHead.forward(map) };
    const logits = doubled((this.labelHead as LabelHead).forward(map)); // [B, H, W, labels]
    output.logits = permute(logits, [0, 3, 1, 2]);
    if (labels !== undefined && (options.loss ?? true)) {
      const lossOf = (prediction: Tensor) =>
        pixelLoss(prediction, labels, this.settings.number('semantic_loss_ignore_index'));
      const taught = this.auxiliaryHead?.forward(fused.at(-1) as Tensor);
      const weight = this.settings.number('auxiliary_loss_weight');
      output.loss = taught ? add(lossOf(logits), scale(lossOf(taught), weight)) : lossOf(logits);
    }
    return output;
  }

  /** The maps of the neck, from the largest to the smallest, beside the encoder's outputs. Yields after each layer. */
  *#encode(pixels: Tensor, options: ForwardOptions): Generator<unknown, ModelOutput & { maps: Tensor[] }> {
    const { backbone, vision, readout } = this;
    const [size, , ...sides] = pixels.shape as [number, number, number, number];
    const shown = (hiddenStates: Tensor[]) => (options.hiddenStates ? { hiddenStates } : {});
    const mapsOf = (states: readonly Tensor[], patch: number, first: readonly Tensor[] = []) => {
      const grid = sides.map((side) => Math.floor(side / patch));
      const map = (state: Tensor, i: number) => (readout as Readout).forward(state, first.length + i);
      return [...first, ...states.map((state, i) => map(state, i).reshape(size, ...grid, -1))];
    };
    if (backbone) {
      const { stages, hiddenStates } = yield* stagesInParts(backbone, this.#stages, pixels);
      return { maps: mapsOf(stages, backbone.vision.patches.patch[0]), ...shown(hiddenStates) };
    }
    const { patches, encoder, norm, pooler } = vision as VisionTower;
    const { x, batch } = (vision as VisionTower).embed({ pixelValues: pixels });
    const first = patches instanceof HybridPatches ? patches.takeMaps() : [];
    const states: Tensor[] = []; // before the first layer, and after each
    const last = yield* encoder.forwardInParts(x, batch, { hiddenStates: states });
    const hiddenStates = states.map((rows) => rows.reshape(size, batch.longest, -1));
    if (pooler && norm) {
      const features = norm.forward(last);
      const lastHiddenState = features.reshape(size, batch.longest, -1);
      return { maps: [], lastHiddenState, poolerOutput: pooler.forward(features, batch), ...shown(hiddenStates) };
    }
    const used = this.#stages.map((stage) => hiddenStates[stage] as Tensor);
    return { maps: mapsOf(used, this.settings.size('patch_size'), first), ...shown(hiddenStates) };
  }

  /** Graphs lack the norm after the last layer, which the heads do not read. */
  override isOptional(name: string): boolean {
    const isUnused = isUnusedInNeck(name) || name.startsWith('auxiliary_head.');
    return super.isOptional(name) || isUnused || (this.neck !== null && name.startsWith('dpt.layernorm.'));
  }

  override moduleName(name: string): string {
    return this.backbone ? dinov2Module(name) : name;
  }

  protected override get bodyName(): string {
    return 'dpt';
  }

  protected override get stateNames(): StateNames {
    return {
      ...(this.backbone ? this.namesOf(this.backbone, 'backbone', 'backbone', true) : {}),
      ...bitNames('vision.patches.backbone', 'dpt.embeddings.backbone.bit'),
      ...vitNames('dpt'),
      ...(this.settings.flag('is_hybrid') ? { 'vision.patches.projection': 'dpt.embeddings.projection' } : {}),
      'readout.projections.*': 'neck.reassemble_stage.readout_projects.*.0',
      ...neckNames,
      'depth_head.projection': 'head.projection',
      'depth_head.conv1': 'head.head.0',
      'depth_head.conv2': 'head.head.2',
      'depth_head.conv3': 'head.head.4',
      ...labelNames('label_head', 'head.head'),
      ...labelNames('auxiliary_head', 'auxiliary_head.head'),
    };
  }
}

/** The config of DINOv2 as the encoder. Throws FormatError for another network. */
function backboneOf(config: ModelConfig): ModelConfig {
  const backboneConfig = new ModelConfig({ ...dinov2.defaults, ...config.object('backbone_config') });
  backboneConfig.oneOf('model_type', { dinov2: true });
  return backboneConfig;
}

/** Number of maps of a hybrid's convolutional network that the neck reads. */
const HYBRID_MAPS = 2;

function vitPatches(init: Initializer, config: ModelConfig): PatchEmbedding {
  return patchesOf(init, config, { interpolate: 'bilinear' });
}

/** The layers of `backbone_out_indices`, in their order. Throws FormatError unless there are as many as maps. */
function layersOf(config: ModelConfig, maps: number, isHybrid: boolean): number[] {
  const outIndices = config.list('backbone_out_indices').slice(isHybrid ? HYBRID_MAPS : 0);
  const count = config.size('num_hidden_layers');
  const layers = Array.from({ length: count }, (_, i) => i + 1).filter((layer) => outIndices.includes(layer - 1));
  if (layers.length + (isHybrid ? HYBRID_MAPS : 0) === maps) return layers;
  const names = describeValue(config.values.backbone_out_indices);
  throw new FormatError(
    `config.json: backbone_out_indices is ${names}, expected ${maps} of ${count} layers, as many as neck_hidden_sizes`,
  );
}

/** Tokens from the last map of a convolutional network. */
class HybridPatches extends PatchEmbedding {
  readonly backbone: Bit;
  #maps: readonly Tensor[] = [];

  /** Throws FormatError for a network other than BiT with three stages. */
  constructor(init: Initializer, config: ModelConfig, randomness: Randomness) {
    const shape = config.sizes('backbone_featmap_shape', 4);
    const [height, width] = heightAndWidth(config, 'image_size');
    const patch = config.size('patch_size');
    super(init, {
      dModel: config.size('hidden_size'),
      channels: shape[1] as number,
      image: [Math.floor(height / patch), Math.floor(width / patch)],
      patch: [1, 1],
      interpolate: 'bilinear',
    });
    const backboneConfig = new ModelConfig({ ...HYBRID_BACKBONE, ...(config.values.backbone_config as Json | null) });
    backboneConfig.expect('model_type', 'bit');
    const kept = config.list('neck_ignore_stages');
    if (`${kept}` !== '0,1')
      throw new FormatError(`config.json: neck_ignore_stages is ${describeValue(kept)}, expected 0 and 1`);
    const stages = backboneConfig.sizes('depths').length;
    const { out_features: names } = backboneConfig.values;
    if (stages !== 3 || `${names}` !== 'stage1,stage2,stage3')
      throw new FormatError(
        `config.json: out_features of backbone_config is ${describeValue(names)}, expected three stages, all of them`,
      );
    this.backbone = new Bit(init, backboneConfig.values, randomness);
  }

  override forward(pixels: Tensor): Tensor {
    const [, ...maps] = atOnce(this.backbone.forwardInParts(pixels));
    this.#maps = maps.slice(0, HYBRID_MAPS);
    return super.forward(maps.at(-1) as Tensor);
  }

  /** The first maps of the last pass, [B, H, W, channels]. */
  takeMaps(): Tensor[] {
    const maps = this.#maps.map((map) => permute(map, [0, 2, 3, 1]));
    this.#maps = [];
    return maps;
  }
}

/** Combines the features of each patch with those of the class token, or ignores the latter. */
class Readout extends Module {
  readonly projections: readonly (Linear | null)[];
  readonly #adds: boolean;
  readonly #activation: Activation;

  constructor(
    init: Initializer,
    config: ModelConfig,
    { inputs, whole, maps }: { readonly inputs: number; readonly whole: number; readonly maps: number },
  ) {
    super();
    const kind = config.oneOf('readout_type', { ignore: 'ignore', add: 'add', project: 'project' } as const);
    if (whole > 0) config.expect('readout_type', 'project');
    const projection = (i: number) => (kind === 'project' && i >= whole ? new Linear(init, 2 * inputs, inputs) : null);
    this.projections = Array.from({ length: maps }, (_, i) => projection(i));
    this.#adds = kind === 'add';
    this.#activation = activationOf(config.text('hidden_act'));
  }

  /**
   * `state`: [B, 1 + patches, dModel]. Returns the features of patches, [B, patches, dModel]. `i`: index of the map.
   */
  forward(state: Tensor, i: number): Tensor {
    const [size, tokens, dModel] = state.shape as [number, number, number];
    const patches = slice(state, 1, 1, tokens);
    const projection = this.projections[i];
    if (!projection && !this.#adds) return patches;
    const first = slice(state, 1, 0, 1); // [B, 1, dModel]
    if (!projection) return add(patches, first);
    const starts = Int32Array.from({ length: size * (tokens - 1) }, (_, k) => Math.floor(k / (tokens - 1)));
    const spread = gather(contiguous(first).reshape(size, dModel), state.device.tensor(starts));
    return projection.forward(concat([contiguous(patches), spread.reshape(patches.shape)], -1), this.#activation);
  }
}

/** Enlarges a map [B, H, W, features] to twice its size. */
function doubled(map: Tensor): Tensor {
  const [, height, width] = map.shape as [number, number, number, number];
  const size = [2 * height, 2 * width] as const;
  return interpolate(map, { size, mode: 'bilinear', alignCorners: true, channelsLast: true });
}

/** The depth of each pixel. */
class DepthHead extends Module {
  readonly projection: Conv2d | null;
  readonly conv1: Conv2d;
  readonly conv2: Conv2d;
  readonly conv3: Conv2d;

  constructor(init: Initializer, config: ModelConfig) {
    super();
    const width = config.size('fusion_hidden_size');
    const projects = config.flag('add_projection');
    if (projects) config.expect('fusion_hidden_size', 256);
    this.projection = projects ? conv(init, width, width, 3) : null;
    this.conv1 = conv(init, width, Math.floor(width / 2), 3);
    this.conv2 = conv(init, Math.floor(width / 2), 32, 3);
    this.conv3 = conv(init, 32, 1, 1);
  }

  /** float32 [B, H, W, features] → the depth, [B, 2 H, 2 W]. */
  forward(map: Tensor): Tensor {
    const x = this.projection ? relu(this.projection.forward(map)) : map;
    const features = relu(this.conv2.forward(doubled(this.conv1.forward(x))));
    const depth = relu(this.conv3.forward(features));
    return depth.reshape(depth.shape.slice(0, 3));
  }
}

/** The labels of each pixel. */
class LabelHead extends Module {
  readonly conv: Conv2d;
  readonly norm: BatchNorm;
  readonly classifier: Conv2d;

  constructor(
    init: Initializer,
    config: ModelConfig,
    readonly dropout: Dropout,
  ) {
    super();
    const width = config.size('fusion_hidden_size');
    this.conv = conv(init, width, width, 3, false);
    this.norm = new BatchNorm(init, width, { channelsLast: true });
    this.classifier = conv(init, width, labelsOf(config.values).length, 1);
  }

  /** float32 [B, H, W, features] → [B, H, W, labels]. */
  forward(map: Tensor): Tensor {
    const features = relu(this.norm.forward(this.conv.forward(map)));
    return this.classifier.forward(this.dropout.forward(features));
  }
}

function labelNames(path: string, prefix: string): StateNames {
  return {
    [`${path}.conv`]: `${prefix}.0`,
    [`${path}.norm`]: `${prefix}.1`,
    [`${path}.classifier`]: `${prefix}.4`,
  };
}

/** The network of a hybrid whose config describes none. */
const HYBRID_BACKBONE: Json = {
  model_type: 'bit',
  global_padding: 'same',
  layer_type: 'bottleneck',
  depths: [3, 4, 9],
  out_features: ['stage1', 'stage2', 'stage3'],
  embedding_dynamic_padding: true,
};

export const dpt: Family = {
  model: Dpt,
  className: 'DPT',
  defaults: {
    ...vit.defaults,
    image_size: 384,
    is_hybrid: false,
    backbone_out_indices: [2, 5, 8, 11],
    readout_type: 'project',
    reassemble_factors: [4, 2, 1, 0.5],
    neck_hidden_sizes: [96, 192, 384, 768],
    fusion_hidden_size: 256,
    head_in_index: -1,
    use_batch_norm_in_fusion_residual: false,
    add_projection: false,
    use_auxiliary_head: true,
    auxiliary_loss_weight: 0.4,
    semantic_loss_ignore_index: 255,
    semantic_classifier_dropout: 0.1,
    backbone_featmap_shape: [1, 1024, 24, 24],
    neck_ignore_stages: [0, 1],
    backbone_config: null,
  },
  complete: (config) => {
    config.pooler_output_size ??= config.hidden_size;
  },
};
