import { checkOptions, describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import type { CacheType } from '../../ops/kv-cache.js';
import type { GenerateOptions } from '../generate-options.js';
import type { Generative } from '../generative.js';
import { withModelDefaults } from '../model-defaults.js';
import { resolveOptions } from '../options.js';
import type { Plan } from '../plan.js';
import { PromptCache } from '../prompt-cache.js';

/** How much runs side by side. */
export interface BatchingOptions {
  /** Sequences that are generated at the same time; others wait. Default 8. */
  parallel?: number | undefined;
  /** Tokens that a sequence can have, prompt and answer together. Default: the model's maxLength, 2048 at most. */
  context?: number | undefined;
  /**
   * True: memory for `parallel` sequences of `context` tokens is taken at once, so that it cannot run out later. False: it
   * grows with the sequences, and most of it is given back when nothing runs. Default true.
   */
  reserve?: boolean | undefined;
  /** Requests that can wait; one more is refused with QueueFullError. Default 64. */
  maxWaiting?: number | undefined;
  /**
   * Tokens of prompts that are read between two steps of the sequences that generate already: more are faster in all,
   * fewer let answers stream more evenly. Default 128.
   */
  chunk?: number | undefined;
  /** What keys and values are kept as, see `generate`. Default: the model's `cacheType`. */
  cache?: CacheType | undefined;
}

/** What a request asks for: of one sequence, without beams. */
export interface BatchedOptions extends Omit<GenerateOptions, (typeof LEFT_OUT)[number] | 'cache'> {
  /**
   * A cache of the model, with the same type of keys and values. What it has in common with the prompt is not read again;
   * at the end it holds the sequence. Default none.
   */
  cache?: PromptCache | undefined;
  /** Whose request it is: clients take turns. Default: all are one client's. */
  client?: string | undefined;
  /**
   * Requests of one scope share the prefixes of their prompts that were read already. A client could otherwise guess the
   * prompts of another one from `cachedTokens` and from time. Default: all requests have one scope.
   */
  prefixScope?: string | undefined;
  /** Which of the random streams of `seed` it draws from: several answers to one prompt differ by this. Default 0. */
  stream?: number | undefined;
  /** How many of the most probable tokens are told with every token, 20 at most. Default 0. */
  topLogProbabilities?: number | undefined;
}

/** The most that `topLogProbabilities` can be: OpenAI's. */
export const MAX_TOP = 20;

/** What is of several sequences, or of one that has the model for itself. */
const LEFT_OUT = [
  ...(['numBeams', 'numReturnSequences', 'cropContext', 'outputAttentions', 'batchSize', 'onToken'] as const),
  ...(['lengthPenalty', 'earlyStopping', 'draft', 'responseFormat'] as const),
] as const;

/** Options with defaults, and what they mean for a prompt. */
export interface BatchedPlan {
  readonly plan: Plan;
  readonly client: string;
  readonly prefixScope: string;
  readonly top: number;
  readonly cache: PromptCache | null;
}

/** Checks a request. Throws ArgumentError for what makes no sense, or does not fit into `context`. */
export function planFor(
  model: Generative,
  prompt: readonly number[],
  context: number,
  { client = '', prefixScope = '', stream = 0, topLogProbabilities = 0, cache, signal: _, ...options }: BatchedOptions,
): BatchedPlan {
  const mine = { client, prefixScope, stream, topLogProbabilities };
  const most = Math.min(MAX_TOP, model.vocabSize);
  checkOptions('ContinuousBatching.stream', mine, {
    client: 'string',
    prefixScope: 'string',
    stream: 'whole',
    topLogProbabilities: {
      accepts: (n) => Number.isInteger(n) && (n as number) >= 0 && (n as number) <= most,
      expected: `an integer from 0 to ${most}`,
    },
  });
  if (cache !== undefined && !(cache instanceof PromptCache))
    throw new ArgumentError(`ContinuousBatching.stream: cache is ${describeValue(cache)}, expected a PromptCache`);
  const others: GenerateOptions = options;
  const refused = LEFT_OUT.find((name) => others[name] !== undefined);
  if (refused !== undefined)
    throw new ArgumentError(`ContinuousBatching.stream: there is no option ${refused}: a request is one sequence`);
  const alone: Generative = limited(model, context);
  const defaults = withModelDefaults(alone, { ...options, numBeams: 1, numReturnSequences: 1, cropContext: false });
  const plan = resolveOptions(alone, [prompt], { ...defaults, outputAttentions: false });
  const inputs = plan.inputs.map((input) => ({ ...input, index: stream }));
  return { plan: { ...plan, inputs }, client, prefixScope, top: topLogProbabilities, cache: cache ?? null };
}

/** The model as one whose sequences are no longer than that: the last place of a row is nobody's. */
function limited(model: Generative, context: number): Generative {
  return Object.create(model, { maxLength: { value: context - 1 } }) as Generative;
}
