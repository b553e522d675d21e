// Composes the steps of a tokenizer.json.

import { AddedTokens } from './added-tokens.js';
import type { AlignedText } from './aligned-text.js';
import { BytePairModel } from './byte-pair-model.js';
import { bytePairsOf } from './byte-pairs.js';
import { cleanedUp, decoderOf, type TokenDecoder } from './decoders.js';
import { type TokenizerJson, type TokenizerModel, typeOf } from './json.js';
import type { Model, ModelToken } from './model.js';
import { continuingNormalizerOf, normalizerOf } from './normalizers.js';
import { type Item, type PostProcessor, postProcessorOf } from './post-processor.js';
import { type PreTokenizer, preTokenizerOf } from './pre-tokenizers.js';
import { type Cuts, cutsOf, slicesOf } from './text-slices.js';
import { UnknownTokenError } from './tokenizer.js';
import { UnigramModel } from './unigram-model.js';
import { WordLevelModel, WordPieceModel } from './word-models.js';

/** Converts text to tokens and ids to text, by the steps of a tokenizer.json. */
export class Engine {
  /** One more than the last id. */
  readonly size: number;
  readonly postProcessor: PostProcessor;
  readonly #added: AddedTokens;
  readonly #preTokenize: PreTokenizer;
  readonly #model: Model;
  readonly #decoder: TokenDecoder;
  /** The cuts between slices of long texts. Null until the first long text. */
  #cuts: Cuts | null = null;

  /** Throws FormatError for unknown steps. */
  constructor(private readonly json: TokenizerJson) {
    const { added_tokens, normalizer, pre_tokenizer, post_processor, decoder, model } = json;
    this.#model = modelOf(model);
    this.#added = new AddedTokens(
      added_tokens,
      this.#model,
      normalizerOf(normalizer),
      continuingNormalizerOf(normalizer),
    );
    this.#preTokenize = preTokenizerOf(pre_tokenizer);
    this.postProcessor = postProcessorOf(post_processor);
    this.#decoder = decoderOf(decoder);
    this.size = [...this.#added.ids.values()].reduce((max, id) => Math.max(max, id + 1), this.#model.size);
  }

  /** Returns the tokens of a text with their offsets in code points. Throws UnknownTokenError. */
  items(text: string, type: number): Item[] {
    return this.#itemsOf(wellFormed(text), type, begin());
  }

  /**
   * Like `items`, in consecutive parts. A long text is tokenized in slices, so that callers can pause and little memory
   * is needed. A text that cannot be sliced gives one part.
   */
  *itemsInParts(text: string, type: number, length?: number): Generator<Item[]> {
    const whole = wellFormed(text);
    const slices = slicesOf(whole, length);
    const first = slices.next();
    const cursor = begin();
    if (first.value !== whole) this.#cuts ??= yield* cutsOf(this.json, this.#model);
    if (first.value === whole || this.#cuts === 'none') return void (yield this.#itemsOf(whole, type, cursor));
    for (let slice = first; !slice.done; slice = slices.next()) yield this.#itemsOf(slice.value, type, cursor);
  }

  /** Returns the tokens of a slice. `cursor` is the position of the slice; it is advanced to the end of the slice. */
  #itemsOf(text: string, type: number, cursor: SourceCursor): Item[] {
    const charactersBefore = characterCounter(text);
    const items: Item[] = [];
    let endsInText = false;
    const { characters } = cursor;
    const add = (part: AlignedText, { id, token, start, end }: ModelToken) => {
      const [from, to] = [charactersBefore(part.startOf(start)), charactersBefore(part.endOf(end - 1))];
      const offset = [characters + from, characters + to] as const;
      if (id === null) throw new UnknownTokenError(token, offset[0]);
      items.push({ id, token, type, special: 0, offset, word: cursor.words - 1 });
    };
    for (const { part, id } of this.#added.sections(text, characters > 0)) {
      const { text: token } = part;
      for (const piece of id === null ? this.#preTokenize(part) : [part]) {
        if (!(cursor.isWithin && id === null)) cursor.words++;
        cursor.isWithin = false;
        if (id !== null) add(part, { id, token, start: 0, end: token.length });
        else for (const modelToken of this.#model.tokensOf(piece.text)) add(piece, modelToken);
      }
      endsInText = id === null;
    }
    cursor.isWithin = endsInText && this.#cuts === 'within words';
    cursor.characters += charactersBefore(text.length);
    return items;
  }

  decode(ids: readonly number[], skipsSpecial: boolean, cleansUp: boolean): string {
    // Tokens whose text is changed by normalization are skipped, too, as in transformers but not in Rust's library.
    const tokens = ids
      .filter((id) => !(skipsSpecial && this.#added.special.has(id)))
      .map((id) => this.#added.texts.get(id) ?? (this.#model.tokenOf(id) as string));
    const text = tokens.length === 0 ? '' : this.#decoder(tokens);
    return cleansUp ? cleanedUp(text) : text;
  }

  tokenToId(token: string): number | undefined {
    return this.#added.ids.get(token) ?? this.#model.ids.get(token);
  }

  idToToken(id: number): string | undefined {
    return this.#added.contents.get(id) ?? this.#model.tokenOf(id);
  }
}

/** The end of the last slice of a text. */
interface SourceCursor {
  characters: number;
  /** The number of words so far. */
  words: number;
  /** True if the next slice continues the last word. */
  isWithin: boolean;
}

const begin = (): SourceCursor => ({ characters: 0, words: 0, isWithin: false });

/** Replaces unpaired surrogates by U+FFFD, because UTF-8 cannot represent them. */
const wellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, '\ufffd');

function modelOf(model: TokenizerModel): Model {
  switch (typeOf(model)) {
    case 'BPE':
      return new BytePairModel(model, bytePairsOf(model));
    case 'Unigram':
      return new UnigramModel(model);
    case 'WordPiece':
      return new WordPieceModel(model);
    default:
      return new WordLevelModel(model);
  }
}

/** Returns a function that counts the characters before a position in UTF-16 units. */
function characterCounter(text: string): (unit: number) => number {
  if (!/[\u{10000}-\u{10ffff}]/u.test(text)) return (unit) => unit;
  const before = new Int32Array(text.length + 1);
  let count = 0;
  for (let unit = 0; unit <= text.length; unit++) {
    before[unit] = count;
    const code = text.charCodeAt(unit);
    if (!(code >= 0xd800 && code < 0xdc00)) count++;
  }
  return (unit) => before[unit] as number;
}
