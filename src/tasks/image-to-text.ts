// Texts about images: captions, handwriting, and answers to questions about documents.

import { checkOptions, describeValue } from '../core/check.js';
import { ArgumentError, FormatError } from '../core/errors.js';
import { inSlices } from '../core/slices.js';
import type { Tensor } from '../core/tensor.js';
import type { GenerateOptions } from '../generate/generate-options.js';
import { callOptionKinds, inBatches } from './batches.js';
import { answersInWords, readsBoxes, type WordAnswer, type WordBoxOptions } from './document-answers.js';
import { florenceReader, type TextOfImage } from './florence-texts.js';
import { type GenerationArguments, generationArguments } from './generation-arguments.js';
import { decoded, type ImageInput, imagesOf, processorOf } from './image-inputs.js';
import { type CallOptions, NO_INPUT_IDS, type Task, type TaskContext } from './task.js';
import { tokenizerOf } from './text-inputs.js';

/**
 * Options of a call. Options of `generate` have two names each, such as `maxNewTokens` and transformers.js's
 * `max_new_tokens`.
 */
export interface ImageToTextOptions extends CallOptions, GenerationArguments {
  /**
   * For Florence-2: the token of a task, such as `<OD>`, followed by the user's text if the task takes one, or any
   * other prompt. Default: `<CAPTION>`.
   */
  prompt?: string | undefined;
}

export type { TextOfImage };

/**
 * Generates text about an image: a caption, or the text in the image. An array of images gives an array of such lists.
 */
export interface ImageToText {
  (image: ImageInput, options?: ImageToTextOptions): Promise<TextOfImage[]>;
  (images: readonly ImageInput[], options?: ImageToTextOptions): Promise<TextOfImage[][]>;
}

const OWN = ['prompt', 'signal', 'onProgress', 'batchSize'] as const;

export const imageToText: Task<ImageToText> = {
  needs: NO_INPUT_IDS,
  // No `head` is set, because it would select only the language model of Florence-2.
  create: (context) => {
    const florence = florenceReader(context);
    if (florence === null) checkReader(context);
    async function call(images: ImageInput | readonly ImageInput[], options: ImageToTextOptions = {}) {
      const generate = argumentsOf(context, options);
      const list = imagesOf(context.task, images);
      if (florence === null && options.prompt !== undefined) throw noPrompt(context);
      const results = florence
        ? await florence(list, options.prompt, generate, options)
        : (await describe(context, list, generate, options)).map((texts) =>
            texts.map((text): TextOfImage => ({ generated_text: text.trim() })),
          );
      return Array.isArray(images) ? results : (results[0] as TextOfImage[]);
    }
    return call as ImageToText;
  },
};

export interface DocumentAnswer extends Partial<Omit<WordAnswer, 'answer'>> {
  /** The answer. Null if the generated text has none. */
  readonly answer: string | null;
}

/** Options of `generate` for models that write answers, and others for those that find them in words. */
export interface DocumentQuestionAnsweringOptions extends Omit<ImageToTextOptions, 'top_k'>, WordBoxOptions {}

/**
 * Answers a question about a page. A model such as Donut reads the image and writes the answer. LayoutLMv3 finds it
 * among the words of the page, which `word_boxes` gives; the image may be null then. Its answers have a score and the
 * indices of the first and the last word.
 */
export type DocumentQuestionAnswering = (
  image: ImageInput | null,
  question: string,
  options?: DocumentQuestionAnsweringOptions,
) => Promise<DocumentAnswer[]>;

export const documentQuestionAnswering: Task<DocumentQuestionAnswering> = {
  needs: NO_INPUT_IDS,
  // No `head` is set, because there are two kinds.
  create: (context) => {
    const { model, task } = context;
    const finds = readsBoxes(context);
    if (!finds) checkReader(context);
    const tokenizer = tokenizerOf(context);
    return async (image, question, options = {}) => {
      if (typeof question !== 'string')
        throw new ArgumentError(`${task}: the question is ${describeValue(question)}, expected a text`);
      if (Array.isArray(image)) throw new ArgumentError(`${task}: there are several images, expected one`);
      if (finds) return answersInWords(context, image, question, options as WordBoxOptions);
      const generate = argumentsOf(context, options);
      const taskPrompt = `<s_docvqa><s_question>${question}</s_question><s_answer>`;
      const tokens = tokenizer.encode(taskPrompt, { addSpecial: false });
      // Donut reads no start token before the question, as in transformers.
      const { encoder } = model.config as { encoder?: { model_type?: unknown } };
      const start = `${encoder?.model_type}`.startsWith('donut') ? tokens[0] : undefined;
      const prefix = start === undefined ? tokens : tokens.slice(1);
      const room = model.maxLength - prefix.length - 1;
      if (room < 1)
        throw new ArgumentError(
          `${task}: the question has ${prefix.length} tokens, expected fewer than ${model.maxLength - 1}`,
        );
      const { maxNewTokens, maxLength } = generate;
      const wanted = maxNewTokens ?? (maxLength === undefined ? room : undefined);
      const limits = wanted === undefined ? {} : { maxNewTokens: prefix.length + wanted };
      const all = { ...generate, ...limits, prefix, ...(start === undefined ? {} : { decoderStartTokenId: start }) };
      const [texts = []] = await describe(context, imagesOf(task, image as ImageInput), all, options, false);
      return texts.map((text) => {
        const answer = /<s_answer>(.*?)<\/s_answer>/s.exec(text)?.[1] ?? /^(.*?)<\/s_answer>/s.exec(text)?.[1];
        return { answer: answer?.trim() ?? null };
      });
    };
  },
};

function noPrompt({ task, model }: TaskContext): ArgumentError {
  return new ArgumentError(
    `${task}: prompt is for Florence-2, but the model is ${model.config.model_type}: leave it out`,
  );
}

/** Throws FormatError for a model that does not write about images. */
function checkReader(context: TaskContext): void {
  const { model, task } = context;
  processorOf(context);
  if (model.decoder === null || model.takes('inputIds'))
    throw new FormatError(`${task}: the model is ${model.config.model_type}, expected one that writes about images`);
}

function argumentsOf({ task, model }: TaskContext, options: ImageToTextOptions): GenerateOptions {
  const { prompt, signal, onProgress, batchSize } = checkOptions(task, options);
  checkOptions(task, { prompt, signal, onProgress, batchSize }, { prompt: 'string', ...callOptionKinds });
  return generationArguments(task, model, options, OWN);
}

/** Returns the texts about each image. */
async function describe(
  context: TaskContext,
  images: readonly ImageInput[],
  generate: GenerateOptions,
  options: CallOptions,
  skipSpecial = true,
): Promise<string[][]> {
  const { model, task } = context;
  const { signal } = options;
  const [processor, tokenizer] = [processorOf(context), tokenizerOf(context)];
  return inBatches(
    images,
    () => 1,
    async (batch) => {
      const raw = [];
      for (const image of batch) raw.push(await decoded(task, image, signal));
      const { data, shape } = await inSlices(processor.processInParts(raw));
      const pixels = model.device.unscoped(() => model.device.tensor(data, shape));
      try {
        const result = await model.generate(pixels as Tensor, { ...generate, signal });
        const texts: string[][] = batch.map(() => []);
        const start = generate.decoderStartTokenId ?? model.startId;
        const before = skipSpecial && start !== null ? [start] : []; // transformers shows it if it is a usual token
        for (const [i, tokens] of result.sequences.entries())
          texts[result.inputs[i] as number]?.push(tokenizer.decode([...before, ...tokens], { skipSpecial }));
        return texts;
      } finally {
        pixels.dispose();
      }
    },
    options,
  );
}
