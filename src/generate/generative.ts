import type { Device } from '../core/device.js';
import type { MaybeInParts } from '../core/slices.js';
import type { Tensor } from '../core/tensor.js';
import type { AttentionMaps } from '../inspect/attention-maps.js';
import type { DecoderState, Memory } from '../nn/decoder-state.js';
import type { Tokens } from '../nn/token-batch.js';
import type { CacheType } from '../ops/kv-cache.js';
import type { GenerateOptions } from './generate-options.js';
import type { FormatConstraint, ResponseFormat } from './response-format.js';

/** Sizes of a decoder state. */
export interface DecodingOptions {
  /** Result of `encode`, for models with an encoder. */
  memory?: Memory | undefined;
  /**
   * Number of sequences in the batch, for decoder-only models. With an encoder, the number of sources in `memory`
   * decides. Default: 1.
   */
  sequences?: number | undefined;
  /** Sequences for each source, for beam search. Default: 1. */
  beams?: number | undefined;
  /** Maximum length of a sequence in tokens. Default: the model's maxLength. */
  maxLength?: number | undefined;
  /**
   * Format of keys and values. 'float16' takes half of the memory of 'float32', 'int8' about a quarter. Default: the
   * model's `cacheType`.
   */
  cacheType?: CacheType | undefined;
  /**
   * Final maximum length of a text in tokens, if its keys and values may later move to a larger state. Rotary
   * frequencies that depend on the text's length use this value. Default: `maxLength`.
   */
  textLength?: number | undefined;
  /**
   * Maximum length of a source in tokens, for a state that also serves later sources. Default: the longest in `memory`.
   */
  sourceLength?: number | undefined;
}

/** Options of `extend`. */
export interface ExtendOptions {
  /** Indices of the sequences that read, one per row of tokens, without duplicates. Default: 0, 1, 2, … */
  sequences?: readonly number[] | undefined;
  /**
   * Number of tokens that each of these sequences keeps; its later tokens are dropped. The caller passes the lengths,
   * because the state's own lengths are on the device. Default: 0 each.
   */
  starts?: readonly number[] | undefined;
  /**
   * The logits to return. 'last' (default): after the last token of each row, [rows, vocabSize], equal to those of
   * `prefill` bit for bit, for any chunking. 'every': after each of the N tokens, [N, vocabSize], equal to those of
   * `step` bit for bit. 'none': null, for chunks that are not the last.
   */
  logits?: 'last' | 'every' | 'none' | undefined;
  /**
   * Called with the features of the last layer, float32 [N, dModel], which are freed afterwards. Default: none. A
   * `TokenPredictor` reads them.
   */
  onFeatures?: ((features: Tensor) => void) | undefined;
  /**
   * Length of the prompts to which the tokens belong, if these are tokens of prompts. Rotary frequencies may depend on
   * it (`RotaryScaling`). Default: the tokens rotate as generated ones.
   */
  promptLength?: number | undefined;
}

/** An adapter of a model. */
export interface RowAdapter {
  readonly isActive: boolean;
  /**
   * True if the change is only added to outputs. Rows of one batch can then have different adapters. False if it
   * replaces parameters.
   */
  readonly isAdded: boolean;
}

/** Shape of a source; null stands for any size. */
export type SourceShape = readonly (number | null)[];

/**
 * The part of a model that decoding needs. Greedy and beam search, sampling, streams and batches use nothing else. A
 * model with an encoder writes an output for each source; a decoder-only model continues prompts.
 *
 * A method `…InParts` returns its result, or a generator that yields where the event loop can run, such as after each
 * layer.
 */
export interface Generative {
  readonly device: Device;
  /** Size of the vocabulary; logits are [sequences, vocabSize]. */
  readonly vocabSize: number;
  /** Maximum length of a sequence in tokens, including its start token or prompt. */
  readonly maxLength: number;
  /** Maximum length of a source in tokens; 0 for models without an encoder. Default: 0. */
  readonly maxSourceLength?: number | undefined;
  /** Format of keys and values if the call does not choose one. Default: 'float32'. */
  readonly cacheType?: CacheType | undefined;
  /**
   * A sequence that exceeds this length is read again from its beginning, because its rotary frequencies change
   * (longrope). Default: null, never.
   */
  readonly rereadLength?: number | null | undefined;
  /**
   * Returns a key that is equal for prompt lengths whose tokens have the same rotary angles. A generated token has the
   * angles of a prompt that ends with it. Default: one key for all lengths.
   */
  rotaryKey?(promptLength: number): string;
  /**
   * Shape of a source of features, such as audio; null stands for any size. `encode` then gets float32 [sources,
   * ...featureShape] and returns `sourceRows` rows for each source. Default: null, sources are token ids.
   */
  readonly featureShape?: SourceShape | null | undefined;
  /**
   * Shape of an encoded source of features, if `generate` also accepts encodings. A caller can then encode once and
   * generate several times. Default: null, encodings are not accepted.
   */
  readonly encodedShape?: SourceShape | null | undefined;
  /** Number of rows of the encoder's output for features, or an encoding, of this shape. Default: `maxSourceLength`. */
  sourceRows?(shape: readonly number[]): number;
  /** Adapters by name. Default: none. */
  readonly adapters?: ReadonlyMap<string, RowAdapter> | undefined;
  /**
   * Increases when parts of the model are added, removed or switched. Recorded steps are then invalid. Default: never.
   */
  readonly structureVersion?: number | undefined;
  /** Null for models that cannot generate, such as encoders. */
  readonly decoder?: object | null | undefined;
  /** Id of the token that begins outputs without a prompt; null if there is none. */
  readonly startId: number | null;
  /** Ids of the tokens that end an output; [] if there are none. */
  readonly endIds: readonly number[];
  /** Defaults of `generate` for this model. Options of a call take precedence. Default: the defaults of the options. */
  readonly generationConfig?: GenerateOptions | undefined;
  /** Id of the padding token, removed from the ends of rows; null if there is none. Default: null. */
  readonly padId?: number | null | undefined;
  /** True if ids of a source may stand for images. Its passes are not recorded. Default: false. */
  readonly readsImages?: boolean | undefined;
  /** Encodes sources. Needed if `maxSourceLength` is above 0. The caller runs it in a scope, which owns the result. */
  encodeInParts?(source: Tokens): MaybeInParts<Memory>;
  /**
   * Makes the tensors that all states for texts of `length` tokens share, such as rotary tables. Yields after each
   * part. Default: `startDecoding` makes them.
   */
  prepareInParts?(length: number): Generator<undefined, void>;
  /** Makes a state for decoding. The caller disposes of it. */
  startDecoding(options: DecodingOptions): DecoderState;
  /**
   * Empties a state for other inputs. `memory` replaces the encoded sources and must have the same number of sources.
   */
  restartDecoding(state: DecoderState, memory?: Memory): void;
  /**
   * Reads one prompt per sequence of a fresh state and returns the logits after its last token, [sequences, vocabSize].
   * For models without an encoder.
   */
  prefillInParts?(state: DecoderState, prompts: Tokens): MaybeInParts<Tensor>;
  /**
   * Appends tokens to some sequences; the others stay unchanged. For models without an encoder. Conversations, drafts
   * and servers need it, because it is the only way to add several tokens to a state in use.
   */
  extendInParts?(state: DecoderState, tokens: Tokens, options?: ExtendOptions): MaybeInParts<Tensor | null>;
  /**
   * Reads `state.tokens`, the next token of each sequence, and returns the logits after it, [sequences, vocabSize]. Is
   * recorded, each slice as a program. A generator yields the only tensor that the next part reads.
   */
  stepInParts(state: DecoderState): Tensor | Generator<Tensor, Tensor>;
  /**
   * Returns the position nearest to `position`, before or after it, at which a prompt can be split. The two pieces are
   * read one after the other. Default: `position`.
   */
  splitPoint?(tokens: readonly number[], position: number, side: 'before' | 'after'): number;
  /** Needed for `responseFormat`: makes the options that restrict outputs to a format. */
  constrain?(format: ResponseFormat, options: { stopTokens?: Iterable<number> | undefined }): Promise<FormatConstraint>;
  /** Needed for `outputAttentions`: the maps of every layer, for sources (if any) and the tokens read after them. */
  attentionMaps?(source: Tokens | null, target: Tokens): AttentionMaps;
}
