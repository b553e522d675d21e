// What is used of @huggingface/tokenizers, whose own declarations do not resolve in Node's module mode.

import type { Part } from './part.js';
import type { TextSection } from './sections.js';

export interface Engine {
  /** Finds the tokens of what the pre-tokenizer split. */
  readonly model: {
    (pieces: string[]): string[];
    _call(pieces: string[]): string[];
    encode(pieces: string[]): string[];
    /** Unigram models have it, and scores of their tokens. */
    tokenize(piece: string): string[];
    readonly scores: number[];
    unk_token_id?: number | null | undefined;
    tokens_to_ids: Map<string, number>;
    /** Tokens by id. */
    vocab: string[];
    /** Of byte pairs: puts a token on a queue if it is merged with the next one. */
    add_node(queue: { push(node: PairNode): void }, node: PairNode): void;
  };
  readonly normalizer: Normalizer;
  readonly pre_tokenizer: ((text: string, options: { section_index: number }) => string[]) | null;
  /** Find added tokens in text and in what is left of it, normalized. */
  readonly splitter_unnormalized: { split(text: string): string[] };
  readonly splitter_normalized: { split(text: string): string[] };
  /** Those that come before tokens of the model which are written alike. */
  readonly added_tokens_map: Map<string, { readonly id: number }>;
  /** The added tokens in a text, and the pieces of what is between them. */
  sections(text: string): TextSection[];
  encode_text(text: string | null): string[] | null;
  readonly decoder: Decoder | null;
  encode(text: string, options: { add_special_tokens: boolean }): Encoded;
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces?: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
}

/** A token of a text that is being merged. */
interface PairNode {
  readonly token: string;
  /** A fraction: how far it is in the text. */
  readonly bias: number;
  readonly next: { readonly token: string };
  score?: number;
}

export interface Normalizer {
  (text: string): string;
  readonly config?: Part;
  /** Of a sequence. */
  readonly normalizers?: readonly Normalizer[];
}

export interface Decoder {
  /** Of a sequence. */
  readonly decoders?: readonly Decoder[];
  readonly config: Part;
  decode_chain(tokens: readonly string[]): string[];
  /** What ByteLevel calls for tokens between added ones. */
  convert_tokens_to_string(tokens: readonly string[]): string;
}

interface Encoded {
  ids: (number | null | undefined)[];
  tokens: string[];
}
