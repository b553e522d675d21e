// Finds added tokens in a text. The model tokenizes only the text between them.

import { AlignedText } from './aligned-text.js';
import type { TokenizerJson } from './json.js';
import type { Normalizer } from './normalizers.js';
import type { TokenIds } from './token-table.js';
import { WORD_IN_RUST } from './unicode-tables.js';

export type AddedToken = TokenizerJson['added_tokens'][number];

/** A section of a normalized text: an added token, or the text between two of them. */
export interface Section {
  readonly part: AlignedText;
  /** The id of the added token, or null for other text. */
  readonly id: number | null;
}

const SPACE = /\p{White_Space}/u;
const BEFORE_WORD = new RegExp(`(?=[${WORD_IN_RUST}])`, 'vy');
const AFTER_WORD = new RegExp(`(?<=[${WORD_IN_RUST}])`, 'vy');

/**
 * The added tokens of a tokenizer.json. Some are searched in the raw text, the others in the normalized text between
 * them.
 */
export class AddedTokens {
  readonly ids = new Map<string, number>();
  readonly contents = new Map<number, string>();
  /** Decoded text by id. */
  readonly texts = new Map<number, string>();
  readonly special = new Set<number>();
  readonly #raw = new Trie();
  readonly #normalized = new Trie();

  /**
   * A token that the model does not have gets the next free id. Like Rust's `tokenizers`, this ignores the id in the
   * file.
   */
  constructor(
    added: readonly AddedToken[],
    model: { readonly ids: TokenIds; readonly count: number },
    private readonly normalize: Normalizer,
    private readonly normalizeContinued: Normalizer,
  ) {
    let next = model.count;
    const tokens = new Map<number, AddedToken>();
    for (const token of added) {
      const { content } = token;
      if (content === '') continue;
      const id = this.ids.get(content) ?? model.ids.get(content) ?? next++;
      this.ids.set(content, id);
      tokens.set(id, token);
      if (token.special) this.special.add(id);
    }
    for (const [id, token] of tokens) {
      this.contents.set(id, token.content);
      const isNormalized = token.normalized ?? !token.special;
      const content = isNormalized ? this.#normal(token.content) : token.content;
      this.texts.set(id, content);
      (isNormalized ? this.#normalized : this.#raw).add(content, { id, token });
    }
  }

  /** Splits a text into sections. `isContinued` is true for a slice that does not begin its text. */
  sections(text: string, isContinued = false): Section[] {
    return this.#raw.split(AlignedText.of(text)).flatMap((section, i) => {
      if (section.id !== null) return [section];
      if (isContinued && i === 0) this.normalizeContinued(section.part);
      else this.normalize(section.part);
      return this.#normalized.split(section.part);
    });
  }

  #normal(content: string): string {
    const text = AlignedText.of(content);
    this.normalize(text);
    return text.text;
  }
}

interface Found {
  readonly id: number;
  readonly token: AddedToken;
}

interface Node {
  readonly next: Map<number, Node>;
  found?: Found;
}

/** Finds texts inside another text. If several begin at the same position, the longest wins. */
class Trie {
  readonly #root: Node = { next: new Map() };

  add(text: string, found: Found): void {
    if (text === '') return;
    let node = this.#root;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      let next = node.next.get(unit);
      if (next === undefined) {
        next = { next: new Map() };
        node.next.set(unit, next);
      }
      node = next;
    }
    node.found = found;
  }

  /** Splits a part into added tokens, including the white space that they absorb, and the text between them. */
  split(part: AlignedText): Section[] {
    const { text } = part;
    const sections: Section[] = [];
    const push = (start: number, end: number, id: number | null) => {
      if (start < end) sections.push({ part: part.slice(start, end), id });
    };
    let done = 0;
    for (const { from, to, found } of this.#all(text)) {
      const { token, id } = found;
      let [start, end] = [from, to];
      if (token.single_word && (isAt(AFTER_WORD, text, start) || isAt(BEFORE_WORD, text, end))) continue;
      if (token.lstrip) {
        while (start > 0 && SPACE.test(text[start - 1] as string)) start--;
        start = Math.max(start, done);
      }
      if (token.rstrip) while (end < text.length && SPACE.test(text[end] as string)) end++;
      push(done, start, null);
      push(start, end, id);
      done = end;
    }
    push(done, text.length, null);
    return sections;
  }

  *#all(text: string): Generator<{ from: number; to: number; found: Found }> {
    if (this.#root.next.size === 0) return;
    for (let from = 0; from < text.length; from++) {
      let node: Node | undefined = this.#root;
      let longest: { from: number; to: number; found: Found } | undefined;
      for (let index = from; index < text.length; index++) {
        node = node.next.get(text.charCodeAt(index));
        if (node === undefined) break;
        if (node.found !== undefined) longest = { from, to: index + 1, found: node.found };
      }
      if (longest === undefined) continue;
      yield longest;
      from = longest.to - 1;
    }
  }
}

function isAt(pattern: RegExp, text: string, position: number): boolean {
  pattern.lastIndex = position;
  return pattern.test(text);
}
