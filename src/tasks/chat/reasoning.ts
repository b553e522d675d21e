// The reasoning that models write before an answer, between `<think>` and `</think>` (Qwen 3, DeepSeek R1 and others).

const OPEN = '<think>';
const CLOSE = '</think>';
/** Tags around the text that follows reasoning, in answers of Hunyuan and Granite. */
const WRAPPERS = ['answer', 'response'];

/** A piece of an answer, split into reasoning and text. */
export interface ReasonedPiece {
  readonly reasoning: string;
  readonly text: string;
}

/**
 * Splits an answer that arrives in pieces into reasoning and text. Reasoning can only come first. The marks belong to
 * neither part, and white space around them is removed. So are tags `<answer>` or `<response>` around the text behind
 * it.
 *
 * ```ts
 * const filter = new ReasoningFilter();
 * for await (const piece of chat.send('Why?')) process.stdout.write(filter.push(piece).text);
 * process.stdout.write(filter.end().text);
 * ```
 */
export class ReasoningFilter {
  #held = '';
  /** `begin`: the first mark may follow. `trim`: white space is dropped until there is other text. */
  #state: 'begin' | 'reasoning' | 'trim' | 'text' = 'begin';
  #isFirst = true;
  /** The tag that ends the text; '' if none began it. */
  #last = '';

  /** `isOpen`: true if the prompt ends with the first mark, as some chat templates write it. Default: false. */
  constructor(isOpen = false) {
    if (isOpen) this.#state = 'reasoning';
  }

  /** True while the model reasons. */
  get isReasoning(): boolean {
    return this.#state === 'reasoning';
  }

  push(piece: string): ReasonedPiece {
    this.#held += piece;
    let reasoning = '';
    if (this.#state === 'begin') this.#begin();
    if (this.#state === 'reasoning') reasoning = this.#reasoning();
    return { reasoning, text: this.#text() };
  }

  /** Returns the remaining text, which was held back because it could have begun a mark. */
  end(): ReasonedPiece {
    const held = this.#held;
    this.#held = '';
    if (this.#state === 'reasoning') return { reasoning: held.trimEnd(), text: '' };
    const isWrapped = this.#last !== '' && held.trimEnd().endsWith(this.#last);
    return { reasoning: '', text: isWrapped ? held.trimEnd().slice(0, -this.#last.length).trimEnd() : held };
  }

  #begin(): void {
    const begun = this.#held.trimStart();
    if (begun.startsWith(OPEN)) {
      this.#held = begun.slice(OPEN.length);
      this.#state = 'reasoning';
    } else if (!OPEN.startsWith(begun)) this.#state = 'text';
  }

  /** Returns the reasoning up to the last mark. White space and text that may begin the mark are held back. */
  #reasoning(): string {
    if (this.#isFirst) this.#held = this.#held.trimStart();
    const end = this.#held.indexOf(CLOSE);
    const safe =
      end >= 0 ? this.#held.slice(0, end).trimEnd().length : this.#held.length - partialMarkLength(this.#held, CLOSE);
    const shown = this.#held.slice(0, safe);
    this.#isFirst &&= shown === '';
    this.#held = end >= 0 ? this.#held.slice(end + CLOSE.length) : this.#held.slice(safe);
    if (end >= 0) this.#state = 'trim';
    return shown;
  }

  #text(): string {
    if (this.#state === 'trim') {
      this.#held = this.#held.trimStart();
      const tag = WRAPPERS.find((name) => this.#held.startsWith(`<${name}>`));
      if (tag !== undefined && this.#last === '') {
        this.#held = this.#held.slice(tag.length + 2).trimStart();
        this.#last = `</${tag}>`;
      }
      const mayBegin = this.#last === '' && WRAPPERS.some((name) => `<${name}>`.startsWith(this.#held));
      if (this.#held !== '' && !mayBegin) this.#state = 'text';
    }
    if (this.#state !== 'text') return '';
    const end = this.#last === '' ? -1 : this.#held.indexOf(this.#last);
    // The last tag and all text after it are held back, because only `end` knows if the answer ends there.
    const heldLength =
      this.#last === '' ? 0 : partialMarkLength(end < 0 ? this.#held : this.#held.slice(0, end), this.#last);
    const shown = (end < 0 ? this.#held.length : end) - heldLength;
    const text = this.#held.slice(0, shown);
    this.#held = this.#held.slice(shown);
    return text;
  }
}

/** Splits a whole answer. `isOpen`: true if the prompt ends with the first mark. */
export function withoutReasoning(answer: string, isOpen = false): ReasonedPiece {
  const filter = new ReasoningFilter(isOpen);
  const [first, rest] = [filter.push(answer), filter.end()];
  return { reasoning: first.reasoning + rest.reasoning, text: first.text + rest.text };
}

/**
 * Returns the length of the part at the end of `text` that is white space, or white space and the beginning of `mark`.
 */
function partialMarkLength(text: string, mark: string): number {
  let begun = 0;
  for (let length = Math.min(mark.length - 1, text.length); length > begun; length--)
    if (mark.startsWith(text.slice(-length))) begun = length;
  const before = text.slice(0, text.length - begun);
  return text.length - before.trimEnd().length;
}
