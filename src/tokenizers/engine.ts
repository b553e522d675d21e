// The steps of a tokenizer.json, put together.

import { AddedTokens } from './added-tokens.js';
import type { AlignedText } from './aligned-text.js';
import { BytePairModel } from './byte-pair-model.js';
import { bytePairsOf } from './byte-pairs.js';
import { cleanedUp, type Decoder, decoderOf } from './decoders.js';
import { type TokenizerJson, type TokenizerModel, typeOf } from './json.js';
import type { Model, ModelToken } from './model.js';
import { normalizerOf } from './normalizers.js';
import { type Item, type PostProcessor, postProcessorOf } from './post-processor.js';
import { type PreTokenizer, preTokenizerOf } from './pre-tokenizers.js';
import { UnknownTokenError } from './tokenizer.js';
import { UnigramModel } from './unigram-model.js';
import { WordLevelModel, WordPieceModel } from './word-models.js';

/** The steps of a tokenizer.json: text to tokens, and ids to text. */
export class Engine {
  /** One more than the last id. */
  readonly size: number;
  readonly postProcessor: PostProcessor;
  readonly #added: AddedTokens;
  readonly #preTokenize: PreTokenizer;
  readonly #model: Model;
  readonly #decoder: Decoder;

  /** Throws FormatError for steps that are not known. */
  constructor({ added_tokens, normalizer, pre_tokenizer, post_processor, decoder, model }: TokenizerJson) {
    this.#model = modelOf(model);
    this.#added = new AddedTokens(added_tokens, this.#model, normalizerOf(normalizer));
    this.#preTokenize = preTokenizerOf(pre_tokenizer);
    this.postProcessor = postProcessorOf(post_processor);
    this.#decoder = decoderOf(decoder);
    this.size = [...this.#added.ids.values()].reduce((most, id) => Math.max(most, id + 1), this.#model.size);
  }

  /** The tokens of a text, with their places in code points. Throws UnknownTokenError. */
  items(text: string, type: number): Item[] {
    const wellFormed = text.replace(/\p{Surrogate}/gu, '\ufffd'); // as half a character is in UTF-8
    const charactersBefore = characterCounter(wellFormed);
    const items: Item[] = [];
    let word = 0;
    const add = (part: AlignedText, { id, token, start, end }: ModelToken) => {
      const offset = [charactersBefore(part.startOf(start)), charactersBefore(part.endOf(end - 1))] as const;
      if (id === null) throw new UnknownTokenError(token, offset[0]);
      items.push({ id, token, type, special: 0, offset, word });
    };
    for (const { part, id } of this.#added.sections(wellFormed)) {
      const { text: token } = part;
      for (const piece of id === null ? this.#preTokenize(part) : [part]) {
        if (id !== null) add(part, { id, token, start: 0, end: token.length });
        else for (const each of this.#model.tokensOf(piece.text)) add(piece, each);
        word++;
      }
    }
    return items;
  }

  decode(ids: readonly number[], skipsSpecial: boolean, cleansUp: boolean): string {
    // Those whose text normalizing changes are skipped, too: Rust's library does not, transformers does.
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

/** Counts the characters before places, in UTF-16 units. */
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
