// Decoders of a tokenizer.json: tokens to text.

import { BYTE_NAMES } from './byte-level.js';
import { patternOf } from './normalizers.js';
import { spansOf } from './oniguruma.js';
import { type Part, partsOf, refuseTokenizer, textOf } from './part.js';

export type TokenDecoder = (tokens: readonly string[]) => string;

type Step = (tokens: readonly string[]) => string[];

/**
 * Makes the decoder of a tokenizer.json. If it has none, tokens are joined with spaces. Throws FormatError for an
 * unknown decoder.
 */
export function decoderOf(part: unknown): TokenDecoder {
  const steps = partsOf(part, 'decoders').map(stepOf);
  const between = part === null || part === undefined ? ' ' : '';
  return (tokens) => steps.reduce<readonly string[]>((all, step) => step(all), tokens).join(between);
}

function stepOf(part: Part): Step {
  switch (part.type) {
    case 'BPEDecoder': {
      const suffix = (part.suffix ?? '</w>') as string;
      return (tokens) => tokens.map((token, i) => token.replaceAll(suffix, i < tokens.length - 1 ? ' ' : ''));
    }
    case 'ByteFallback':
      return decodeBytes;
    case 'ByteLevel':
      return (tokens) => [decodeByteNames(tokens)];
    case 'CTC':
      return (tokens) => decodeCtc(tokens, part);
    case 'Fuse':
      return (tokens) => [tokens.join('')];
    case 'Metaspace':
      return (tokens) => decodeMetaspace(tokens, part);
    case 'Replace': {
      const pattern = patternOf(part);
      const content = textOf(part, 'content');
      return (tokens) => tokens.map((token) => replaced(token, pattern, content));
    }
    case 'Strip':
      return (tokens) => tokens.map((token) => stripped(token, part));
    case 'WordPiece':
      return (tokens) => decodeWordPieces(tokens, part);
    default:
      return refuseTokenizer(`a decoder of type ${JSON.stringify(part.type)}`);
  }
}

function replaced(token: string, pattern: RegExp, content: string): string {
  let text = '';
  let done = 0;
  for (const [start, end] of spansOf(pattern, token)) {
    text += token.slice(done, start) + content;
    done = end;
  }
  return text + token.slice(done);
}

/** Removes up to `start` and `stop` copies of a character from the beginning and the end. */
function stripped(token: string, { content, start = 0, stop = 0 }: Part): string {
  const characters = Array.from(token);
  let from = 0;
  while (from < (start as number) && characters[from] === content) from++;
  let to = characters.length;
  while (characters.length - to < (stop as number) && characters[to - 1] === content) to--;
  return characters.slice(from, to).join('');
}

const UTF8 = { ignoreBOM: true };

/** Decodes byte tokens. In a run that is not valid UTF-8, every byte becomes U+FFFD, each as its own text. */
function decodeBytes(tokens: readonly string[]): string[] {
  const texts: string[] = [];
  const bytes: number[] = [];
  const endRun = () => {
    if (bytes.length === 0) return;
    const run = Uint8Array.from(bytes.splice(0));
    try {
      texts.push(new TextDecoder('utf-8', { ...UTF8, fatal: true }).decode(run));
    } catch {
      texts.push(...Array.from(run, () => '\ufffd'));
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

const BYTES_BY_NAME = new Map(BYTE_NAMES.map((name, byte) => [name, byte]));

/** Decodes byte names. A byte order mark stays in the text. Tokens that are not byte names stay unchanged. */
function decodeByteNames(tokens: readonly string[]): string {
  const encoder = new TextEncoder();
  const bytes = tokens.flatMap((token) => {
    const named = Array.from(token, (name) => BYTES_BY_NAME.get(name));
    return named.includes(undefined) ? [...encoder.encode(token)] : (named as number[]);
  });
  return new TextDecoder('utf-8', UTF8).decode(Uint8Array.from(bytes));
}

/** Removes repeated tokens of CTC output. With clean-up, the word delimiter becomes a space. */
function decodeCtc(
  tokens: readonly string[],
  { pad_token = '<pad>', word_delimiter_token = '|', cleanup = true }: Part,
): string[] {
  return tokens
    .filter((token, i) => token !== tokens[i - 1])
    .map((token) => token.replaceAll(pad_token as string, ''))
    .map((text) => (cleanup ? cleanedUpWord(text).replaceAll(word_delimiter_token as string, ' ') : text))
    .filter((text) => text !== '');
}

function decodeMetaspace(tokens: readonly string[], { replacement = '▁', ...part }: Part): string[] {
  const isPrepended = part.add_prefix_space !== false && part.prepend_scheme !== 'never';
  return tokens.map((token, i) => token.replaceAll(replacement as string, i === 0 && isPrepended ? '' : ' '));
}

function decodeWordPieces(tokens: readonly string[], { prefix = '##', cleanup = true }: Part): string[] {
  return tokens.map((token, i) => {
    const continues = token.startsWith(prefix as string);
    const text = i === 0 ? token : continues ? token.slice((prefix as string).length) : ` ${token}`;
    return cleanup ? cleanedUpWord(text) : text;
  });
}

// biome-ignore format: one line
const CLEANER: readonly (readonly [string, string])[] = [[' .', '.'], [' ?', '?'], [' !', '!'], [' ,', ','], [" ' ", "'"], [" n't", "n't"], [" 'm", "'m"], [" 's", "'s"], [" 've", "'ve"], [" 're", "'re"]];

/** Removes the spaces that English tokens leave before punctuation, as transformers does. */
export function cleanedUp(text: string): string {
  return CLEANER.reduce((cleaner, [from, to]) => cleaner.replaceAll(from, to), text);
}

/** Replacements that Rust's `tokenizers` applies to each token: one more than transformers. */
const WORD_CLEANER = CLEANER.toSpliced(7, 0, [' do not', " don't"]);

function cleanedUpWord(text: string): string {
  return WORD_CLEANER.reduce((cleaner, [from, to]) => cleaner.replaceAll(from, to), text);
}
