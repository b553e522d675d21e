// Images for vision-language models: pixels, and the tokens that stand for an image in a prompt, as in transformers.
// Each file has the processor of a family.

import { FormatError } from '../../../core/errors.js';
import { type Json, Settings } from '../settings.js';
import { Gemma3Processor } from './gemma3.js';
import { Gemma4Processor } from './gemma4.js';
import type { ImageTextProcessor } from './image-text-processor.js';
import { Lfm2Processor } from './lfm2.js';
import { PaliGemmaProcessor } from './paligemma.js';
import { QwenProcessor } from './qwen.js';
import { TilesProcessor } from './tiles.js';

const processors = {
  gemma3: Gemma3Processor,
  gemma4: Gemma4Processor,
  paligemma: PaliGemmaProcessor,
  smolvlm: TilesProcessor,
  idefics3: TilesProcessor,
  qwen2_vl: QwenProcessor,
  qwen2_5_vl: QwenProcessor,
  qwen3_vl: QwenProcessor,
  qwen3_5: QwenProcessor,
  lfm2_vl: Lfm2Processor,
} as const;

/** The processor for a model's config.json. Throws FormatError for settings that are not supported. */
export function imageTextProcessor(config: Json, model: Json, where: string): ImageTextProcessor {
  const { model_type: type, vision_config: vision } = model;
  if (!Object.hasOwn(processors, String(type)))
    throw new FormatError(`${where}: there is no processor for ${String(type)}`);
  const Processor = processors[type as keyof typeof processors];
  return new Processor(
    config,
    where,
    new Settings('config.json', model),
    new Settings('vision_config', (vision ?? {}) as Json),
  );
}
