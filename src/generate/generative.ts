import type { Device } from '../core/device.js';
import type { Tensor } from '../core/tensor.js';
import type { AttentionMaps } from '../inspect/attention-maps.js';
import type { DecoderState, Memory } from '../nn/decoder-state.js';
import type { Tokens } from '../nn/token-batch.js';
import type { CacheType } from '../ops/kv-cache.js';
import type { GenerateOptions } from './generate-options.js';
import type { FormatConstraint, ResponseFormat } from './response-format.js';

/** How large a state must be that decodes. */
export interface DecodingOptions {
  /** What `encode` returned. For models with an encoder. */
  memory?: Memory | undefined;
  /** How many sequences to decode side by side. For decoder-only models; otherwise the memory decides. Default 1. */
  sequences?: number | undefined;
  /** Sequences for each source, for beam search. Default 1. */
  beams?: number | undefined;
  /** Tokens that a sequence can have. Default: the model's maxLength. */
  maxLength?: number | undefined;
  /**
   * What keys and values are kept as: 'float16' takes half of the memory of 'float32', 'int8' about a quarter. Default: the
   * model's `cacheType`.
   */
  cache?: CacheType | undefined;
  /**
   * Tokens that texts may grow to, where a larger state is to go on with what this one has: positions that turn by the
   * length of a text take it for the length. Default: `maxLength`.
   */
  textLength?: number | undefined;
  /**
   * Tokens that a source can have, where the state is to serve others after this one. Default: the memory's longest.
   */
  sourceLength?: number | undefined;
}

/** What some sequences of a state read more of. */
export interface ExtendOptions {
  /** Which sequences, a number for each row of tokens, none twice. Default: 0, 1, 2, … */
  sequences?: readonly number[] | undefined;
  /**
   * How many tokens each of them has; it forgets what it had beyond these. The caller knows, as a state's own lengths
   * are on the device. Default: 0 each.
   */
  starts?: readonly number[] | undefined;
  /**
   * Which logits come back. 'last', the default: after the last token of each, [rows, vocabSize], rounded as those of
   * `prefill`, wherever a text is cut into chunks. 'every': after each token, [N, vocabSize], rounded as those of `step`,
   * token by token. 'none': of chunks that are not the last.
   */
  logits?: 'last' | 'every' | 'none' | undefined;
}

/**
 * What decoding needs of a model: greedy and beam search, sampling, streams and batches know nothing else of it. A model
 * that reads sources writes an output for each of them; another one goes on from prompts.
 */
export interface Generative {
  readonly device: Device;
  /** How many tokens there are; logits are [sequences, vocabSize]. */
  readonly vocabSize: number;
  /** Tokens that a sequence can have, its start or prompt included. */
  readonly maxLength: number;
  /** Tokens that a source can have; 0 for models that read none. Default 0. */
  readonly maxSourceLength?: number | undefined;
  /** What keys and values are kept as where nobody says it. Default 'float32'. */
  readonly cacheType?: CacheType | undefined;
  /**
   * A sequence that outgrows this length is read once more from its beginning, as its tokens then turn otherwise (longrope).
   * Default null: what was read stays.
   */
  readonly rereadLength?: number | null | undefined;
  /**
   * The shape of a source, where sources are features, of sound for example: `encode` gets float32 [sources,
   * ...featureShape] then, and makes `maxSourceLength` rows of each. Default null: sources are ids.
   */
  readonly featureShape?: readonly number[] | null | undefined;
  /**
   * The shape of what `encode` made of a source of features, where that can be given instead: who needs it for more than
   * generating encodes once. Default null: it cannot.
   */
  readonly encodedShape?: readonly number[] | null | undefined;
  /** null in models that only read, such as encoders. */
  readonly decoder?: object | null | undefined;
  /** Begins what is generated where there is no prompt; null if there is no such token. */
  readonly startId: number | null;
  /** End what is generated; [] if nothing does. */
  readonly endIds: readonly number[];
  /** How the model is to be used where the options of a call do not say it. Default: the defaults of the options. */
  readonly generationConfig?: GenerateOptions | undefined;
  /** Is left out at the end of rows; null if there is no padding. Default null. */
  readonly padId?: number | null | undefined;
  /** Reads sources, where `maxSourceLength` is above 0. Belongs to the scope it is called in. */
  encode?(source: Tokens): Memory;
  /** A state to decode with, one token at a time. The caller disposes of it. */
  startDecoding(options: DecodingOptions): DecoderState;
  /** Empties a state for other inputs, and another memory of as many sources. */
  restartDecoding(state: DecoderState, memory?: Memory): void;
  /** Reads a prompt for each sequence of a fresh state; logits after its last token. For models without an encoder. */
  prefill?(state: DecoderState, prompts: Tokens): Tensor;
  /**
   * Reads more tokens of some sequences, after those that they have; the others stay as they are. For models without an
   * encoder. Needed for conversations, drafts and servers, which know it as the one way to read into a state in use.
   */
  extend?(state: DecoderState, tokens: Tokens, options?: ExtendOptions): Tensor | null;
  /** Reads `state.tokens`, one more of each sequence, and returns the logits of the next. Can be recorded. */
  step(state: DecoderState): Tensor;
  /**
   * Same as `extend` and `step`, yielding after each layer. Long work then leaves the event loop room between layers.
   * Default: `extend` and `step` run at once.
   */
  extendByLayers?(state: DecoderState, tokens: Tokens, options?: ExtendOptions): Generator<Tensor, Tensor | null>;
  stepByLayers?(state: DecoderState): Generator<Tensor, Tensor>;
  /** Needed for `responseFormat`: options by which only texts of a format come out. */
  constrain?(format: ResponseFormat, options: { stopTokens?: Iterable<number> | undefined }): Promise<FormatConstraint>;
  /** Needed for `outputAttentions`: of every layer, for sources, if it reads them, and what was read after them. */
  attentionMaps?(source: Tokens | null, target: Tokens): AttentionMaps;
}
