import type { OptionKind } from '../core/check.js';
import type { ChatGenerateOptions } from '../tasks/index.js';

/** Settings of an answer, by the names that frameworks have in common. */
export interface SamplingSettings {
  readonly maxTokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly topK?: number | undefined;
  readonly presencePenalty?: number | undefined;
  readonly frequencyPenalty?: number | undefined;
  readonly seed?: number | undefined;
}

/** Kinds of the settings. */
export const samplingKinds = {
  maxTokens: 'count',
  temperature: 'notNegative',
  topP: 'positive',
  topK: 'whole',
  presencePenalty: 'number',
  frequencyPenalty: 'number',
  seed: 'whole',
} as const satisfies Record<keyof SamplingSettings, OptionKind>;

/** At lower temperatures, the most probable token has probability 1 within float precision. */
const MIN_TEMPERATURE = 1e-3;

/**
 * Converts settings to options of `generate`. If there are no settings for sampling, the model's own settings are used.
 * Without a seed, a random one is drawn. With a temperature of 0, the most probable token is chosen.
 */
export function samplingOf(settings: SamplingSettings): ChatGenerateOptions {
  const { maxTokens, temperature, topP, topK, presencePenalty, frequencyPenalty } = settings;
  const isGreedy = temperature !== undefined && temperature < MIN_TEMPERATURE;
  const isSampled = temperature !== undefined || topP !== undefined || topK !== undefined;
  const sampling = isGreedy ? { doSample: false } : isSampled ? { doSample: true, temperature, topP, topK } : {};
  const [random] = crypto.getRandomValues(new Uint32Array(1));
  const options = {
    ...sampling,
    seed: settings.seed ?? random,
    maxNewTokens: maxTokens,
    presencePenalty,
    frequencyPenalty,
  };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
