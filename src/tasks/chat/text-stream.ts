import { checkOptions } from '../../core/check.js';
import type { Tokenizer } from '../../tokenizers/tokenizer.js';

/** Maximum number of tokens whose text is held back. No character consists of more tokens. */
const MAX_HELD = 8;

/**
 * Turns a stream of tokens into text. `push` returns the text that a token adds, in whole characters. `end` returns the
 * text that was held back, without an incomplete character. All pieces together are the text of all tokens.
 *
 * ```ts
 * const text = new TextStream(tokenizer);
 * for await (const { token } of model.stream([prompt])) process.stdout.write(text.push(token));
 * process.stdout.write(text.end());
 * ```
 */
export class TextStream {
  readonly #ids: number[] = [];
  /** Tokens before this index do not affect later text. */
  #start = 0;
  /** The text of tokens before this index was returned. */
  #shown = 0;
  #before = '';

  constructor(
    private readonly tokenizer: Pick<Tokenizer, 'decode'>,
    private readonly options: { skipSpecial?: boolean | undefined } = {},
  ) {
    checkOptions('TextStream', options, { skipSpecial: 'boolean' });
  }

  push(token: number): string {
    this.#ids.push(token);
    const text = this.tokenizer.decode(this.#ids.slice(this.#start), this.options);
    const isHeld = text.endsWith('\ufffd') && this.#ids.length - this.#shown < MAX_HELD;
    return isHeld ? '' : this.#show(text);
  }

  /** Returns the remaining text, without an incomplete character. */
  end(): string {
    const text = this.tokenizer.decode(this.#ids.slice(this.#start), this.options);
    return this.#show(text.replace(/\ufffd+$/u, ''));
  }

  #show(text: string): string {
    const piece = text.slice(this.#before.length);
    // Later tokens are decoded together with these, because the last of these may decide if a space follows.
    this.#start = this.#shown;
    this.#shown = this.#ids.length;
    this.#before = this.tokenizer.decode(this.#ids.slice(this.#start), this.options);
    return piece;
  }
}
