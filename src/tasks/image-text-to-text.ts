import { anyOf, checkOptions, describeValue, isObject } from '../core/check.js';
import { ArgumentError, FormatError } from '../core/errors.js';
import type { TokenEvent } from '../generate/generate-options.js';
import { DEFAULT_NEW_TOKENS, TOKENS } from '../generate/option-table.js';
import { checkMessages } from '../tokenizers/chat-options.js';
import type { ChatMessage } from '../tokenizers/chat-template.js';
import { callOptionKinds } from './batches.js';
import { type GenerationArguments, generationArguments } from './generation-arguments.js';
import { type ImageInput, imagesOf } from './image-inputs.js';
import { imagesIn, PromptImages } from './prompt-images.js';
import { type CallOptions, NO_INPUT_IDS, type Task, type TaskContext } from './task.js';
import { tokenizerOf } from './text-inputs.js';
import { STREAMER, type Streamer } from './text-streamer.js';

/**
 * Options of a call. Options of `generate` have two names each, such as `maxNewTokens` and transformers.js's
 * `max_new_tokens`.
 */
export interface ImageTextToTextOptions extends CallOptions, Omit<GenerationArguments, 'stopTokens' | 'stop_tokens'> {
  /** The prompt or the conversation, if the first argument has only images. */
  text?: string | readonly ChatMessage[] | undefined;
  /** True returns the prompt before the generated text. Default: true; conversations always keep it. */
  return_full_text?: boolean | undefined;
  /** Tokens that end a text. Default: the model's. */
  eos_token_id?: number | readonly number[] | undefined;
  /** Receives tokens as they are generated; see `TextStreamer`. */
  streamer?: Streamer | undefined;
}

export interface GeneratedFromImages<Text = string | ChatMessage[]> {
  /** The prompt, or the conversation, as it was given. */
  readonly input_text: Text;
  /** The text, or the conversation followed by the answer. */
  readonly generated_text: Text;
}

/**
 * Answers a conversation with images, `[{ role: 'user', content: [{ type: 'image', image }, { type: 'text', text }]
 * }]`, or continues a text about one image or several: `(images, text)`.
 */
export interface ImageTextToText {
  (messages: readonly ChatMessage[], options?: ImageTextToTextOptions): Promise<GeneratedFromImages<ChatMessage[]>[]>;
  (
    images: ImageInput | readonly ImageInput[],
    text: string,
    options?: ImageTextToTextOptions,
  ): Promise<GeneratedFromImages<string>[]>;
}

const TASK = 'image-text-to-text';
const OWN = ['text', 'return_full_text', 'eos_token_id', 'streamer', 'signal', 'onProgress', 'batchSize'] as const;

export const imageTextToText: Task<ImageTextToText> = {
  needs: NO_INPUT_IDS,
  create: (context) => {
    const images = PromptImages.of(context.model);
    if (images === null)
      throw new FormatError(
        `${TASK}: the model is ${context.model.config.model_type}, expected one of images and text with its preprocessor_config.json`,
      );
    return (async (first: unknown, second?: unknown, third: ImageTextToTextOptions = {}) => {
      const isPair = typeof second === 'string';
      const options = (isPair ? third : second === undefined ? {} : second) as ImageTextToTextOptions;
      const generate = generationArguments(TASK, context.model, options, OWN);
      const pipelineOptions = Object.fromEntries(OWN.map((name) => [name, options[name]]));
      checkOptions(TASK, pipelineOptions, {
        ...callOptionKinds,
        text: { accepts: (text) => typeof text === 'string' || Array.isArray(text), expected: 'text or messages' },
        return_full_text: 'boolean',
        eos_token_id: { ...anyOf('whole', TOKENS), expected: 'a token or several' },
        streamer: STREAMER,
      });
      if (isPair && options.text !== undefined)
        throw new ArgumentError(`${TASK}: text is given as an argument and as an option, expected one of them`);
      const text = isPair ? second : (options.text ?? first);
      const input = inputOf(text, isPair || options.text !== undefined ? first : undefined);
      const lease = await images.read(TASK, input.images, options.signal);
      try {
        const ids = await lease.encode(
          typeof input.prompt === 'string' ? lease.prompt(input.prompt) : await templated(context, input.prompt),
        );
        const { streamer, signal, eos_token_id: end } = options;
        const stops = end === undefined ? {} : { stopTokens: [end].flat() };
        const onToken = streamer && (({ token }: TokenEvent) => streamer.put([[token]]));
        const room = Math.max(1, Math.min(DEFAULT_NEW_TOKENS, context.model.maxLength - ids.length));
        const limit =
          generate.maxNewTokens === undefined && generate.maxLength === undefined ? { maxNewTokens: room } : {};
        const { sequences } = await context.model.generate([ids], { ...limit, ...generate, ...stops, signal, onToken });
        streamer?.end();
        return sequences.map((tokens) => resultOf(context, text as string | ChatMessage[], tokens, options));
      } finally {
        lease.release();
      }
    }) as ImageTextToText;
  },
};

interface Input {
  readonly images: readonly ImageInput[];
  readonly prompt: string | readonly ChatMessage[];
}

/**
 * Returns the images and the prompt. Images that are given separately are put at the beginning of a conversation that
 * has no image parts.
 */
function inputOf(text: unknown, imageInput: unknown): Input {
  const apart = imageInput === undefined ? [] : imagesOf(TASK, imageInput as ImageInput);
  if (typeof text === 'string') return { images: apart, prompt: text };
  if (!Array.isArray(text) || !isObject(text[0]))
    throw new ArgumentError(`${TASK}: the input is ${describeValue(text)}, expected messages, or images and a text`);
  checkMessages(TASK, text as ChatMessage[], imageInput === undefined ? undefined : (i) => `text[${i}]`);
  const { images, shown } = imagesIn(text as ChatMessage[]);
  if (apart.length > 0 && images.length > 0)
    throw new ArgumentError(`${TASK}: images are given both separately and in messages, expected one of them`);
  return { images: [...apart, ...images], prompt: shown };
}

function templated(context: TaskContext, messages: readonly ChatMessage[]): Promise<string> {
  return tokenizerOf(context).applyChatTemplate(messages, { addGenerationPrompt: true, tokenize: false });
}

function resultOf(
  context: TaskContext,
  input: string | ChatMessage[],
  tokens: readonly number[],
  { return_full_text: isFull = true }: ImageTextToTextOptions,
): GeneratedFromImages {
  const written = tokenizerOf(context).decode(tokens);
  if (typeof input === 'string') return { input_text: input, generated_text: isFull ? input + written : written };
  return { input_text: input, generated_text: [...input, { role: 'assistant', content: written }] };
}
