import { BYTE_NAMES } from './byte-level.js';
import type { Decoder } from './engine-parts.js';
import type { Part } from './part.js';

const BYTES_BY_NAME = new Map(BYTE_NAMES.map((name, byte) => [name, byte]));

/** Has the engine decode tokens as Hugging Face's `tokenizers` does, where its own decoder of that type does not. */
export function mendDecoder(decoder: Decoder): void {
  decoder.decoders?.forEach(mendDecoder);
  const { config } = decoder;
  switch (config.type) {
    case 'ByteFallback':
      decoder.decode_chain = decodeBytes;
      break;
    case 'ByteLevel':
      decoder.convert_tokens_to_string = decodeByteNames;
      break;
    case 'CTC':
      decoder.decode_chain = (tokens) => decodeCtc(tokens, config);
      break;
    case 'Metaspace':
      decoder.decode_chain = (tokens) => decodeMetaspace(tokens, config);
      break;
    case 'WordPiece':
      decoder.decode_chain = (tokens) => decodeWordPieces(tokens, config);
  }
}

/** Of a run of bytes that is not UTF-8, every byte is U+FFFD. */
function decodeBytes(tokens: readonly string[]): string[] {
  const texts: string[] = [];
  const bytes: number[] = [];
  const endRun = () => {
    if (bytes.length === 0) return;
    const run = Uint8Array.from(bytes.splice(0));
    try {
      texts.push(new TextDecoder('utf-8', { ignoreBOM: true, fatal: true }).decode(run));
    } catch {
      texts.push('\ufffd'.repeat(run.length));
    }
  };
  for (const token of tokens) {
    const hex = /^<0x([\dA-F]{2})>$/i.exec(token)?.[1];
    if (hex !== undefined) bytes.push(Number.parseInt(hex, 16));
    else {
      endRun();
      texts.push(token);
    }
  }
  endRun();
  return texts;
}

/** Text keeps a byte order mark that bytes spell, and tokens that names of bytes do not spell are themselves. */
function decodeByteNames(tokens: readonly string[]): string {
  const encoder = new TextEncoder();
  const bytes = tokens.flatMap((token) => {
    const named = Array.from(token, (name) => BYTES_BY_NAME.get(name));
    return named.includes(undefined) ? [...encoder.encode(token)] : (named as number[]);
  });
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}

/** Of equal tokens in a row one stays; the delimiter is a space only where there is a clean-up. */
function decodeCtc(
  tokens: readonly string[],
  { pad_token = '<pad>', word_delimiter_token = '|', cleanup }: Part,
): string[] {
  return tokens
    .filter((token, at) => token !== tokens[at - 1])
    .map((token) => token.replaceAll(pad_token as string, ''))
    .map((text) => (cleanup ? cleanedUp(text).replaceAll(word_delimiter_token as string, ' ') : text))
    .filter((text) => text !== '');
}

function decodeMetaspace(tokens: readonly string[], { replacement = '▁', prepend_scheme }: Part): string[] {
  return tokens.map((token, at) =>
    token.replaceAll(replacement as string, at === 0 && prepend_scheme !== 'never' ? '' : ' '),
  );
}

function decodeWordPieces(tokens: readonly string[], { prefix = '##', cleanup }: Part): string[] {
  return tokens.map((token, at) => {
    const continues = token.startsWith(prefix as string);
    const text = at === 0 ? token : continues ? token.slice((prefix as string).length) : ` ${token}`;
    return cleanup ? cleanedUp(text) : text;
  });
}

// biome-ignore format: one line
const CLEANER = [[' .', '.'], [' ?', '?'], [' !', '!'], [' ,', ','], [" ' ", "'"], [" n't", "n't"], [" 'm", "'m"], [' do not', " don't"], [" 's", "'s"], [" 've", "'ve"], [" 're", "'re"]] as const;

function cleanedUp(text: string): string {
  return CLEANER.reduce((cleaner, [from, to]) => cleaner.replaceAll(from, to), text);
}
