// Prompts of sentence-transformers in pipelines.

/** Options for a prompt, which is put before each text. */
export interface PromptNames {
  /** The prompt itself. Default: that of `prompt_name`. */
  prompt?: string | undefined;
  /** The name of one of the model's prompts, such as `query`. */
  prompt_name?: string | undefined;
}

/** Kinds for `checkOptions`. */
export const promptKinds = { prompt: 'string', prompt_name: 'string' } as const;

/** Converts the options to those of `model.encode`. */
export const promptsOf = ({ prompt, prompt_name }: PromptNames) => ({ prompt, promptName: prompt_name });
