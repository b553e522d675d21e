import { type WriteTexts, type WrittenScores, writingTask } from './text-to-text.js';

export interface Text2Text extends Partial<WrittenScores> {
  readonly generated_text: string;
}

/**
 * Outputs for each text, as an array even for one text. The `num_return_sequences` outputs of a text are consecutive.
 */
export type Text2TextGeneration = WriteTexts<Text2Text>;

export const text2textGeneration = writingTask('text2text-generation', 'generated_text');
