// How OpenAI's options of sampling are those of `generate`.

import { randomInt } from 'node:crypto';
import type { BatchedOptions, LogitsProcessor } from '../generate/index.js';
import { anyOf, array, integer, number, optional, type Read, record, string } from './schema.js';

/** Answers to one prompt at most. */
export const MOST_CHOICES = 16;

/** Below this the most probable token has all of the probability, as far as floats can say. */
const COLDEST = 1e-3;

const MOST_TOKENS = 2 ** 31 - 1;

/** Fields that completions of chats and of texts have in common. */
export const samplingFields = {
  temperature: optional(number({ min: 0, max: 2, description: '0 always chooses the most probable token.' })),
  top_p: optional(number({ min: 0, max: 1, above: true })),
  top_k: optional(integer({ min: 0, max: MOST_TOKENS, description: 'An extension: 0 is off.' })),
  min_p: optional(number({ min: 0, max: 1, description: 'An extension.' })),
  repetition_penalty: optional(number({ min: 0.1, max: 10, description: 'An extension.' })),
  frequency_penalty: optional(number({ min: -2, max: 2 })),
  presence_penalty: optional(number({ min: -2, max: 2 })),
  logit_bias: optional(
    record(number({ min: -100, max: 100 }), {
      max: 1024,
      pattern: '^[0-9]{1,9}$',
      description: 'By ids of tokens; ids that the model has not change nothing.',
    }),
  ),
  seed: optional(integer({ min: -(2 ** 53) + 1, max: 2 ** 53 - 1, description: 'The same gives the same answers.' })),
  n: optional(integer({ min: 1, max: MOST_CHOICES })),
  stop: optional(
    anyOf<[string, string[]]>(
      string({ minLength: 1, maxLength: 256 }),
      array(string({ minLength: 1, maxLength: 256 }), { max: 4 }),
    ),
  ),
} as const;

type Sampling = { readonly [Name in keyof typeof samplingFields]: Read<(typeof samplingFields)[Name]> };

/** The options of a request for `vocabulary` tokens; without a seed one that nobody knows. */
export function samplingOptions(request: Sampling, vocabulary: number): BatchedOptions {
  const greedy = request.temperature !== undefined && request.temperature < COLDEST;
  const processors: LogitsProcessor[] = [];
  const { logit_bias: bias, frequency_penalty: frequency = 0, presence_penalty: presence = 0 } = request;
  if (bias && Object.keys(bias).length > 0) processors.push(biased(bias, vocabulary));
  if (frequency !== 0 || presence !== 0) processors.push(penalised(frequency, presence));
  return {
    doSample: !greedy,
    seed: request.seed === undefined ? randomInt(2 ** 47) : Number(BigInt.asUintN(53, BigInt(request.seed))),
    ...(greedy
      ? {}
      : { temperature: request.temperature, topP: request.top_p, topK: request.top_k, minP: request.min_p }),
    repetitionPenalty: request.repetition_penalty,
    ...(processors.length > 0 ? { logitsProcessors: processors } : {}),
  };
}

/** Adds to the logits of some tokens; ±100 forbids them, or leaves nothing else. */
function biased(bias: Readonly<Record<string, number>>, vocabulary: number): LogitsProcessor {
  const entries = Object.entries(bias)
    .map(([id, value]) => [Number(id), value] as const)
    .filter(([id]) => id < vocabulary);
  return (scores) => {
    for (const [id, value] of entries) {
      const change = value <= -100 ? Number.NEGATIVE_INFINITY : value;
      scores[id] = (scores[id] as number) + change;
    }
  };
}

/**
 * OpenAI's penalties of what was generated already: `frequency` for every time, `presence` once. The processor is told
 * the prompt, too, which does not count; so one is made for each answer, when its first token is chosen.
 */
function penalised(frequency: number, presence: number): LogitsProcessor {
  const begins = new WeakMap<readonly number[], number>();
  return (scores, tokens) => {
    const begin = begins.get(tokens) ?? tokens.length;
    begins.set(tokens, begin);
    const counts = new Map<number, number>();
    for (let i = begin; i < tokens.length; i++)
      counts.set(tokens[i] as number, (counts.get(tokens[i] as number) ?? 0) + 1);
    for (const [token, count] of counts) scores[token] = (scores[token] as number) - count * frequency - presence;
  };
}

export function stopsOf({ stop }: Pick<Sampling, 'stop'>): readonly string[] {
  return typeof stop === 'string' ? [stop] : (stop ?? []);
}
