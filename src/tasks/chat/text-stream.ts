import type { Tokenizer } from '../../tokenizers/tokenizer.js';

/** Tokens at most whose text is held back, as a character takes no more: then there is none, whatever they are. */
const MOST_HELD = 8;

/**
 * Text that grows by tokens: `push` gives what each token adds, never half a character, and spaces as they stand between
 * words. All pieces together are the text of all tokens; of the last, `end` gives what was held back, if it is whole.
 *
 * ```ts
 * const text = new TextStream(tokenizer);
 * for await (const { token } of model.stream([prompt])) process.stdout.write(text.push(token));
 * process.stdout.write(text.end());
 * ```
 */
export class TextStream {
  readonly #ids: number[] = [];
  /** Tokens before it decide about nothing that comes. */
  #start = 0;
  /** Those before it have been shown. */
  #shown = 0;
  #before = '';

  constructor(
    private readonly tokenizer: Pick<Tokenizer, 'decode'>,
    private readonly options: { skipSpecial?: boolean | undefined } = {},
  ) {}

  push(token: number): string {
    this.#ids.push(token);
    const text = this.tokenizer.decode(this.#ids.slice(this.#start), this.options);
    const isHeld = text.endsWith('\ufffd') && this.#ids.length - this.#shown < MOST_HELD;
    return isHeld ? '' : this.#show(text);
  }

  /** What is left, without half a character. */
  end(): string {
    const text = this.tokenizer.decode(this.#ids.slice(this.#start), this.options);
    return this.#show(text.replace(/\ufffd+$/u, ''));
  }

  #show(text: string): string {
    const piece = text.slice(this.#before.length);
    // What comes next is decoded behind these tokens, as it may depend on the last one whether a space is before it.
    this.#start = this.#shown;
    this.#shown = this.#ids.length;
    this.#before = this.tokenizer.decode(this.#ids.slice(this.#start), this.options);
    return piece;
  }
}
