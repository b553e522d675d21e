export type { FinishReason, GenerateOptions, GenerateResult, TokenEvent } from './options.js';
export { type LogitsProcessor, minP, noRepeatNgram, repetitionPenalty, temperature, topK, topP } from './processors.js';
export type { ScoreResult } from './score.js';
