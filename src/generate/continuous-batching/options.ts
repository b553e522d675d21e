import { checkOptions, describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import type { CacheType } from '../../ops/kv-cache.js';
import type { GenerateOptions } from '../generate-options.js';
import type { Generative } from '../generative.js';
import { withModelDefaults } from '../model-defaults.js';
import { resolveOptions } from '../options.js';
import type { Plan } from '../plan.js';
import { PromptCache } from '../prompt-cache.js';

/** Capacity of a ContinuousBatching. */
export interface BatchingOptions {
  /** Maximum number of sequences that are generated at the same time; others wait. Default: 8. */
  parallel?: number | undefined;
  /**
   * Maximum length of a sequence in tokens, prompt and answer together. Default: the model's maxLength, at most 2048.
   */
  context?: number | undefined;
  /**
   * True reserves the memory for `parallel` sequences of `context` tokens at once, so that it cannot run out later.
   * False lets it grow with the sequences; most of it is freed when nothing runs. Default: true.
   */
  reserve?: boolean | undefined;
  /** Maximum number of waiting requests; one more is refused with QueueFullError. Default: 64. */
  maxWaiting?: number | undefined;
  /**
   * Number of prompt tokens read between two steps of generating sequences. A larger number increases the throughput; a
   * smaller one makes the intervals between tokens more even. Default: 128.
   */
  chunk?: number | undefined;
  /** Format of keys and values, see `generate`. Default: the model's `cacheType`. */
  cacheType?: CacheType | undefined;
  /**
   * Prompt look-up for a sequence that runs alone: its next tokens are drafted from its text and from earlier answers
   * of its scope. The model checks the draft in one pass. Tokens and log-probabilities are the same as without drafts.
   * 'auto' drafts while that saves time: drafts may lose 1 % of the time. 'always' drafts whatever it costs. Default:
   * 'auto'.
   */
  lookup?: 'auto' | 'always' | 'never' | undefined;
}

/** The values of the option `lookup`. */
export const LOOKUPS = ['auto', 'always', 'never'] as const;

/** Options of a request, which is for one sequence without beams. */
export interface BatchedOptions extends Omit<GenerateOptions, (typeof LEFT_OUT)[number] | 'cache'> {
  /**
   * A cache of the same model, with the same format of keys and values. Its common prefix with the prompt is not read
   * again. At the end it holds the sequence. Default: none.
   */
  cache?: PromptCache | undefined;
  /**
   * Adapters of this request: one, several, whose changes are added, or null for none. Requests of one batch can have
   * different adapters. Default: the active ones.
   */
  adapter?: string | readonly string[] | null | undefined;
  /** Name of the client. Clients take turns. Default: all requests belong to one client. */
  client?: string | undefined;
  /**
   * Requests of one scope share the prefixes of their prompts. With separate scopes, a client cannot guess the prompts
   * of others from `cachedTokens` or from timing. Default: all requests have one scope.
   */
  prefixScope?: string | undefined;
  /** Index of the random stream of `seed`, so that several answers to one prompt differ. Default: 0. */
  stream?: number | undefined;
  /** Number of most probable tokens reported with every token, at most 20. Default: 0. */
  topLogProbabilities?: number | undefined;
  /** Called when the sequence leaves the queue and joins the batch. Default: none. */
  onStart?: (() => void) | undefined;
}

/** Maximum of `topLogProbabilities`, as in OpenAI's API. */
export const MAX_TOP = 20;

/** Options that do not fit a request for one sequence of a shared batch. */
const LEFT_OUT = [
  'numBeams',
  'numBeamGroups',
  'diversityPenalty',
  'numReturnSequences',
  'cropContext',
  'outputAttentions',
  'batchSize',
  'onToken',
  'lengthPenalty',
  'earlyStopping',
  'draft',
  'onDraft',
  'responseFormat',
  'cacheType',
] as const;

/** Defaults of BatchingOptions. The default context is the model's maxLength, but at most `context`. */
export const BATCHING_DEFAULTS = { parallel: 8, context: 2048, maxWaiting: 64, chunk: 128 };

/** Options with defaults, applied to a prompt. */
export interface BatchedPlan {
  readonly plan: Plan;
  readonly client: string;
  readonly prefixScope: string;
  readonly top: number;
  /** Names of adapters. */
  readonly adapters: readonly string[];
  readonly cache: PromptCache | null;
  readonly onStart: () => void;
}

/** Checks a request. Throws ArgumentError for invalid options, or a prompt that does not fit into `context`. */
export function planFor(
  model: Generative,
  prompt: readonly number[],
  context: number,
  {
    client = '',
    prefixScope = '',
    stream = 0,
    topLogProbabilities = 0,
    onStart = () => {},
    cache,
    adapter,
    signal: _,
    ...options
  }: BatchedOptions,
): BatchedPlan {
  const streamOptions = { client, prefixScope, stream, topLogProbabilities, onStart };
  const max = Math.min(MAX_TOP, model.vocabSize);
  checkOptions('ContinuousBatching.stream', streamOptions, {
    client: 'string',
    prefixScope: 'string',
    stream: 'whole',
    onStart: 'function',
    topLogProbabilities: {
      accepts: (n) => Number.isInteger(n) && (n as number) >= 0 && (n as number) <= max,
      expected: `an integer from 0 to ${max}`,
    },
  });
  if (cache !== undefined && !(cache instanceof PromptCache))
    throw new ArgumentError(`ContinuousBatching.stream: cache is ${describeValue(cache)}, expected a PromptCache`);
  if (cache !== undefined && adapter !== undefined)
    throw new ArgumentError('ContinuousBatching.stream: cache and adapter exclude each other: call setAdapter instead');
  const adapters = adaptersOf(model, adapter);
  const generateOptions: GenerateOptions = options;
  const refused = LEFT_OUT.find((name) => generateOptions[name] !== undefined);
  if (refused !== undefined)
    throw new ArgumentError(`ContinuousBatching.stream: there is no option ${refused}: a request is one sequence`);
  const alone: Generative = limited(model, context);
  const defaults = withModelDefaults(alone, { ...options, numBeams: 1, numReturnSequences: 1, cropContext: false });
  const plan = resolveOptions(alone, [prompt], { ...defaults, outputAttentions: false });
  const inputs = plan.inputs.map((input) => ({ ...input, index: stream }));
  return {
    plan: { ...plan, inputs },
    client,
    prefixScope,
    top: topLogProbabilities,
    adapters,
    cache: cache ?? null,
    onStart,
  };
}

/** Returns the names of the active adapters. */
export function activeAdapters({ adapters = new Map() }: Generative): readonly string[] {
  return [...adapters].filter(([, { isActive }]) => isActive).map(([name]) => name);
}

/** Returns the names of a request's adapters. Throws ArgumentError for unknown ones, and if rows cannot choose. */
function adaptersOf(model: Generative, adapter: BatchedOptions['adapter']): readonly string[] {
  const { adapters: known = new Map() } = model;
  const active = activeAdapters(model);
  if (adapter === undefined) return active;
  const wanted: readonly unknown[] = adapter === null ? [] : [adapter].flat();
  for (const name of new Set([...wanted, ...active])) {
    const found = known.get(name as string);
    const expected = found
      ? 'one that replaces no parameters, or setAdapter'
      : `one of ${[...known.keys()].join(', ') || 'none'}`;
    if (!found?.isAdded)
      throw new ArgumentError(`ContinuousBatching.stream: adapter is ${describeValue(name)}, expected ${expected}`);
  }
  return [...known.keys()].filter((name) => wanted.includes(name));
}

/** Returns the model with a smaller maxLength, so that the last token of a row's capacity stays unused. */
function limited(model: Generative, context: number): Generative {
  return Object.create(model, { maxLength: { value: context - 1 } }) as Generative;
}
