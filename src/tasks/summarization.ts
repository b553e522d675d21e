import { type TextToTextOptions, type WriteTexts, type WrittenScores, writingTask } from './text-to-text.js';

export type SummarizationOptions = TextToTextOptions;

export interface Summary extends Partial<WrittenScores> {
  readonly summary_text: string;
}

/** The summary of each text; of one, too, it is an array. Of `num_return_sequences`, those of a text follow one another. */
export type Summarization = WriteTexts<Summary>;

export const summarization = writingTask('summarization', 'summary_text');
