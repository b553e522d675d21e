import { FormatError } from '../../core/errors.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { FeedForward, type FeedForwardOptions } from '../../nn/feed-forward.js';
import type { ImageEffects } from '../../nn/image-effects.js';
import type { Initializer } from '../../nn/init.js';
import type { GridSize } from '../../nn/interpolation.js';
import { TransformerLayer } from '../../nn/layer.js';
import { LayerNorm, type Norm, RMSNorm } from '../../nn/norm.js';
import type { RotaryEmbedding } from '../../nn/rotary-embedding.js';
import { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { gather } from '../../ops/move.js';
import { blockPositions } from '../block-positions.js';
import { activationOf, rotaryOf } from '../config-values.js';
import type { Family, GgufNumber } from '../family.js';
import { expectForGguf, ggufSections } from '../gguf-mixtures.js';
import { ImageReader, type ImageRows, textContext, visionConfig } from '../image-reader.js';
import type { ModelInputs } from '../inputs.js';
import type { Json, ModelConfig } from '../model-config.js';
import { qwen2VlModule } from '../module-names.js';
import type { FamilyContext } from '../pretrained-model.js';
import { axialRotary, EPS, FlatPatches, gridsOf, PatchMerger, patchRotation } from '../qwen-vision.js';
import { ggufNames } from './llama.js';
import { decoderWithSections, Qwen2, qwen2 } from './qwen.js';

/** Qwen2 whose tokens rotate by frame, row and column: one section of each head for each of them. */
export class Qwen2VlText extends Qwen2 {
  protected override rotary(init: Initializer, config: ModelConfig): RotaryEmbedding | null {
    return rotaryOf(init, config, { sections: 'successive' });
  }
}

/** Qwen2-VL (Wang et al. 2024, arXiv 2409.12191): images of any size, whose patches rotate by row and column. */
export class Qwen2Vl extends Qwen2VlText {
  override readonly images: QwenImages;

  constructor(context: FamilyContext) {
    super(textContext(context));
    this.images = new QwenImages(context, this.towerOf(context.init, visionConfig(context)));
  }

  protected towerOf(init: Initializer, vision: ModelConfig): Tower {
    const features = vision.size('embed_dim');
    return {
      features,
      out: vision.size('hidden_size'),
      network: { dFF: Math.trunc(features * vision.number('mlp_ratio')) },
      norm: (size) => new LayerNorm(init, size, EPS),
      windows: null,
    };
  }

  override moduleName(name: string): string {
    return qwen2VlModule(name);
  }

  /** transformers expects the prefix without a head, too. */
  override get lacksBodyName(): boolean {
    return false;
  }

  protected override get stateNames(): StateNames {
    const [path, block] = ['images.encoder.layers.*', 'visual.blocks.*'];
    const gated = { linear1: 'gate_proj', linear2: 'down_proj', linear3: 'up_proj' };
    const network = this.images.isGated ? gated : { linear1: 'fc1', linear2: 'fc2' };
    return {
      'images.patches': 'visual.patch_embed.proj',
      [`${path}.self_attn.qkv`]: `${block}.attn.qkv`,
      [`${path}.self_attn.out_proj`]: `${block}.attn.proj`,
      [`${path}.norm1`]: `${block}.norm1`,
      [`${path}.norm2`]: `${block}.norm2`,
      ...Object.fromEntries(
        Object.entries(network).map(([part, name]) => [`${path}.feed_forward.${part}`, `${block}.mlp.${name}`]),
      ),
      'images.merger.norm': 'visual.merger.ln_q',
      'images.merger.linear1': 'visual.merger.mlp.0',
      'images.merger.linear2': 'visual.merger.mlp.2',
      ...super.stateNames,
    };
  }
}

/** Qwen2.5-VL (2025, arXiv 2502.13923): most layers of the image encoder attend within windows of the image. */
export class Qwen25Vl extends Qwen2Vl {
  protected override towerOf(init: Initializer, vision: ModelConfig): Tower {
    const side = Math.floor(
      Math.floor(vision.size('window_size') / vision.size('spatial_merge_size')) / vision.size('patch_size'),
    );
    if (side === 0) throw new FormatError('config.json: window_size is less than a block of patches');
    return {
      features: vision.size('hidden_size'),
      out: vision.size('out_hidden_size'),
      network: { dFF: vision.size('intermediate_size'), gated: true },
      norm: (size) => new RMSNorm(init, size, EPS),
      windows: { side, whole: vision.list('fullatt_block_indexes') },
    };
  }
}

/** The differences between the image encoders of the two models. */
interface Tower {
  /** Features of a patch, and of a token of the decoder. */
  readonly features: number;
  readonly out: number;
  readonly network: Partial<FeedForwardOptions>;
  readonly norm: (size: number) => Norm;
  /** Blocks along a window's sides, and indices of layers that attend to whole images. Null: all layers do. */
  readonly windows: { readonly side: number; readonly whole: readonly unknown[] } | null;
}

class QwenImages extends ImageReader {
  readonly inputNames = ['pixelValues', 'imageGridThw'] as const;
  readonly placeholder: number;
  readonly patches: FlatPatches;
  readonly rotary: RotaryEmbedding;
  readonly encoder: Stack;
  readonly merger: PatchMerger;
  /** True if the feed-forward networks are gated. */
  readonly isGated: boolean;
  readonly #merge: number;
  readonly #windows: Tower['windows'];

  constructor({ init, config, ...context }: FamilyContext, { features, out, network, norm, windows }: Tower) {
    super();
    const vision = visionConfig({ init, config, ...context });
    const heads = vision.size('num_heads');
    this.placeholder = config.size('image_token_id');
    this.isGated = network.gated ?? false;
    this.#merge = vision.size('spatial_merge_size');
    this.#windows = windows;
    this.patches = new FlatPatches(init, vision, features, false);
    this.rotary = axialRotary(init, vision, features / heads);
    const activation = activationOf(vision.text('hidden_act'));
    const layer = () =>
      new TransformerLayer({
        selfAttn: () => new MultiHeadAttention(init, { dModel: features, heads, rotary: this.rotary }),
        feedForward: () => new FeedForward(init, { dModel: features, activation, ...network }),
        norm: () => norm(features),
        wiring: 'pre',
      });
    this.encoder = new Stack(vision.size('depth'), layer, null);
    this.merger = new PatchMerger(init, { features, merged: features * this.#merge ** 2, out }, norm);
  }

  /**
   * `pixelValues`: float32 [N, channels · frames · height · width], patches in square blocks. `imageGridThw`: frames,
   * rows and columns of patches of each image.
   */
  *readInParts({ pixelValues, imageGridThw }: ModelInputs): Generator<unknown, ImageRows> {
    const [merge, size] = [this.#merge, this.#merge ** 2]; // patches along a block's sides, and of a block
    const grids = gridsOf(imageGridThw, merge);
    const blocks = grids.map(([height, width]): GridSize => [height / merge, width / merge]);
    const counts = blocks.map(([height, width]) => height * width);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const x = this.patches.forward(pixelValues, total * size);
    const places = grids.flatMap((grid) => [...blockPositions(grid, merge)]);
    const sequences = (lengths: readonly number[], rotation: ImageEffects) =>
      Sequences.of(
        x.device,
        lengths.map((length) => length * size),
        rotation,
      );
    if (this.#windows === null) {
      const images = sequences(counts, patchRotation(x.device, this.rotary, places, grids));
      const y = yield* this.encoder.forwardInParts(x, images);
      return { rows: this.merger.forward(y), counts, grids: blocks };
    }
    const windows = windowsOf(blocks, this.#windows.side);
    const order = Int32Array.from(windows.flat());
    const ordered = gather(x.reshape(total, -1), x.device.tensor(order)).reshape(total * size, -1);
    const orderedPlaces = [...order].flatMap((block) => places.slice(block * size, (block + 1) * size));
    const rotation = patchRotation(x.device, this.rotary, orderedPlaces, grids);
    const images = sequences(counts, rotation);
    const parts = sequences(
      windows.map(({ length }) => length),
      rotation,
    );
    const { whole } = this.#windows;
    const batchOf = (layer: number) => (whole.includes(layer) ? images : parts);
    const y = yield* this.encoder.forwardInParts(ordered, images, { batchOf });
    const back = new Int32Array(total);
    for (const [row, block] of order.entries()) back[block] = row;
    return { rows: gather(this.merger.forward(y), x.device.tensor(back)), counts, grids: blocks };
  }
}

/** The blocks of each window, by their indices in all images. Windows at the right and lower edges may be smaller. */
function windowsOf(images: readonly GridSize[], side: number): number[][] {
  let first = 0;
  return images.flatMap(([height, width]) => {
    const start = first;
    first += height * width;
    const windows: number[][] = [];
    for (let top = 0; top < height; top += side)
      for (let left = 0; left < width; left += side) {
        const window: number[] = [];
        for (let row = top; row < Math.min(top + side, height); row++)
          for (let column = left; column < Math.min(left + side, width); column++)
            window.push(start + row * width + column);
        windows.push(window);
      }
    return windows;
  });
}

/** transformers 5 has other names in memory than in files. */
const fileName = (name: string) =>
  name.replace(/^(?:model\.)?language_model\./, 'model.').replace(/^model\.visual\./, 'visual.');

const towerDefaults: Json = {
  depth: 32,
  hidden_size: 3584,
  num_heads: 16,
  in_channels: 3,
  patch_size: 14,
  spatial_merge_size: 2,
  temporal_patch_size: 2,
};

export const qwen2Vl: Family = {
  model: Qwen2Vl,
  className: 'Qwen2VL',
  generationClass: 'Qwen2VLForConditionalGeneration',
  readsImages: true,
  hadFlatConfig: true,
  fileName,
  defaults: { image_token_id: 151655, tie_word_embeddings: false },
  // Older files have the setting in text_config.
  complete: (config, { text_config: text }) => {
    config.tie_word_embeddings ||= (text as Json | undefined)?.tie_word_embeddings ?? false;
  },
  parts: { text_config: 'qwen2_vl_text', vision_config: 'qwen2_vl_vision' },
};

export const qwen25Vl: Family = {
  ...qwen2Vl,
  model: Qwen25Vl,
  className: 'Qwen2_5_VL',
  generationClass: 'Qwen2_5_VLForConditionalGeneration',
  parts: { text_config: 'qwen2_5_vl_text', vision_config: 'qwen2_5_vl_vision' },
};

/** The settings that `saveGguf` writes. llama.cpp does not read the constant of the norms. */
function ggufSaved(config: ModelConfig): Record<string, GgufNumber> {
  expectForGguf(config, { rms_norm_eps: 1e-6 });
  return ggufSections(config);
}

/** The language model without images. */
export const qwen2VlText: Family = {
  ...qwen2,
  model: Qwen2VlText,
  className: 'Qwen2VLText',
  sameForText: 'qwen2',
  defaults: {
    ...qwen2.defaults,
    vocab_size: 152064,
    hidden_size: 8192,
    intermediate_size: 29568,
    num_hidden_layers: 80,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    rms_norm_eps: 1e-5,
    max_window_layers: 80,
    bos_token_id: 151643,
    eos_token_id: 151645,
  },
  rope: { theta: 1e6, sections: [16, 24, 24], typeNames: { mrope: 'default' } },
  gguf: { names: ggufNames, config: decoderWithSections, saved: ggufSaved },
};

export const qwen25VlText: Family = { ...qwen2VlText, className: 'Qwen2_5_VLText' };

/** The towers are not models on their own; these entries hold the defaults of their settings. */
export const qwen2VlVision: Family = {
  model: Qwen2Vl,
  className: 'Qwen2VLVision',
  defaults: { ...towerDefaults, embed_dim: 1280, hidden_act: 'quick_gelu', mlp_ratio: 4 },
};
export const qwen25VlVision: Family = {
  model: Qwen25Vl,
  className: 'Qwen2_5_VLVision',
  defaults: {
    ...towerDefaults,
    hidden_act: 'silu',
    intermediate_size: 3420,
    window_size: 112,
    out_hidden_size: 3584,
    fullatt_block_indexes: [7, 15, 23, 31],
  },
};
