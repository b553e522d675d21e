// Warnings of `loadModel`: texts for people, and codes for programs.

/**
 * Kind of a warning.
 *
 * - `new-head`: the files lack weights of the head, which starts at random.
 * - `unused-weights`: the files have weights that the model does not use.
 * - `unreadable-file`: files of a tokenizer or processor are damaged or not supported.
 * - `ignored-setting`: settings that have no effect, for example unknown ones for generation.
 * - `converted-weights`: the engine does not compute with a type of the file, which has another format in memory.
 * - `language-model-only`: a model for images and text of which only the language model is loaded.
 */
export type WarningCode =
  | 'new-head'
  | 'unused-weights'
  | 'unreadable-file'
  | 'ignored-setting'
  | 'converted-weights'
  | 'language-model-only';

export type OnWarning = (message: string, code: WarningCode) => void;
