import type { Randomness } from '../../nn/dropout.js';
import { Linear } from '../../nn/linear.js';
import type { StateNames } from '../../nn/state-names.js';
import type { Family } from '../family.js';
import { ImageReader, type ImageRows, textContext, visionConfig } from '../image-reader.js';
import type { ModelInputs } from '../inputs.js';
import { llavaModule } from '../module-names.js';
import type { FamilyContext } from '../pretrained-model.js';
import type { VisionTower } from '../towers.js';
import { Gemma, Gemma2 } from './gemma.js';
import { llavaName, llavaNames } from './gemma3-vision.js';
import { siglipVision } from './siglip.js';

/**
 * PaliGemma 1 and 2 (Beyer et al. 2024, arXiv 2407.07726; Steiner et al. 2024, arXiv 2412.03555): each patch of SigLIP
 * is a token. An image and the prompt after it attend to each other in both directions. Generated tokens attend to
 * earlier tokens only.
 */
const withSiglip = (Text: typeof Gemma) =>
  class PaliGemma extends Text {
    override readonly images: PaliGemmaImages;

    constructor(context: FamilyContext) {
      // In the config of the whole model, this setting applies only to the prompt.
      super(textContext(context, { use_bidirectional_attention: false }));
      this.images = new PaliGemmaImages(context, this.randomness);
    }

    override moduleName(name: string): string {
      return llavaModule(name);
    }

    protected override get stateNames(): StateNames {
      return { 'images.projection': 'multi_modal_projector.linear', ...llavaNames(super.stateNames) };
    }
  };

class PaliGemmaImages extends ImageReader {
  readonly inputNames = ['pixelValues'] as const;
  readonly placeholder: number;
  override readonly twoSided = 'prompt';
  readonly tower: VisionTower;
  readonly projection: Linear;

  constructor(context: FamilyContext, randomness: Randomness) {
    super();
    const { init, config } = context;
    const vision = visionConfig(context);
    this.placeholder = config.size('image_token_index');
    this.tower = siglipVision(init, vision, randomness);
    this.projection = new Linear(init, vision.size('hidden_size'), config.size('projection_dim'));
  }

  /** `pixelValues`: float32 [images, channels, height, width]. */
  *readInParts({ pixelValues }: ModelInputs): Generator<unknown, ImageRows> {
    const { features, batch } = yield* this.tower.forwardInParts({ pixelValues });
    return { rows: this.projection.forward(features), counts: batch.counts };
  }
}

const PaliGemma1 = withSiglip(Gemma);
const PaliGemma2 = withSiglip(Gemma2);

export const paliGemma: Family = {
  model: PaliGemma1,
  variants: { gemma2: PaliGemma2 },
  className: 'PaliGemma',
  generationClass: 'PaliGemmaForConditionalGeneration',
  readsImages: true,
  fileName: llavaName,
  defaults: { image_token_index: 256000, projection_dim: 2048, tie_word_embeddings: true },
  complete: (config, fileConfig) => {
    config.image_token_index = fileConfig.image_token_index ?? fileConfig.image_token_id ?? config.image_token_index;
  },
  parts: { text_config: ['gemma', 'gemma2'], vision_config: 'siglip_vision_model' },
};
