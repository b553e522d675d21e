import type { Parts } from '../core/slices.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import type { TokenizerJson } from '../tokenizers/json.js';
import { ResponseFormatError } from './format-error.js';

/** The number of tokens between two pauses. */
const STEPS = 1024;

/**
 * The bytes that each token adds to a text, end to end: an array for each token would be slow to make and to collect.
 */
export class TokenBytes {
  #data = new Uint8Array(1 << 16);
  #starts = new Int32Array(1 << 12);
  #count = 0;
  #longest = 0;

  /** The number of tokens. */
  get count(): number {
    return this.#count;
  }

  /** The number of bytes of the longest token. */
  get longest(): number {
    return this.#longest;
  }

  /** The bytes of a token: none for a token that adds no text. */
  of(token: number): Uint8Array {
    return this.#data.subarray(this.startOf(token), this.startOf(token + 1));
  }

  /** The index in `data` at which the bytes of a token begin. */
  startOf(token: number): number {
    return this.#starts[Math.min(Math.max(token, 0), this.#count)] as number;
  }

  /** The bytes of all tokens. */
  get data(): Uint8Array {
    return this.#data;
  }

  /** Adds the next token. */
  push(bytes: ArrayLike<number>): void {
    const start = this.startOf(this.#count);
    if (start + bytes.length > this.#data.length) {
      const larger = new Uint8Array(2 * (start + bytes.length));
      larger.set(this.#data);
      this.#data = larger;
    }
    if (this.#count + 1 === this.#starts.length) {
      const more = new Int32Array(2 * this.#starts.length);
      more.set(this.#starts);
      this.#starts = more;
    }
    this.#data.set(bytes, start);
    this.#longest = Math.max(this.#longest, bytes.length);
    this.#starts[++this.#count] = start + bytes.length;
  }
}

/**
 * The bytes that each token adds to a text. None for special tokens that are not in `written`, and for ids without a
 * token. Throws ResponseFormatError if the meaning of a token depends on its neighbours, as with WordPiece.
 */
export function* tokenBytes(tokenizer: PretrainedTokenizer, written: readonly string[] = []): Parts<TokenBytes> {
  const json = (tokenizer as unknown as { toJSON(): TokenizerJson }).toJSON();
  const toBytes = bytesOf(json);
  const isLeftOut = ({ special, content }: { special: boolean; content: string }) =>
    special && !written.includes(content);
  const added = new Map((json.added_tokens ?? []).map((token) => [token.id, isLeftOut(token)]));
  const encode = utf8Encoder();
  const bytes = new TokenBytes();
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    if (id % STEPS === 0) yield;
    const token = tokenizer.idToToken(id);
    if (token === undefined || added.get(id) === true) bytes.push([]);
    else bytes.push(added.has(id) ? encode(token) : toBytes(token));
  }
  return bytes;
}

/** Returns the bytes of a token. They are valid until the next call. */
type ToBytes = (token: string) => ArrayLike<number>;

/** Writes UTF-8 into one buffer, because `encode` makes an array for each token. */
function utf8Encoder(): ToBytes {
  const encoder = new TextEncoder();
  let buffer = new Uint8Array(1 << 10);
  return (token) => {
    if (buffer.length < 3 * token.length) buffer = new Uint8Array(6 * token.length);
    return buffer.subarray(0, encoder.encodeInto(token, buffer).written);
  };
}

function bytesOf({ decoder, model }: TokenizerJson): ToBytes {
  const parts = partsOf(decoder);
  if (parts.some(({ type }) => type === 'ByteLevel')) return byteLevel();
  const space = parts.map(spaceOf).find((character) => character !== undefined);
  if (space !== undefined && model.type !== 'WordPiece') return spaced(space);
  const kind = parts.map(({ type }) => type).join(', ') || 'none';
  throw new ResponseFormatError(
    `the tokenizer's decoder is ${kind}, expected byte-level BPE or tokens that write spaces as ▁`,
  );
}

interface Part {
  readonly type?: string;
  readonly replacement?: string;
  readonly content?: string;
  readonly pattern?: { readonly String?: string };
}

function partsOf(decoder: unknown): readonly Part[] {
  const { type, decoders } = Object(decoder) as Part & { decoders?: Part[] };
  return type === 'Sequence' ? (decoders ?? []) : type === undefined ? [] : [decoder as Part];
}

/** The character that a decoder replaces by a space. */
function spaceOf({ type, replacement, content, pattern }: Part): string | undefined {
  if (type === 'Metaspace') return replacement ?? '▁';
  return type === 'Replace' && content === ' ' ? pattern?.String : undefined;
}

/** SentencePiece: ▁ is a space, and <0x0A> is a byte. */
function spaced(space: string): ToBytes {
  const encode = utf8Encoder();
  return (token) => {
    const byte = /^<0x([0-9A-F]{2})>$/.exec(token);
    return byte ? [Number.parseInt(byte[1] as string, 16)] : encode(token.replaceAll(space, ' '));
  };
}

/** GPT-2: each byte is a character. Invisible bytes are characters above 255. */
function byteLevel(): ToBytes {
  const bytes = new Map<string, number>();
  const isVisible = (byte: number) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
  let moved = 256;
  for (let byte = 0; byte < 256; byte++) bytes.set(String.fromCharCode(isVisible(byte) ? byte : moved++), byte);
  return (token) => {
    const codes: number[] = [];
    for (const character of token) {
      const code = bytes.get(character);
      if (code === undefined) return [];
      codes.push(code);
    }
    return codes;
  };
}
