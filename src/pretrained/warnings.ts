// Warnings of `loadModel`. Each has a text for users and a code for programs.

/**
 * Kind of a warning.
 *
 * - `new-head`: the files lack weights of the head, which starts at random.
 * - `unused-weights`: the files have weights that the model does not use.
 * - `unreadable-file`: files of a tokenizer or processor are damaged or not supported.
 * - `ignored-setting`: settings that have no effect, for example unknown ones for generation.
 * - `converted-weights`: the engine cannot compute with a type in the file, so it uses another format in memory. Or
 *   the model has more exact values than an ONNX file.
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
