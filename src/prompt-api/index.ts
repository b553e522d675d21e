export type { LocalModelsOptions, ModelId } from '../frameworks/local-models.js';
export type { LanguageModelSession, SignalOption } from './language-model-session.js';
export { type Availability, type PromptApi, type PromptApiOptions, promptApi } from './prompt-api.js';
export type {
  CreateOptions,
  PromptInput,
  PromptMessage,
  PromptOptions,
  PromptTool,
  SamplingMode,
} from './prompt-input.js';
