import type { Tensor } from '../../core/tensor.js';
import type { Randomness } from '../../nn/dropout.js';
import { RMSNorm } from '../../nn/norm.js';
import { patchBlocks } from '../../nn/patch-blocks.js';
import type { StateNames } from '../../nn/state-names.js';
import { matmul } from '../../ops/matmul.js';
import { mean } from '../../ops/reduce.js';
import type { Family } from '../family.js';
import { ImageReader, type ImageRows, renamed, textContext, visionConfig } from '../image-reader.js';
import type { ModelInputs } from '../inputs.js';
import { llavaModule } from '../module-names.js';
import type { FamilyContext } from '../pretrained-model.js';
import type { VisionTower } from '../towers.js';
import { Gemma3 } from './gemma.js';
import { siglipNames, siglipVision } from './siglip.js';

/**
 * Gemma 3 with images (2025, arXiv 2503.19786). SigLIP reads an image. Its patches are averaged to a few tokens, which
 * attend to each other in both directions.
 */
export class Gemma3Vision extends Gemma3 {
  override readonly images: Gemma3Images;

  constructor(context: FamilyContext) {
    // The whole model has no soft cap of logits, even if the config of its language model sets one.
    super(textContext(context, { final_logit_softcapping: null }));
    this.images = new Gemma3Images(context, this.randomness);
  }

  override moduleName(name: string): string {
    return llavaModule(name);
  }

  protected override get stateNames(): StateNames {
    return {
      'images.norm': 'multi_modal_projector.mm_soft_emb_norm',
      'images.projection': { name: 'multi_modal_projector.mm_input_projection_weight', inOut: true },
      ...llavaNames(super.stateNames),
    };
  }
}

class Gemma3Images extends ImageReader {
  readonly inputNames = ['pixelValues'] as const;
  readonly placeholder: number;
  override readonly twoSided = 'image';
  readonly tower: VisionTower;
  readonly norm: RMSNorm;
  /** float32 [vision features, dModel] */
  readonly projection: Tensor;
  readonly #tokensPerSide: number;

  constructor(context: FamilyContext, randomness: Randomness) {
    super();
    const { init, config } = context;
    const [vision, text] = [visionConfig(context), textContext(context).config];
    const features = vision.size('hidden_size');
    this.placeholder = config.size('image_token_index');
    this.tower = siglipVision(init, vision, randomness);
    this.norm = new RMSNorm(init, features, vision.number('layer_norm_eps'), 1);
    this.projection = init.normal([features, text.size('hidden_size')], features ** -0.5);
    this.#tokensPerSide = Math.floor(Math.sqrt(config.size('mm_tokens_per_image')));
  }

  /** `pixelValues`: float32 [images, channels, height, width]. */
  *readInParts({ pixelValues }: ModelInputs): Generator<unknown, ImageRows> {
    const { features, batch } = yield* this.tower.forwardInParts({ pixelValues });
    const grid = this.tower.patches.grid(this.tower.patches.image);
    const blocks = patchBlocks(features, Array(batch.size).fill(grid), Math.floor(grid[0] / this.#tokensPerSide));
    const rows = matmul(this.norm.forward(mean(blocks, { axis: 1 })), this.projection); // [N, dModel]
    const count = (rows.shape[0] as number) / batch.size;
    return { rows, counts: Array<number>(batch.size).fill(count) };
  }
}

/** Names of a language model and of SigLIP's tower in the files of models that follow LLaVA. */
export function llavaNames(text: StateNames): StateNames {
  return {
    ...renamed(siglipNames, ['vision.', 'images.tower.'], ['vision_model.', 'vision_tower.']),
    ...renamed(text, ['', ''], ['model.', 'language_model.model.']),
    'head.out': 'language_model.lm_head',
  };
}

/** Returns the name that transformers 5 uses in files. `name` is the name in memory or in files of earlier versions. */
export function llavaName(name: string): string {
  return name
    .replace(/^model\.language_model\./, 'language_model.model.')
    .replace(/^lm_head\./, 'language_model.lm_head.')
    .replace(/^model\.(vision_tower|multi_modal_projector)\./, '$1.')
    .replace(/^vision_tower\.vision_model\./, 'vision_tower.');
}

export const gemma3Vision: Family = {
  model: Gemma3Vision,
  className: 'Gemma3',
  generationClass: 'Gemma3ForConditionalGeneration',
  readsImages: true,
  fileName: llavaName,
  defaults: {
    mm_tokens_per_image: 256,
    boi_token_index: 255999,
    eoi_token_index: 256000,
    image_token_index: 262144,
    tie_word_embeddings: true,
  },
  complete: (config, fileConfig) => {
    config.image_token_index = fileConfig.image_token_index ?? fileConfig.image_token_id ?? config.image_token_index;
  },
  parts: { text_config: 'gemma3_text', vision_config: 'siglip_vision_model' },
};
