// Texts, boxes and polygons from Florence-2. Its prompts are names of tasks.

import type { GenerateOptions } from '../generate/generate-options.js';
import { PromptModel } from '../models/prompt-model.js';
import { Florence2Processor, type FlorenceAnswer, florenceTask } from '../pretrained/processors/florence2.js';
import { inBatches } from './batches.js';
import { decoded, type ImageInput } from './image-inputs.js';
import { PromptImages } from './prompt-images.js';
import type { CallOptions, TaskContext } from './task.js';
import { tokenizerOf } from './text-inputs.js';

export interface TextOfImage {
  /** The generated text. For tasks with boxes or polygons it contains the tokens of coordinates. */
  readonly generated_text: string;
  /**
   * The answer by the name of the task, in the format of transformers' `post_process_generation`. Coordinates are
   * pixels of the image.
   */
  readonly answer?: Readonly<Record<string, FlorenceAnswer>>;
}

/** Returns a function that generates text about images; null if the model is not Florence-2. */
export function florenceReader(context: TaskContext) {
  const { model, task } = context;
  const { processor } = model;
  if (!(model instanceof PromptModel && processor instanceof Florence2Processor)) return null;
  const tokenizer = tokenizerOf(context);
  const reader = PromptImages.of(model) as PromptImages;
  const read = async (image: ImageInput, prompt: string, generate: GenerateOptions): Promise<TextOfImage[]> => {
    const raw = await decoded(task, image, generate.signal);
    const lease = await reader.read(task, [raw], generate.signal);
    try {
      const { sequences } = await model.generate([await lease.encode(lease.prompt(prompt))], generate);
      const name = florenceTask(prompt);
      return sequences.map((tokens) => {
        if (name === null) return { generated_text: tokenizer.decode(tokens, { skipSpecial: true }).trim() };
        const written = tokenizer.decode(tokens, { skipSpecial: false });
        const answer = processor.postProcessGeneration(written, name, [raw.width, raw.height]);
        const text = answer[name];
        return { generated_text: typeof text === 'string' ? text : written, answer };
      });
    } finally {
      lease.release();
    }
  };
  return (images: readonly ImageInput[], prompt = '<CAPTION>', generate: GenerateOptions, options: CallOptions) =>
    inBatches(
      images,
      () => 1,
      (batch) => Promise.all(batch.map((image) => read(image, prompt, { ...generate, signal: options.signal }))),
      options,
    );
}
