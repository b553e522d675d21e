// Warnings of `loadModel`: texts for people, and codes for programs.

/**
 * What a warning is about: `new-head`, weights of a head that the files lack, so that it is initialized at random;
 * `unused-weights`, weights in the files that the model does not use; `unreadable-file`, a tokenizer or processor whose
 * files are damaged or not supported; `ignored-setting`, settings that have no effect here, such as those for generation that `generate` does not have;
 * `language-model-only`, a model for images and text of which only the language model is loaded.
 */
export type WarningCode = 'new-head' | 'unused-weights' | 'unreadable-file' | 'ignored-setting' | 'language-model-only';

export type OnWarning = (message: string, code: WarningCode) => void;
