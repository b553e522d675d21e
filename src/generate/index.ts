export type { FinishReason, GenerateOptions, GenerateResult, TokenEvent } from './options.js';
export type { LogitsProcessor } from './processors.js';
export type { ScoreResult } from './score.js';
