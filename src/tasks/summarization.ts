import { type TextToTextOptions, type WriteTexts, type WrittenScores, writingTask } from './text-to-text.js';

export type SummarizationOptions = TextToTextOptions;

export interface Summary extends Partial<WrittenScores> {
  readonly summary_text: string;
}

/**
 * Returns the summary of each text, as an array even for one text. The `num_return_sequences` summaries of a text are
 * consecutive.
 */
export type Summarization = WriteTexts<Summary>;

export const summarization = writingTask('summarization', 'summary_text');
