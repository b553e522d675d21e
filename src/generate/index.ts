export { generate, stream } from './generate.js';
export type { DecodingOptions, Generative } from './generative.js';
export type { FinishReason, GenerateOptions, GenerateResult, TokenEvent } from './options.js';
export { type LogitsProcessor, minP, noRepeatNgram, repetitionPenalty, temperature, topK, topP } from './processors.js';
