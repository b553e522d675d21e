// Plans: checked options of `generate`, applied to the inputs of a call.

import type { Complete } from '../core/complete.js';
import type { Tensor } from '../core/tensor.js';
import type { CacheType } from '../ops/kv-cache.js';
import type { FinishReason, GenerateOptions } from './generate-options.js';

/** An unfinished or finished sequence. */
export interface Hypothesis {
  readonly tokens: readonly number[];
  readonly logProbabilities: readonly number[];
  readonly score: number;
  readonly reason: FinishReason;
}

/** One source of a tensor on the device, [sources, …], and its number of elements. */
export interface DeviceSource {
  readonly of: Tensor;
  readonly length: number;
}

/** Ids of tokens, or features. Features stay on the device while all sources are in one batch. */
export type Source = readonly number[] | Float32Array | DeviceSource;

/** One input, and the beginning of its outputs. */
export interface PlannedInput {
  /** The place of the input among all inputs. */
  readonly index: number;
  /** The source, or the prompt of a decoder-only model. */
  readonly tokens: Source;
  /** The tokens that the decoder reads first. */
  readonly prompt: readonly number[];
  readonly prefix: readonly number[];
}

type NotPlanned =
  | ('stop' | 'signal' | 'onToken' | 'prefix' | 'stopTokens' | 'cache' | 'draft' | 'responseFormat')
  | ('maxLength' | 'minLength' | 'decoderStartTokenId' | 'forcedEosTokenId');

/** Options with defaults, applied to the inputs of a call. */
export interface Plan extends Complete<Omit<GenerateOptions, NotPlanned>> {
  readonly stop: ((tokens: readonly number[]) => boolean) | undefined;
  /** The format of the cache of keys and values. */
  readonly cacheType: CacheType;
  /** The tokens of which one is forced as the last token; [] if none is. */
  readonly forcedEosTokenId: readonly number[];
  readonly stopTokens: ReadonlySet<number>;
  readonly inputs: readonly PlannedInput[];
  /** The shape of each source, if sources are features or were encoded before; else null. */
  readonly sourceShape: readonly number[] | null;
  /** Sequences decoded side by side for each input. */
  readonly width: number;
  /** Sequences that leave the batch together, because they share a source or are beams. */
  readonly group: number;
  /** The number of logits of a sequence. */
  readonly vocabulary: number;
  /** The most candidates that the engine can find for a sequence. */
  readonly maxRanked: number;
  /** The most sequences that can change places. */
  readonly maxSequences: number;
}

/** The part of a plan that follows from the options alone, whatever the inputs are. */
export type Settings = Omit<Plan, 'inputs' | 'sourceShape' | 'width' | 'group' | OfEngine>;
type OfEngine = 'vocabulary' | 'maxRanked' | 'maxSequences' | 'cacheType';
