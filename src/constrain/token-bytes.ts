import { ArgumentError } from '../core/errors.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import type { TokenizerJson } from '../tokenizers/json.js';

/**
 * The bytes that each token of a vocabulary adds to a text, null for special tokens, but for those that are `written`, and
 * ids without a token. Throws ArgumentError for tokenizers whose tokens mean something else depending on what is around
 * them, as WordPiece's do.
 */
export function tokenBytes(tokenizer: PretrainedTokenizer, written: readonly string[] = []): (Uint8Array | null)[] {
  const json = (tokenizer as unknown as { toJSON(): TokenizerJson }).toJSON();
  const toBytes = bytesOf(json);
  const isLeftOut = ({ special, content }: { special: boolean; content: string }) =>
    special && !written.includes(content);
  const added = new Map((json.added_tokens ?? []).map((token) => [token.id, isLeftOut(token)]));
  const encoder = new TextEncoder();
  return Array.from({ length: tokenizer.vocabSize }, (_, id) => {
    const token = tokenizer.idToToken(id);
    if (token === undefined || added.get(id) === true) return null;
    return added.has(id) ? encoder.encode(token) : toBytes(token);
  });
}

type ToBytes = (token: string) => Uint8Array | null;

function bytesOf({ decoder, model }: TokenizerJson): ToBytes {
  const parts = partsOf(decoder);
  if (parts.some(({ type }) => type === 'ByteLevel')) return byteLevel();
  const space = parts.map(spaceOf).find((each) => each !== undefined);
  if (space !== undefined && model.type !== 'WordPiece') return spaced(space);
  const kind = parts.map(({ type }) => type).join(', ') || 'none';
  throw new ArgumentError(
    `responseFormat: this tokenizer's decoder is ${kind}; expected byte-level BPE, or tokens that write spaces as ▁`,
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

/** What stands for a space, if a decoder puts one in its place. */
function spaceOf({ type, replacement, content, pattern }: Part): string | undefined {
  if (type === 'Metaspace') return replacement ?? '▁';
  return type === 'Replace' && content === ' ' ? pattern?.String : undefined;
}

/** SentencePiece's: spaces are ▁, and <0x0A> is the byte of that number. */
function spaced(space: string): ToBytes {
  const encoder = new TextEncoder();
  return (token) => {
    const byte = /^<0x([0-9A-F]{2})>$/.exec(token);
    return byte ? Uint8Array.of(Number.parseInt(byte[1] as string, 16)) : encoder.encode(token.replaceAll(space, ' '));
  };
}

/** GPT-2's: each byte is a character, those that cannot be seen are moved above 255. */
function byteLevel(): ToBytes {
  const bytes = new Map<string, number>();
  const isShown = (byte: number) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
  let moved = 256;
  for (let byte = 0; byte < 256; byte++) bytes.set(String.fromCharCode(isShown(byte) ? byte : moved++), byte);
  return (token) => {
    const codes = [...token].map((character) => bytes.get(character));
    return codes.every((code) => code !== undefined) ? Uint8Array.from(codes as number[]) : null;
  };
}
