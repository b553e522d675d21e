// AutoProcessor of transformers.js.

import { checkOptions } from '../../core/check.js';
import { ArgumentError, FormatError } from '../../core/errors.js';
import type { ModelLocation } from '../../pretrained/open-source.js';
import type { Florence2Processor, FlorenceAnswer } from '../../pretrained/processors/florence2.js';
import type { Processor } from '../../pretrained/processors/load-processor.js';
import type { ChatMessage } from '../../tokenizers/chat-template.js';
import type { HostTensor } from '../host-tensor.js';
import {
  asTransformersTokenizer,
  type ChatTemplateOptions,
  type DecodeOptions,
  type FromPretrainedOptions,
  located,
  type TextIds,
  type TransformersTokenizer,
} from './auto-tokenizer.js';
import type { TransformersInputs } from './model-inputs.js';
import { type ProcessorInput, type ProcessorParts, processed } from './processed.js';
import { type MaskOptions, postProcessMasks } from './sam-masks.js';

/**
 * A processor with the interface of transformers.js. Call it with images, a sound, texts, or images and texts in any
 * order, and with options at the end.
 */
export interface TransformersProcessor {
  (...inputs: readonly ProcessorInput[]): Promise<TransformersInputs>;
  /** This processor with simdformer's own interface. Null if the model reads only texts. */
  readonly processor: Processor | null;
  /** Undefined if the folder has no tokenizer. */
  readonly tokenizer: TransformersTokenizer | undefined;
  /** Hertz of the sounds that it takes. Undefined for other processors. */
  readonly sampling_rate: number | undefined;
  /** Same as that of the tokenizer. Default: text. */
  apply_chat_template(messages: readonly ChatMessage[], options?: ChatTemplateOptions & { tokenize?: false }): string;
  apply_chat_template(
    messages: readonly ChatMessage[],
    options: ChatTemplateOptions,
  ): ReturnType<TransformersTokenizer['apply_chat_template']> | string;
  decode(ids: TextIds, options?: DecodeOptions): string;
  batch_decode(batch: Iterable<TextIds>, options?: DecodeOptions): string[];
  /** For Florence-2: the prompts of tasks, such as `<OD>`. */
  construct_prompts(texts: string | readonly string[]): string[];
  /** For Florence-2: the answer in a generated text. `image_size`: width and height. */
  post_process_generation(
    text: string,
    task: string,
    image_size: readonly [width: number, height: number],
  ): Readonly<Record<string, FlorenceAnswer>>;
  /** For SAM: masks in the size of each image, uint8 [prompts, masks, height, width], or float32 logits. */
  post_process_masks(
    masks: HostTensor,
    original_sizes: TransformersInputs['original_sizes'],
    reshaped_input_sizes: TransformersInputs['reshaped_input_sizes'],
    options?: MaskOptions,
  ): Promise<(HostTensor<Uint8Array> | HostTensor)[]>;
}

/** Loads processors by the name that transformers.js has for it. */
export const AutoProcessor = {
  /**
   * Loads the processor of a folder or of a model on the hub, with its tokenizer. Throws FormatError for a folder that
   * has neither. Rejects as `loadTokenizer`.
   */
  async from_pretrained(name: ModelLocation, options: FromPretrainedOptions = {}): Promise<TransformersProcessor> {
    const { openProcessor } = await import('../../pretrained/open-processor.js');
    const [location, hub] = await located('AutoProcessor', name, options);
    const opened = await openProcessor('AutoProcessor.from_pretrained', location, hub);
    const { processor, config } = opened;
    const tokenizer = opened.tokenizer ? await asTransformersTokenizer(opened.tokenizer) : undefined;
    return callable({ processor, tokenizer, config });
  },
};

/** Same as `AutoProcessor`, by the names that transformers.js has for processors of images and of sounds. */
export const AutoImageProcessor = AutoProcessor;
export const AutoFeatureExtractor = AutoProcessor;

function callable(parts: ProcessorParts): TransformersProcessor {
  const { processor, tokenizer } = parts;
  const words = (): TransformersTokenizer => {
    if (tokenizer) return tokenizer;
    throw new FormatError("processor: the model's folder has no tokenizer");
  };
  const florence = (): Florence2Processor => {
    if (processor && 'postProcessGeneration' in processor) return processor as Florence2Processor;
    throw new ArgumentError('processor: construct_prompts and post_process_generation are for Florence-2');
  };
  const members: Pick<TransformersProcessor, keyof TransformersProcessor> = {
    processor,
    tokenizer,
    sampling_rate: processor && 'samplingRate' in processor ? processor.samplingRate : undefined,
    apply_chat_template: ((messages: readonly ChatMessage[], options: ChatTemplateOptions = {}) =>
      words().apply_chat_template(messages, {
        tokenize: false,
        ...checkOptions('apply_chat_template', options),
      } as ChatTemplateOptions)) as TransformersProcessor['apply_chat_template'],
    decode: (...args) => words().decode(...args),
    batch_decode: (...args) => words().batch_decode(...args),
    construct_prompts: (texts) => [texts].flat().map((text) => florence().taskPrompt(text)),
    post_process_generation: (...args) => florence().postProcessGeneration(...args),
    post_process_masks: (...args) => postProcessMasks(processor, ...args),
  };
  return Object.assign((...inputs: readonly ProcessorInput[]) => processed(parts, inputs), members);
}
