import type { Randomness } from '../../nn/dropout.js';
import type { GridSize } from '../../nn/interpolation.js';
import { Linear } from '../../nn/linear.js';
import { LayerNorm } from '../../nn/norm.js';
import { patchBlocks } from '../../nn/patch-blocks.js';
import type { StateNames } from '../../nn/state-names.js';
import { rowsOf } from '../../nn/token-batch.js';
import { type Activation, activate } from '../../ops/activation.js';
import { activationOf } from '../config-values.js';
import type { Family } from '../family.js';
import { ImageReader, type ImageRows, renamed, textContext, visionConfig } from '../image-reader.js';
import type { ModelInputs, Rows } from '../inputs.js';
import type { FamilyContext } from '../pretrained-model.js';
import { Lfm2 } from './lfm2.js';
import { siglipNames } from './siglip.js';
import { NaflexTower } from './siglip2.js';

/**
 * LFM2-VL (Liquid AI 2025, arXiv 2511.23404): SigLIP 2 reads images in their own aspect ratio. The patches of each
 * square block become one token.
 */
export class Lfm2Vl extends Lfm2 {
  override readonly images: Lfm2VlImages;

  constructor(context: FamilyContext) {
    super(textContext(context));
    this.images = new Lfm2VlImages(context, this.randomness);
  }

  protected override get stateNames(): StateNames {
    const projector = 'model.multi_modal_projector';
    return {
      'images.norm': `${projector}.layer_norm`,
      'images.linear1': `${projector}.linear_1`,
      'images.linear2': `${projector}.linear_2`,
      ...renamed(siglipNames, ['vision.', 'images.tower.'], ['vision_model.', 'model.vision_tower.']),
      ...renamed(super.stateNames, ['', ''], ['model.', 'model.language_model.']),
    };
  }
}

class Lfm2VlImages extends ImageReader {
  readonly inputNames = ['pixelValues', 'spatialShapes', 'pixelAttentionMask'] as const;
  readonly placeholder: number;
  readonly tower: NaflexTower;
  readonly norm: LayerNorm | null;
  readonly linear1: Linear;
  readonly linear2: Linear;
  readonly #activation: Activation;
  readonly #factor: number;

  constructor(context: FamilyContext, randomness: Randomness) {
    super();
    const { init, config } = context;
    const [vision, text] = [visionConfig(context), textContext(context).config];
    this.placeholder = config.size('image_token_id');
    this.#factor = config.size('downsample_factor');
    this.tower = new NaflexTower(init, vision, randomness);
    const features = vision.size('hidden_size') * this.#factor ** 2;
    const [hidden, bias] = [config.size('projector_hidden_size'), config.flag('projector_bias')];
    this.norm = config.flag('projector_use_layernorm') ? new LayerNorm(init, features, 1e-5) : null;
    this.linear1 = new Linear(init, features, hidden, bias);
    this.#activation = activationOf(config.text('projector_hidden_act'));
    this.linear2 = new Linear(init, hidden, text.size('hidden_size'), bias);
  }

  /** Takes the inputs of `NaflexTower`. Rows and columns of patches that do not fill a block are left out. */
  *readInParts({ pixelValues, spatialShapes, pixelAttentionMask }: ModelInputs): Generator<unknown, ImageRows> {
    const { features } = yield* this.tower.forwardInParts({ pixelValues, spatialShapes, pixelAttentionMask });
    const grids = rowsOf('spatialShapes', spatialShapes as Rows, null).rows.map(
      (row) => Array.from(row) as unknown as GridSize,
    );
    const blocks = patchBlocks(features, grids, this.#factor);
    const x = blocks.reshape(blocks.shape[0] as number, -1);
    const hidden = activate('Lfm2Vl', this.linear1.forward(this.norm?.forward(x) ?? x), this.#activation);
    const blocksIn = (size: number) => Math.floor(size / this.#factor);
    const counts = grids.map(([rows, columns]) => blocksIn(rows) * blocksIn(columns));
    return { rows: this.linear2.forward(hidden), counts };
  }
}

export const lfm2Vl: Family = {
  model: Lfm2Vl,
  className: 'Lfm2Vl',
  generationClass: 'Lfm2VlForConditionalGeneration',
  readsImages: true,
  fileName: (name) => name.replace(/^model\.vision_tower\.vision_model\./, 'model.vision_tower.'),
  defaults: {
    image_token_id: 396,
    projector_hidden_act: 'gelu',
    projector_hidden_size: 2560,
    projector_bias: true,
    projector_use_layernorm: true,
    downsample_factor: 2,
    tie_word_embeddings: true,
  },
  complete: (config, fileConfig) => {
    config.image_token_id = fileConfig.image_token_id ?? fileConfig.image_token_index ?? config.image_token_id;
  },
  parts: { text_config: ['lfm2'], vision_config: 'siglip2_vision_model' },
};
