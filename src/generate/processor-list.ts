// Processors that the options of a plan require.

import { checkSynchronous } from '../core/check.js';
import { withParts } from '../core/slices.js';
import type { LogitsProcessor, ScoreProcessor, SequenceBounds, TokenChoice } from './logits-processor.js';
import { isNeutral, OPTION_ROWS } from './option-table.js';
import type { Plan, PlannedInput } from './plan.js';

/**
 * Number of tokens before the model's first choice: the start or prompt, and the tokens forced after it. As in
 * transformers, `forcedBosTokenId` of models that read features (Whisper) does not count.
 */
export function beginOf(plan: Plan, promptLength: number, prefixLength: number): number {
  const length = promptLength + prefixLength;
  return length === 1 && plan.forcedBosTokenId !== null && plan.sourceShape === null ? 2 : length;
}

/** Returns the processors that the options require for an input, in Hugging Face's order. */
export function processorsOf(plan: Plan, { tokens, prompt, prefix }: PlannedInput): ScoreProcessor[] {
  const { maxNewTokens, stopTokens, logitsProcessors } = plan;
  const begin = prompt.length;
  const firstChoice = beginOf(plan, begin, prefix.length);
  const source = Array.isArray(tokens) ? (tokens as readonly number[]) : [];
  const choice = { begin, firstChoice, maxNewTokens, stopTokens, source };
  const bounds = { begin, maxLength: begin + maxNewTokens };
  return [
    ...processorsIn(plan, choice, false),
    ...logitsProcessors.map((processor) => synchronous(processor, bounds)),
    ...(logitsProcessors.length > 0 ? [force] : []),
    ...processorsIn(plan, choice, true),
  ];
}

/** Applies processors one after the other. Pauses after each, and within those that can pause. */
export function* processInParts(
  processors: readonly ScoreProcessor[],
  scores: Float32Array,
  tokens: readonly number[],
): Generator<undefined, void> {
  for (const process of processors) {
    if (process.inParts) yield* process.inParts(scores, tokens);
    else process(scores, tokens);
    yield;
  }
}

/** True if an option changes the scores of every step, so that choices need all logits on the host. */
export function changesEveryStep(plan: Plan): boolean {
  return OPTION_ROWS.some(
    ([name, row]) => row.processor !== undefined && !row.isByEngine && !isNeutral(row, settingOf(plan, name)),
  );
}

/** Returns the processors of the sampling options, or of all other options. */
function processorsIn(plan: Plan, choice: TokenChoice, isSampling: boolean): ScoreProcessor[] {
  return OPTION_ROWS.flatMap(([name, row]) => {
    const value = settingOf(plan, name);
    const isWanted = row.processor !== undefined && (row.category === 'sampling') === isSampling;
    return isWanted && !isNeutral(row, value) ? [row.processor(value as never, choice)] : [];
  });
}

const settingOf = (plan: object, name: string): unknown => (plan as Readonly<Record<string, unknown>>)[name];

/**
 * Wraps a processor so that it throws if it returns a promise. An asynchronous processor would change the scores after
 * the choice.
 */
function synchronous(processor: LogitsProcessor, bounds: SequenceBounds): ScoreProcessor {
  const { inParts } = processor;
  if (inParts) return withParts((scores: Float32Array, tokens: readonly number[]) => inParts(scores, tokens, bounds));
  return (scores, tokens) =>
    checkSynchronous('generate: a processor of logitsProcessors', processor(scores, tokens, bounds));
}

/** If a score is +∞, replaces it by 0 and all other scores by −∞. NaN stays, so that a later check refuses it. */
const force: ScoreProcessor = (scores) => {
  if (!scores.includes(Number.POSITIVE_INFINITY)) return;
  for (let token = 0; token < scores.length; token++) {
    const score = scores[token] as number;
    if (score === Number.POSITIVE_INFINITY) scores[token] = 0;
    else if (!Number.isNaN(score)) scores[token] = Number.NEGATIVE_INFINITY;
  }
};
