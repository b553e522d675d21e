import { isObject } from '../../core/check.js';
import type { ModelSource } from '../source.js';
import type { AstFeatureExtractor } from './ast.js';
import type { ClapFeatureExtractor } from './clap.js';
import { prepareDecoder } from './decode-image.js';
import { ParakeetFeatureExtractor, SeamlessM4TFeatureExtractor } from './filter-banks.js';
import { ImageProcessor, type Kind, kindOf } from './image.js';
import type { ImageTextProcessor } from './image-text/image-text-processor.js';
import { Owlv2ImageProcessor } from './owlv2.js';
import { RfDetrImageProcessor } from './rf-detr-images.js';
import { SamImageProcessor } from './sam-images.js';
import type { Json } from './settings.js';
import { Siglip2ImageProcessor } from './siglip2-images.js';
import {
  ConvNextImageProcessor,
  DonutImageProcessor,
  DptImageProcessor,
  GlpnImageProcessor,
  MobileVitImageProcessor,
  Swin2SRImageProcessor,
  YolosImageProcessor,
} from './special-images.js';
import { Wav2Vec2FeatureExtractor } from './wav2vec2.js';
import { WhisperFeatureExtractor } from './whisper.js';

/** Converts a model's sounds or images to numbers. */
export type Processor =
  | WhisperFeatureExtractor
  | Wav2Vec2FeatureExtractor
  | ParakeetFeatureExtractor
  | SeamlessM4TFeatureExtractor
  | AstFeatureExtractor
  | ClapFeatureExtractor
  | ImageProcessor
  | ImageTextProcessor;

/** Families that read raw samples. */
const SAMPLED: readonly string[] = [
  'data2vec-audio',
  'wav2vec2',
  'wav2vec2-conformer',
  'hubert',
  'moonshine',
  'moonshine_streaming',
  'sew',
  'unispeech',
  'unispeech-sat',
  'wavlm',
];
/** Families that only generate speech. They need no processor. */
const SPEAKING: readonly string[] = ['speecht5', 'hifigan', 'speecht5_hifigan', 'vits'];

/** Vision-language families, whose images become tokens. */
const READ_AS_TEXT: readonly string[] = [
  'gemma3',
  'gemma4',
  'paligemma',
  'smolvlm',
  'idefics3',
  'qwen2_vl',
  'qwen2_5_vl',
  'qwen3_vl',
  'qwen3_5',
  'lfm2_vl',
];

const FILES = ['preprocessor_config.json', 'processor_config.json'] as const;

/**
 * The processor of a model's folder, from preprocessor_config.json or, since transformers 5, from
 * processor_config.json. Null if there is none. `model`: the content of config.json. If the model reads images, this
 * also loads the decoder of image files, so that the first image does not wait for it. Throws FormatError for an
 * unknown processor.
 */
export async function loadProcessor(
  source: ModelSource,
  modelType: string,
  model: Json = {},
): Promise<Processor | null> {
  const processor = await processorIn(source, modelType, model);
  if (processor !== null && !('samplingRate' in processor)) await prepareDecoder();
  return processor;
}

async function processorIn(source: ModelSource, modelType: string, model: Json): Promise<Processor | null> {
  if (SPEAKING.includes(modelType)) return null;
  for (const file of FILES) {
    if (!(await source.has(file))) continue;
    const json = await source.json(file);
    const config = file === FILES[0] ? json : partOf(json, READ_AS_TEXT.includes(modelType));
    if (config === undefined) continue;
    const where = `${source.name}: ${file}`;
    if (READ_AS_TEXT.includes(modelType)) {
      const { imageTextProcessor } = await import('./image-text/index.js');
      return imageTextProcessor(config, model, where);
    }
    if (modelType === 'florence2') {
      const { Florence2Processor } = await import('./florence2.js');
      const whole = (await source.has(FILES[1])) ? await source.json(FILES[1]) : {};
      return new Florence2Processor(config, where, model, whole.post_processor_config as Json | undefined);
    }
    return (await soundProcessor(config, modelType, where)) ?? imageProcessor(config, modelType, where);
  }
  return null;
}

/** The processor of sounds that a file describes; null if it describes none. */
async function soundProcessor(config: Json, modelType: string, where: string): Promise<Processor | null> {
  const reads = config.feature_extractor_type;
  if (SAMPLED.includes(modelType) || reads === 'Wav2Vec2FeatureExtractor')
    return new Wav2Vec2FeatureExtractor(config, where);
  if (modelType.startsWith('parakeet_') || reads === 'ParakeetFeatureExtractor')
    return new ParakeetFeatureExtractor(config, where);
  if (modelType === 'wav2vec2-bert' || reads === 'SeamlessM4TFeatureExtractor')
    return new SeamlessM4TFeatureExtractor(config, where);
  if (modelType === 'audio-spectrogram-transformer' || reads === 'ASTFeatureExtractor') {
    const { AstFeatureExtractor } = await import('./ast.js');
    return new AstFeatureExtractor(config, where);
  }
  if (modelType === 'clap' || modelType === 'clap_audio_model' || reads === 'ClapFeatureExtractor') {
    const { ClapFeatureExtractor } = await import('./clap.js');
    return new ClapFeatureExtractor(config, where);
  }
  const isWhisper = modelType === 'whisper' || reads === 'WhisperFeatureExtractor';
  return isWhisper ? new WhisperFeatureExtractor(config, where) : null;
}

/** Processors with their own ways of resizing. */
const special: { readonly [Name in Kind]?: new (...args: [Json, string, string]) => ImageProcessor } = {
  ConvNext: ConvNextImageProcessor,
  DPT: DptImageProcessor,
  Donut: DonutImageProcessor,
  GLPN: GlpnImageProcessor,
  MobileViT: MobileVitImageProcessor,
  RfDetr: RfDetrImageProcessor,
  Sam: SamImageProcessor,
  Siglip2: Siglip2ImageProcessor,
  Swin2SR: Swin2SRImageProcessor,
  Yolos: YolosImageProcessor,
};

/** The image processor that a file describes. Throws FormatError if it is unknown. */
export function imageProcessor(config: Json, modelType: string, where: string): ImageProcessor {
  const kind = kindOf(config, modelType, where);
  if (kind === 'Owlv2') return new Owlv2ImageProcessor(config, where);
  const Processor = special[kind] ?? ImageProcessor;
  return new Processor(config, modelType, where);
}

/** The relevant part of processor_config.json. `ofImages`: only the part for images counts. */
function partOf({ feature_extractor: sounds, image_processor: images }: Json, ofImages: boolean): Json | undefined {
  const parts = ofImages ? [images] : [sounds, images];
  return parts.find((part): part is Json => isObject(part));
}
