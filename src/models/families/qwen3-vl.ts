import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { GridSize } from '../../nn/interpolation.js';
import { TransformerLayer } from '../../nn/layer.js';
import { LayerNorm } from '../../nn/norm.js';
import type { RotaryEmbedding } from '../../nn/rotary-embedding.js';
import { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { add, mul } from '../../ops/binary.js';
import { gather } from '../../ops/move.js';
import { blockPositions } from '../block-positions.js';
import { activationOf } from '../config-values.js';
import type { Family } from '../family.js';
import { ImageReader, type ImageRows, renamed, textContext, visionConfig } from '../image-reader.js';
import type { ModelInputs } from '../inputs.js';
import type { FamilyContext } from '../pretrained-model.js';
import { axialRotary, EPS, FlatPatches, gridsOf, PatchMerger, patchRotation } from '../qwen-vision.js';
import { ggufNames } from './llama.js';
import { decoderWithSections, Qwen3, qwen3 } from './qwen.js';
import { Qwen35 } from './qwen3-5.js';

/**
 * Qwen3-VL (2025, arXiv 2511.21631): images of any size, cut into patches. Tokens rotate by frame, row and column. The
 * first layers of the decoder add features of early layers of the image encoder (DeepStack, Meng et al. 2024, arXiv
 * 2406.04334).
 */
export class Qwen3Vl extends Qwen3 {
  override readonly images: QwenImages;

  constructor(context: FamilyContext) {
    super(textContext(context));
    this.images = new QwenImages(context);
  }

  protected override get stateNames(): StateNames {
    return qwenNames(super.stateNames);
  }
}

/** Qwen 3.5 with images (2026): like Qwen3-VL, without DeepStack. */
export class Qwen35Vl extends Qwen35 {
  override readonly images: QwenImages;

  constructor(context: FamilyContext) {
    super(textContext(context));
    this.images = new QwenImages(context);
  }

  protected override get stateNames(): StateNames {
    return qwenNames(super.stateNames);
  }
}

class QwenImages extends ImageReader {
  readonly inputNames = ['pixelValues', 'imageGridThw'] as const;
  readonly placeholder: number;
  readonly patches: FlatPatches;
  /** float32 [side², features]: learned positions on a square grid, row by row. */
  readonly positions: Tensor;
  readonly encoder: Stack;
  readonly merger: PatchMerger;
  /** One merger for each layer of the tower whose features the decoder adds. */
  readonly deepstack: readonly PatchMerger[];
  readonly rotary: RotaryEmbedding;
  readonly #merge: number;
  /** Indices of the tower's layers whose output a merger of `deepstack` reads. */
  readonly #early: readonly number[];

  constructor(context: FamilyContext) {
    super();
    const { init, config } = context;
    const vision = visionConfig(context);
    const [features, heads] = [vision.size('hidden_size'), vision.size('num_heads')];
    this.placeholder = config.size('image_token_id');
    this.#merge = vision.size('spatial_merge_size');
    this.patches = new FlatPatches(init, vision, features, true);
    this.positions = init.normal([vision.size('num_position_embeddings'), features], features ** -0.5);
    const norm = (size = features) => new LayerNorm(init, size, EPS);
    this.rotary = axialRotary(init, vision, features / heads);
    const layer = () =>
      new TransformerLayer({
        selfAttn: () => new MultiHeadAttention(init, { dModel: features, heads, rotary: this.rotary }),
        feedForward: () =>
          new FeedForward(init, {
            dModel: features,
            dFF: vision.size('intermediate_size'),
            activation: activationOf(vision.text('hidden_act')),
          }),
        norm: () => norm(),
        wiring: 'pre',
      });
    this.encoder = new Stack(vision.size('depth'), layer, null);
    const sizes = { features, merged: features * this.#merge ** 2, out: vision.size('out_hidden_size') };
    this.merger = new PatchMerger(init, sizes, norm);
    this.#early = (vision.values.deepstack_visual_indexes ?? []) as readonly number[];
    this.deepstack = this.#early.map(() => new PatchMerger(init, sizes, norm, 'merged'));
  }

  /**
   * `pixelValues`: float32 [N, channels · frames · height · width], patches in square blocks. `imageGridThw`: frames,
   * rows and columns of patches of each image.
   */
  *readInParts({ pixelValues, imageGridThw }: ModelInputs): Generator<unknown, ImageRows> {
    const grids = gridsOf(imageGridThw, this.#merge);
    const counts = grids.map(([height, width]) => height * width);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const embedded = this.patches.forward(pixelValues, total);
    const places = grids.flatMap((grid) => [...blockPositions(grid, this.#merge)]);
    const x = add(embedded, this.#positionsOf(grids));
    const sequences = Sequences.of(x.device, counts, patchRotation(x.device, this.rotary, places, grids));
    const hiddenStates: Tensor[] = [];
    const y = yield* this.encoder.forwardInParts(x, sequences, { hiddenStates });
    const added = this.#early
      .map((layer, i) => ({ layer, merger: this.deepstack[i] as PatchMerger }))
      .sort((a, b) => a.layer - b.layer)
      .map(({ layer, merger }) => merger.forward(hiddenStates[layer + 1] as Tensor));
    return {
      rows: this.merger.forward(y),
      counts: counts.map((count) => count / this.#merge ** 2),
      grids: grids.map(([height, width]) => [height / this.#merge, width / this.#merge]),
      added,
    };
  }

  /** Interpolates the learned grid to each image's grid, with aligned corners. Returns float32 [N, features]. */
  #positionsOf(grids: readonly GridSize[]): Tensor {
    const side = Math.floor(Math.sqrt(this.positions.shape[0] as number));
    const taps = grids.flatMap((grid) =>
      [...blockPositions(grid, this.#merge)].map((position) => cornersOf(position, grid, side)),
    );
    const { device } = this.positions;
    const parts = [0, 1, 2, 3].map((corner) => {
      const rows = gather(
        this.positions,
        device.tensor(Int32Array.from(taps, (corners) => corners[corner]?.row as number)),
      );
      const weights = Float32Array.from(taps, (corners) => corners[corner]?.weight as number);
      return mul(rows, device.tensor(weights, [taps.length, 1]));
    });
    return parts.reduce((sum, part) => add(sum, part));
  }
}

/** Returns the four entries of the learned grid around a patch, and their bilinear weights. */
function cornersOf(
  position: readonly [number, number],
  grid: GridSize,
  side: number,
): { row: number; weight: number }[] {
  const axes = position.map((coordinate, axis) => {
    const size = grid[axis] as number;
    const exact = size > 1 ? (coordinate * (side - 1)) / (size - 1) : 0;
    const before = Math.floor(exact);
    const share = exact - before;
    return [
      { at: before, weight: 1 - share },
      { at: Math.min(before + 1, side - 1), weight: share },
    ];
  });
  const [down, across] = axes as [(typeof axes)[number], (typeof axes)[number]];
  return down.flatMap((y) => across.map((x) => ({ row: y.at * side + x.at, weight: y.weight * x.weight })));
}

function qwenNames(text: StateNames): StateNames {
  const [path, block] = ['images.encoder.layers.*', 'model.visual.blocks.*'];
  return {
    'images.patches': 'model.visual.patch_embed.proj',
    'images.positions': 'model.visual.pos_embed.weight',
    [`${path}.self_attn.qkv`]: `${block}.attn.qkv`,
    [`${path}.self_attn.out_proj`]: `${block}.attn.proj`,
    [`${path}.feed_forward.linear1`]: `${block}.mlp.linear_fc1`,
    [`${path}.feed_forward.linear2`]: `${block}.mlp.linear_fc2`,
    [`${path}.norm1`]: `${block}.norm1`,
    [`${path}.norm2`]: `${block}.norm2`,
    ...mergerNames('images.merger', 'model.visual.merger'),
    ...mergerNames('images.deepstack.*', 'model.visual.deepstack_merger_list.*'),
    ...renamed(text, ['', ''], ['model.', 'model.language_model.']),
  };
}

function mergerNames(path: string, name: string): StateNames {
  return {
    [`${path}.norm`]: `${name}.norm`,
    [`${path}.linear1`]: `${name}.linear_fc1`,
    [`${path}.linear2`]: `${name}.linear_fc2`,
  };
}

const visionDefaults = {
  depth: 27,
  hidden_size: 1152,
  hidden_act: 'gelu_pytorch_tanh',
  intermediate_size: 4304,
  num_heads: 16,
  in_channels: 3,
  patch_size: 16,
  spatial_merge_size: 2,
  temporal_patch_size: 2,
  out_hidden_size: 3584,
  num_position_embeddings: 2304,
};

export const qwen3Vl: Family = {
  model: Qwen3Vl,
  className: 'Qwen3VL',
  generationClass: 'Qwen3VLForConditionalGeneration',
  readsImages: true,
  defaults: { image_token_id: 151655, tie_word_embeddings: false },
  parts: { text_config: 'qwen3_vl_text', vision_config: 'qwen3_vl_vision' },
};

/** The language model without images. */
export const qwen3VlText: Family = {
  ...qwen3,
  className: 'Qwen3VLText',
  sameForText: 'qwen3',
  defaults: { ...qwen3.defaults, vocab_size: 151936, max_position_embeddings: 128000 },
  rope: { theta: 500000, sections: [24, 20, 20] },
  gguf: { names: ggufNames, config: decoderWithSections },
};

export const qwen35Vl: Family = {
  model: Qwen35Vl,
  className: 'Qwen3_5',
  generationClass: 'Qwen3_5ForConditionalGeneration',
  readsImages: true,
  defaults: { image_token_id: 248056, tie_word_embeddings: false },
  parts: { text_config: 'qwen3_5_text', vision_config: 'qwen3_5_vision' },
};

/** The towers are not models on their own; these entries hold the defaults of their settings. */
export const qwen3VlVision: Family = {
  model: Qwen3Vl,
  className: 'Qwen3VLVision',
  defaults: { ...visionDefaults, deepstack_visual_indexes: [8, 16, 24] },
};
export const qwen35Vision: Family = { model: Qwen35Vl, className: 'Qwen3_5Vision', defaults: visionDefaults };
