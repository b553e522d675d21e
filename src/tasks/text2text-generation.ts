import { type WriteTexts, type WrittenScores, writingTask } from './text-to-text.js';

export interface Text2Text extends Partial<WrittenScores> {
  readonly generated_text: string;
}

/** What the model writes of each text; of one, too, it is an array. Of `num_return_sequences`, those of a text follow one another. */
export type Text2TextGeneration = WriteTexts<Text2Text>;

export const text2textGeneration = writingTask('text2text-generation', 'generated_text');
