import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import type { TokenizerJson } from '../tokenizers/json.js';
import { ResponseFormatError } from './format-error.js';
import type { Sliced } from './slices.js';

/** The number of tokens between two pauses. */
const STEPS = 1024;

/**
 * The bytes that each token adds to a text. Null for special tokens that are not in `written`, and for ids without a
 * token. Throws ResponseFormatError if the meaning of a token depends on its neighbours, as with WordPiece.
 */
export function* tokenBytes(
  tokenizer: PretrainedTokenizer,
  written: readonly string[] = [],
): Sliced<(Uint8Array | null)[]> {
  const json = (tokenizer as unknown as { toJSON(): TokenizerJson }).toJSON();
  const toBytes = bytesOf(json);
  const isLeftOut = ({ special, content }: { special: boolean; content: string }) =>
    special && !written.includes(content);
  const added = new Map((json.added_tokens ?? []).map((token) => [token.id, isLeftOut(token)]));
  const encoder = new TextEncoder();
  const bytes: (Uint8Array | null)[] = [];
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    if (id % STEPS === 0) yield;
    const token = tokenizer.idToToken(id);
    if (token === undefined || added.get(id) === true) bytes.push(null);
    else bytes.push(added.has(id) ? encoder.encode(token) : toBytes(token));
  }
  return bytes;
}

type ToBytes = (token: string) => Uint8Array | null;

function bytesOf({ decoder, model }: TokenizerJson): ToBytes {
  const parts = partsOf(decoder);
  if (parts.some(({ type }) => type === 'ByteLevel')) return byteLevel();
  const space = parts.map(spaceOf).find((each) => each !== undefined);
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
  const encoder = new TextEncoder();
  return (token) => {
    const byte = /^<0x([0-9A-F]{2})>$/.exec(token);
    return byte ? Uint8Array.of(Number.parseInt(byte[1] as string, 16)) : encoder.encode(token.replaceAll(space, ' '));
  };
}

/** GPT-2: each byte is a character. Invisible bytes are characters above 255. */
function byteLevel(): ToBytes {
  const bytes = new Map<string, number>();
  const isVisible = (byte: number) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
  let moved = 256;
  for (let byte = 0; byte < 256; byte++) bytes.set(String.fromCharCode(isVisible(byte) ? byte : moved++), byte);
  return (token) => {
    const codes = [...token].map((character) => bytes.get(character));
    return codes.every((code) => code !== undefined) ? Uint8Array.from(codes as number[]) : null;
  };
}
