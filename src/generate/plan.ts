// Plans: checked options of `generate`, applied to the inputs of a call.

import type { Complete } from '../core/complete.js';
import type { Tensor } from '../core/tensor.js';
import type { CacheType } from '../ops/kv-cache.js';
import type { FinishReason, GenerateOptions } from './generate-options.js';

/** A sequence of a search, finished or not. */
export interface Hypothesis {
  readonly tokens: readonly number[];
  readonly logProbabilities: readonly number[];
  readonly score: number;
  readonly reason: FinishReason;
  readonly stopToken: number | null;
}

/** One source within a tensor on the device, [sources, …]. `length` is the number of elements of a source. */
export interface DeviceSource {
  readonly of: Tensor;
  readonly length: number;
}

/** Token ids or features of a source. Features stay on the device if all sources are in one batch. */
export type Source = readonly number[] | Float32Array | DeviceSource;

/** One input and the given beginning of its outputs. */
export interface PlannedInput {
  /** Index of the input. */
  readonly index: number;
  /** The source, or the prompt of a decoder-only model. */
  readonly tokens: Source;
  /** The tokens that the decoder reads first. */
  readonly prompt: readonly number[];
  readonly prefix: readonly number[];
}

type NotPlanned =
  | ('stop' | 'signal' | 'onToken' | 'onDraft' | 'prefix' | 'stopTokens' | 'cache' | 'draft' | 'responseFormat')
  | ('maxLength' | 'minLength' | 'decoderStartTokenId' | 'forcedEosTokenId');

/** Options with defaults, applied to the inputs of a call. */
export interface Plan extends Complete<Omit<GenerateOptions, NotPlanned>> {
  readonly stop: ((tokens: readonly number[]) => boolean) | undefined;
  /** The format of the cache of keys and values. */
  readonly cacheType: CacheType;
  /** Tokens of which one is forced as the last token; [] if no token is forced. */
  readonly forcedEosTokenId: readonly number[];
  readonly stopTokens: ReadonlySet<number>;
  readonly inputs: readonly PlannedInput[];
  /** Shape of each source if the sources are features or encodings; otherwise null. */
  readonly sourceShape: readonly number[] | null;
  /** Number of sequences of each input in the batch. */
  readonly sequencesPerInput: number;
  /** Number of sequences that must leave the batch together, because they share a source or are beams. */
  readonly rowsTogether: number;
  /** The number of logits of a sequence. */
  readonly vocabulary: number;
  /** Maximum number of candidates that the engine can find for a sequence. */
  readonly maxRanked: number;
  /** Maximum number of sequences that the engine can reorder. */
  readonly maxSequences: number;
}

/** The part of a plan that depends only on the options, not on the inputs. */
export type GenerationSettings = Omit<Plan, 'inputs' | 'sourceShape' | 'sequencesPerInput' | 'rowsTogether' | OfEngine>;
type OfEngine = 'vocabulary' | 'maxRanked' | 'maxSequences' | 'cacheType';
