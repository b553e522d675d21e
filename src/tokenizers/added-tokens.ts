import type { Engine } from './engine-parts.js';
import type { TokenizerJson } from './json.js';
import { WORD } from './rewritten-splits.js';
import type { Section } from './sections.js';

type AddedToken = TokenizerJson['added_tokens'][number];

const SPACE = /\p{White_Space}/u;
const BEFORE_WORD = new RegExp(`(?=[${WORD}])`, 'uy');
const AFTER_WORD = new RegExp(`(?<=[${WORD}])`, 'uy');

/**
 * Has the engine find added tokens as Hugging Face's `tokenizers` does: those that are not normalized in the text, then
 * the others in what is left of it, normalized. `isOwn` tells tokens of the model. The engine takes single words anywhere and other characters for white
 * space, and has its model know all of them, which finds them in what is left.
 */
export function findAddedTokens(engine: Engine, added: readonly AddedToken[], isOwn: (token: string) => boolean): void {
  const { normalizer, pre_tokenizer: preTokenize, splitter_unnormalized, splitter_normalized, model } = engine;
  const raw = new Map<string, AddedToken>();
  const normalized = new Map<string, AddedToken>();
  for (const token of added) {
    if (token.normalized ?? !token.special) normalized.set(normalizer(token.content), token);
    else raw.set(token.content, token);
  }
  engine.added_tokens_map.clear(); // by normalized forms, too, which may be tokens of the model
  for (const token of added) {
    engine.added_tokens_map.set(token.content, token);
    if (!isOwn(token.content)) model.tokens_to_ids.delete(token.content);
  }
  engine.token_to_id = (token) => engine.added_tokens_map.get(token)?.id ?? model.tokens_to_ids.get(token);
  engine.sections = (text) => {
    const wellFormed = text.replace(/\p{Surrogate}/gu, '\ufffd'); // as half a character is in UTF-8
    return sectionsOf(wellFormed, splitter_unnormalized, raw).map((section, i) => {
      if (section.content !== null) return { ...section, parts: [] };
      const parts = sectionsOf(normalizer(section.text), splitter_normalized, normalized);
      const piecesOf = ({ text: part, content }: Section, j: number) =>
        content !== null ? [] : preTokenize === null ? [part] : preTokenize(part, { section_index: i + j });
      return { ...section, parts: parts.map((part, j) => ({ ...part, pieces: piecesOf(part, j) })) };
    });
  };
  engine.encode_text = (text) => {
    if (text === null) return null;
    return engine
      .sections(text)
      .flatMap(({ content, parts }) => content ?? parts.flatMap((part) => part.content ?? model([...part.pieces])));
  };
}

/** The added tokens in a text, with the white space that they take, and what is between them. */
function sectionsOf(
  text: string,
  splitter: { split(text: string): string[] },
  tokens: ReadonlyMap<string, AddedToken>,
): Section[] {
  const sections: Section[] = [];
  const push = (start: number, end: number, content: string | null) =>
    sections.push({ start, end, content, text: text.slice(start, end) });
  let done = 0;
  let next = 0;
  for (const piece of splitter.split(text)) {
    let start = next;
    next += piece.length;
    const token = tokens.get(piece);
    if (token === undefined) continue;
    let end = next;
    if (token.single_word && (isAt(AFTER_WORD, text, start) || isAt(BEFORE_WORD, text, end))) continue;
    if (token.lstrip) while (start > done && SPACE.test(text[start - 1] as string)) start--;
    if (token.rstrip) while (end < text.length && SPACE.test(text[end] as string)) end++;
    if (done < start) push(done, start, null);
    if (start < end) push(start, end, token.content); // else the one before took all of it
    done = end;
  }
  if (done < text.length) push(done, text.length, null);
  return sections;
}

function isAt(pattern: RegExp, text: string, place: number): boolean {
  pattern.lastIndex = place;
  return pattern.test(text);
}
