import { type Device, type Tokenizer, Transformer } from 'simdformer';

/** A model that the page can show: an encoder and a decoder with their tokenizers. */
export interface Model {
  readonly name: string;
  readonly transformer: Transformer;
  readonly source: Tokenizer;
  readonly target: Tokenizer;
  /** True if its tokens are pieces of words, as in translations; otherwise they are letters and sounds. */
  readonly readsText: boolean;
}

/** An error that the user can fix. The page shows its message unchanged. */
export class Complaint extends Error {}

export type Files = Readonly<Record<string, Uint8Array>>;

/** The files that `model.save` writes. */
export const MODEL_FILES = ['config.json', 'model.safetensors', 'source-tokenizer.json', 'target-tokenizer.json'];

/** Fetches the files of a saved model below `url`. Throws Complaint if one fails. */
export async function fetchModel(url: string): Promise<Files> {
  const files = MODEL_FILES.map(async (name) => [name, await fetchFile(`${url}${name}`)] as const);
  return Object.fromEntries(await Promise.all(files));
}

/** Fetches a file that comes with the page. Throws Complaint if that fails. */
export async function fetchFile(url: string): Promise<Uint8Array> {
  const name = url.split('/').at(-1);
  let response: Response;
  try {
    response = await fetch(new URL(url, document.baseURI));
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
  } catch {
    throw new Complaint(
      `A file of the page did not load: ${name} could not be reached. Check the connection and try again.`,
    );
  }
  throw new Complaint(`A file of the page did not load: ${name} gave HTTP status ${response.status}.`);
}

/** Makes a model from its saved files. Throws Complaint if the page cannot show it. */
export async function openModel(device: Device, name: string, files: Files): Promise<Model> {
  const transformer = await Transformer.fromFiles(device, files);
  try {
    return describe(name, transformer);
  } catch (error) {
    transformer.dispose();
    throw error;
  }
}

/** Wraps a Transformer for the page. */
export function describe(name: string, transformer: Transformer): Model {
  const { config, tokenizers } = transformer;
  if (config.encoderLayers === 0 || config.decoderLayers === 0) {
    const missing = config.encoderLayers === 0 ? 'encoder' : 'decoder';
    throw new Complaint(`“${name}” has no ${missing}. The explorer shows models that have both.`);
  }
  const { source, target } = tokenizers;
  if (!source || !target) {
    throw new Complaint(
      `“${name}” was saved without tokenizers. Set model.tokenizers before model.save, then try again.`,
    );
  }
  return { name, transformer, source, target, readsText: hasPieces(source) && hasPieces(target) };
}

/** True if a vocabulary marks tokens that begin words by the space before them. */
function hasPieces(tokenizer: Tokenizer): boolean {
  return Array.from({ length: tokenizer.vocabSize }, (_, id) => id).some((id) =>
    /^[Ġ▁]./.test(tokenizer.idToToken(id) ?? ''),
  );
}

/** The text of an answer's tokens. */
export function textOf({ target, readsText }: Model, ids: readonly number[]): string {
  return readsText ? target.decode(ids).trim() : ids.map((id) => tokenName(target, id)).join(' ');
}

/** Encodes a user's text. Throws Complaint if the model cannot read it. */
export function encodeWord({ name, transformer, source, readsText }: Model, word: string): number[] {
  const text = readable(source, word.trim());
  if (text === '')
    throw new Complaint(
      `Type a ${readsText ? 'sentence' : 'word'} for the model to ${readsText ? 'translate' : 'pronounce'}.`,
    );
  const { maxLength } = transformer.config;
  if (text.length > 4 * maxLength) throw tooLong(text.length, maxLength);
  const unknown = [...new Set(text)].filter((character) => !canRead(source, character));
  if (unknown.length > 0) {
    const some = unknown.slice(0, 5).map(quoted);
    throw new Complaint(`“${name}” never learnt ${some.join(', ')}. It reads ${alphabet(source)}.`);
  }
  const ids = source.encode(text);
  if (ids.length > maxLength) throw tooLong(ids.length, maxLength);
  return ids;
}

/** Returns the name of a token on the page. Special tokens are named by their purpose. */
export function tokenName(tokenizer: Tokenizer, id: number): string {
  if (id === tokenizer.bosId) return 'start';
  if (id === tokenizer.eosId) return 'end';
  if (id === tokenizer.padId) return 'pad';
  const token = tokenizer.idToToken(id) ?? `#${id}`;
  // Byte-level vocabularies have names for bytes, because some bytes are not text without their neighbours.
  const text = /^#\d+$/.test(token) ? token : tokenizer.decode([id], { skipSpecial: false }).trim();
  return text === '' || text.includes('\ufffd') ? token : text;
}

function tooLong(length: number, most: number): Complaint {
  return new Complaint(`That is ${length.toLocaleString('en')} letters; this model reads ${most} at most.`);
}

/** Returns a character, or its code if it is invisible or combines with adjacent ones. */
function quoted(character: string): string {
  const number = (character.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0');
  return /[\p{C}\p{M}]/u.test(character) ? `U+${number}` : `“${character}”`;
}

/** Converts text to lower case if the tokenizer was trained on lower case. */
function readable(tokenizer: Tokenizer, text: string): string {
  return tokenizer.tokenToId('E') === undefined && tokenizer.tokenToId('e') !== undefined ? text.toLowerCase() : text;
}

function canRead(tokenizer: Tokenizer, character: string): boolean {
  try {
    return !tokenizer.encode(character).includes(tokenizer.unkId ?? -1);
  } catch {
    return false;
  }
}

/** Returns the tokenizer's characters, with ranges shortened: “a–z and '”. */
function alphabet(tokenizer: Tokenizer): string {
  const characters = Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.idToToken(id) ?? '')
    .filter((token) => Array.from(token).length === 1)
    .map((token) => token.codePointAt(0) as number)
    .sort((a, b) => a - b);
  const runs: string[] = [];
  for (let from = 0; from < characters.length; ) {
    let to = from;
    while (characters[to + 1] === (characters[to] as number) + 1) to++;
    const [first, last] = [characters[from] as number, characters[to] as number].map((code) =>
      String.fromCodePoint(code),
    );
    runs.push(to - from > 1 ? `${first}–${last}` : Array.from(new Set([first, last])).join(' '));
    from = to + 1;
  }
  return runs.length > 12 ? `${runs.slice(0, 12).join(' ')} and more` : runs.join(' ');
}
