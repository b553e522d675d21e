import type { GenerationArguments } from './generation-arguments.js';
import type { Task } from './task.js';
import { taskParameters } from './task-parameters.js';
import { encode, textsOf } from './text-inputs.js';
import { rewrite, type TextToTextOptions, textToTextArguments, type WrittenScores } from './text-to-text.js';

export interface SummarizationOptions extends TextToTextOptions, GenerationArguments {}

export interface Summary extends Partial<WrittenScores> {
  readonly summary_text: string;
}

/** The summary of each text; of one, too, it is an array. Of `num_return_sequences`, those of a text follow one another. */
export type Summarization = (texts: string | readonly string[], options?: SummarizationOptions) => Promise<Summary[]>;

const TASK = 'summarization';

export const summarization: Task<Summarization> = {
  head: 'language-model',
  create: (context) => {
    const parameters = taskParameters(context.model, [TASK]) ?? { prefix: '', generate: {} };
    return async (texts, options = {}) => {
      const generate = textToTextArguments(context, options);
      const read = (all: readonly string[]) =>
        encode(
          context,
          all.map((text) => parameters.prefix + text),
        ).inputIds;
      const how = { encode: read, parameters, forced: {} };
      const written = await rewrite(context, textsOf(TASK, texts), how, generate, options);
      return written.map(({ text, scores }) => ({ summary_text: text, ...scores }));
    };
  },
};
