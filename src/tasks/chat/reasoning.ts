// The reasoning that models write before an answer, between `<think>` and `</think>` (Qwen 3, DeepSeek R1 and others).

const OPEN = '<think>';
const CLOSE = '</think>';

/** A piece of an answer, split into reasoning and text. */
export interface ReasonedPiece {
  readonly reasoning: string;
  readonly text: string;
}

/**
 * Splits an answer that arrives in pieces into reasoning and text. Reasoning can only come first. The marks belong to
 * neither part, and white space around them is removed.
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

  /** The rest, which was held back because it could have begun a mark. */
  end(): ReasonedPiece {
    const held = this.#held;
    this.#held = '';
    return this.#state === 'reasoning' ? { reasoning: held.trimEnd(), text: '' } : { reasoning: '', text: held };
  }

  #begin(): void {
    const begun = this.#held.trimStart();
    if (begun.startsWith(OPEN)) {
      this.#held = begun.slice(OPEN.length);
      this.#state = 'reasoning';
    } else if (!OPEN.startsWith(begun)) this.#state = 'text';
  }

  /** The reasoning up to the last mark, without what could be white space before that mark, or the mark itself. */
  #reasoning(): string {
    if (this.#isFirst) this.#held = this.#held.trimStart();
    const end = this.#held.indexOf(CLOSE);
    const safe = end >= 0 ? this.#held.slice(0, end).trimEnd().length : this.#held.length - heldBack(this.#held);
    const shown = this.#held.slice(0, safe);
    this.#isFirst &&= shown === '';
    this.#held = end >= 0 ? this.#held.slice(end + CLOSE.length) : this.#held.slice(safe);
    if (end >= 0) this.#state = 'trim';
    return shown;
  }

  #text(): string {
    if (this.#state === 'trim') {
      this.#held = this.#held.trimStart();
      if (this.#held !== '') this.#state = 'text';
    }
    if (this.#state !== 'text') return '';
    const text = this.#held;
    this.#held = '';
    return text;
  }
}

/** Length of the end of `text` that is white space, or white space and the beginning of the last mark. */
function heldBack(text: string): number {
  let begun = 0;
  for (let length = Math.min(CLOSE.length - 1, text.length); length > begun; length--)
    if (CLOSE.startsWith(text.slice(-length))) begun = length;
  const before = text.slice(0, text.length - begun);
  return text.length - before.trimEnd().length;
}
