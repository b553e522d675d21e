import type { Tensor } from '../../core/tensor.js';
import type { Initializer } from '../../nn/init.js';
import { Linear, type Projection } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import type { StateNames } from '../../nn/state-names.js';
import { sigmoid } from '../../ops/activation.js';
import { add, div, mul, where } from '../../ops/binary.js';
import { matmul } from '../../ops/matmul.js';
import { slice } from '../../ops/move.js';
import { norm } from '../../ops/statistics.js';
import { elu } from '../../ops/unary.js';
import { type Contrast, contrast, DualEncoderModel, pairLoss } from '../dual-encoder-model.js';
import type { Family } from '../family.js';
import type { ForwardOptions, ModelInputs, ModelOutput, PaddedBatch } from '../inputs.js';
import { type Json, ModelConfig } from '../model-config.js';
import type { BatchLayout, FamilyContext } from '../pretrained-model.js';
import { TextTower, towerDefaults, towerNames, type VisionTower } from '../towers.js';
import { clipVision, EndPooler, OLD_END } from './clip.js';

/** Score of a text that consists of padding: the smallest float32. */
const LOWEST = -3.4028234663852886e38;

/**
 * OWL-ViT and OWLv2 (Minderer et al. 2022, arXiv 2205.06230; 2023, arXiv 2306.09683): CLIP's towers with detection
 * heads. For each patch of an image, the heads predict a box and compare its content with texts.
 */
export class Owl extends DualEncoderModel {
  readonly text: TextTower;
  readonly vision: VisionTower;
  override readonly textProjection: Linear;
  override readonly visualProjection: Linear;
  /** A scalar: the logarithm of the factor of the cosines. */
  readonly logitScale: Tensor;
  override readonly head = null;
  readonly detector: OwlDetector | null;

  constructor(context: FamilyContext) {
    super(context, ['object-detection']);
    const { init, config, head } = context;
    const [text, vision] = ['text', 'vision'].map((side) => new ModelConfig(config.object(`${side}_config`))) as [
      ModelConfig,
      ModelConfig,
    ];
    this.text = new TextTower(init, text, true, new EndPooler(text, OLD_END), this.randomness);
    this.vision = clipVision(init, vision, this.randomness);
    const projection = (side: ModelConfig) =>
      new Linear(init, side.size('hidden_size'), config.size('projection_dim'), false);
    this.visualProjection = projection(vision);
    this.textProjection = projection(text);
    this.logitScale = init.constant([], config.number('logit_scale_init_value'));
    this.detector = head === 'object-detection' ? new OwlDetector(init, text, vision, config.type === 'owlv2') : null;
  }

  protected override *runInParts(
    inputs: ModelInputs,
    options: ForwardOptions,
    layout: BatchLayout,
  ): Generator<unknown, ModelOutput> {
    const { detector } = this;
    if (detector === null) return yield* super.runInParts(inputs, options, layout);
    const read = yield* this.readText(this.text, inputs, options, layout);
    const queries = unit(this.textProjection.forward(read.pooled as Tensor), 0); // [texts, projection]
    const { features, batch } = yield* this.vision.forwardInParts(inputs);
    const { norm: last } = this.vision.pooler as unknown as { norm: LayerNorm };
    const [images, width] = [batch.size, features.shape[1] as number];
    const tokens = last.forward(features).reshape(images, -1, width); // the class token, then patches
    const count = (tokens.shape[1] as number) - 1;
    const patches = detector.layerNorm.forward(mul(slice(tokens, 1, 1, count + 1), slice(tokens, 1, 0, 1)));
    const rows = (layout.source as PaddedBatch).rows ?? [];
    const isText = Int32Array.from({ length: queries.shape[0] as number }, (_, i) => (rows[i]?.[0] === 0 ? 0 : 1));
    const texts = queries.reshape(images, -1, queries.shape[1] as number); // [B, texts, projection]
    const [height, columns] = this.vision.patches.grid(inputs.pixelValues?.shape.slice(2) as [number, number]);
    return {
      ...detector.detect(patches, texts, isText, [height, columns]),
      textEmbeds: texts,
      imageEmbeds: patches.reshape(images, height, columns, width),
    };
  }

  protected override mapsOf(...args: Parameters<DualEncoderModel['mapsOf']>): ModelOutput {
    return this.detector ? {} : super.mapsOf(...args);
  }

  protected override compare(text: Tensor, image: Tensor): Contrast {
    return contrast(text, image, this.logitScale);
  }

  /** Returns the mean of two cross entropies: of the image for each text, and of the text for each image. */
  protected override contrastLoss(logits: Tensor): Tensor {
    return pairLoss(logits);
  }

  protected override get bodyName(): string {
    return this.settings.type;
  }

  /** Detection compares no whole images with texts, and finds objects by their texts alone. */
  override isOptional(name: string): boolean {
    return this.headKind !== 'none' && /(^|\.)(logit_scale|visual_projection|objectness_head)(\.|$)/.test(name);
  }

  protected override get stateNames(): StateNames {
    const { bodyName } = this;
    const inBody = (names: StateNames) =>
      Object.fromEntries(
        Object.entries(names).map(([path, name]) => [
          path,
          Array.isArray(name) ? name.map((part) => `${bodyName}.${part}`) : `${bodyName}.${name}`,
        ]),
      ) as StateNames;
    return {
      ...inBody({
        ...towerNames('text'),
        'vision.start': 'vision_model.pre_layernorm',
        'vision.pooler.norm': 'vision_model.post_layernorm',
        ...towerNames('vision'),
        text_projection: 'text_projection',
        visual_projection: 'visual_projection',
        logit_scale: 'logit_scale',
      }),
      detector: '',
    };
  }
}

/** Normalizes rows: x / (|x| + eps). */
function unit(x: Tensor, eps: number): Tensor {
  const length = norm(x, { axis: -1, keepDims: true });
  return div(x, eps > 0 ? add(length, eps) : length);
}

/** Predicts a box for each patch, and the similarity of its content to texts. */
class OwlDetector extends Module {
  readonly classHead: ClassHead;
  readonly boxHead: DenseHead;
  /** Scores how likely a patch shows an object of any kind. Null in OWL-ViT. */
  readonly objectnessHead: DenseHead | null;
  readonly layerNorm: LayerNorm;

  constructor(init: Initializer, text: ModelConfig, vision: ModelConfig, scoresObjects: boolean) {
    super();
    const width = vision.size('hidden_size');
    this.classHead = new ClassHead(init, width, text.size('hidden_size'));
    this.boxHead = new DenseHead(init, width, 4);
    this.objectnessHead = scoresObjects ? new DenseHead(init, width, 1) : null;
    this.layerNorm = new LayerNorm(init, width, vision.number('layer_norm_eps'));
  }

  /**
   * `patches`: float32 [B, patches, width]. `texts`: [B, texts, projection]. `isText`: [B · texts], 0 for padding, else
   * 1.
   */
  detect(patches: Tensor, texts: Tensor, isText: Int32Array, grid: readonly [number, number]): ModelOutput {
    const { device } = patches;
    const [batch, count] = patches.shape as [number, number];
    const { logits, classEmbeds } = this.classHead.compare(patches, texts);
    const known = device.tensor(isText, [batch, 1, texts.shape[1] as number]);
    const bias = device.tensor(boxBias(grid), [count, 4]);
    const output: ModelOutput = {
      logits: isText.includes(0) ? where(known, logits, LOWEST) : logits,
      predBoxes: sigmoid(add(this.boxHead.forward(patches), bias)),
      classEmbeds,
    };
    // The gradient of the objectness does not reach the towers, as in transformers.
    const objectness = this.objectnessHead?.forward(patches.detach());
    return objectness ? { ...output, objectnessLogits: objectness.reshape(batch, count) } : output;
  }
}

/**
 * Returns the logits of each patch's default box. Its centre is the lower right corner of the patch, and its size is
 * that of the patch.
 */
function boxBias([height, width]: readonly [number, number]): Float32Array {
  const logit = (share: number) => Math.log(share + 1e-4) - Math.log1p(-share + 1e-4);
  return Float32Array.from({ length: height * width * 4 }, (_, i) => {
    const [cell, side] = [Math.floor(i / 4), i % 4];
    if (side === 0) return logit(((cell % width) + 1) / width);
    if (side === 1) return logit((Math.floor(cell / width) + 1) / height);
    return logit(1 / (side === 2 ? width : height));
  });
}

/** Three projections with GELU between them. */
class DenseHead extends Module {
  readonly dense0: Projection;
  readonly dense1: Projection;
  readonly dense2: Projection;

  constructor(init: Initializer, width: number, outputs: number) {
    super();
    this.dense0 = new Linear(init, width, width);
    this.dense1 = new Linear(init, width, width);
    this.dense2 = new Linear(init, width, outputs);
  }

  forward(x: Tensor): Tensor {
    return this.dense2.forward(this.dense1.forward(this.dense0.forward(x, 'gelu'), 'gelu'));
  }
}

/** Computes cosines of patches and texts. A learned shift and factor of each patch make logits of them. */
class ClassHead extends Module {
  readonly dense0: Projection;
  readonly logitShift: Projection;
  readonly logitScale: Projection;

  constructor(init: Initializer, width: number, features: number) {
    super();
    this.dense0 = new Linear(init, width, features);
    this.logitShift = new Linear(init, width, 1);
    this.logitScale = new Linear(init, width, 1);
  }

  compare(patches: Tensor, texts: Tensor): { logits: Tensor; classEmbeds: Tensor } {
    const classEmbeds = unit(this.dense0.forward(patches), 1e-6);
    const cosines = matmul(classEmbeds, unit(texts, 1e-6), { transposeB: true }); // [B, patches, texts]
    const factor = add(elu(this.logitScale.forward(patches)), 1);
    return { logits: mul(add(cosines, this.logitShift.forward(patches)), factor), classEmbeds };
  }
}

const defaults: Json = { projection_dim: 512, logit_scale_init_value: 2.6592 };

export const owlV2: Family = {
  model: Owl,
  className: 'Owlv2',
  defaults,
  parts: { text_config: 'owlv2_text_model', vision_config: 'owlv2_vision_model' },
};
export const owlVit: Family = {
  model: Owl,
  className: 'OwlViT',
  defaults,
  parts: { text_config: 'owlvit_text_model', vision_config: 'owlvit_vision_model' },
};

const towers = { ...towerDefaults, hidden_act: 'quick_gelu', layer_norm_eps: 1e-5 };

/** Defaults of the towers' configs. A tower on its own is not supported as a model. */
export const owlText: Family = {
  model: Owl,
  className: 'OwlText',
  defaults: {
    ...towers,
    vocab_size: 49408,
    hidden_size: 512,
    intermediate_size: 2048,
    num_attention_heads: 8,
    max_position_embeddings: 16,
    pad_token_id: 0,
    bos_token_id: 49406,
    eos_token_id: 49407,
  },
};
export const owlV2Vision: Family = {
  model: Owl,
  className: 'Owlv2Vision',
  defaults: { ...towers, num_channels: 3, image_size: 768, patch_size: 16 },
};
export const owlVitVision: Family = {
  model: Owl,
  className: 'OwlViTVision',
  defaults: { ...towers, num_channels: 3, image_size: 768, patch_size: 32 },
};
