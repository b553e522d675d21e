// Prompts of sentence-transformers in pipelines.

/** Texts that go before each text. */
export interface PromptNames {
  /** A text that goes before each text. */
  prompt?: string | undefined;
  /** The name of one of the model's prompts, such as `query`. */
  prompt_name?: string | undefined;
}

/** For `checkOptions`. */
export const promptKinds = { prompt: 'string', prompt_name: 'string' } as const;

/** The prompt's settings by the names of `model.encode`. */
export const promptsOf = ({ prompt, prompt_name }: PromptNames) => ({ prompt, promptName: prompt_name });
