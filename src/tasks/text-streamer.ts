// Text as it is written, by the interface that transformers.js has for it.

import { checkOptions } from '../core/check.js';
import type { Tokenizer } from '../tokenizers/tokenizer.js';

/** What is told of tokens as they come: first those of the prompt, then each one; then the end. */
export interface Streamer {
  put(tokens: readonly (readonly number[])[]): void;
  end(): void;
}

export interface TextStreamerOptions {
  /** Whether the prompt is left out. Default false. */
  skip_prompt?: boolean | undefined;
  /** Default true. */
  skip_special_tokens?: boolean | undefined;
  /** Gets each piece of text. Default: it goes to stdout, or the console of a page. */
  callback_function?: ((text: string) => void) | undefined;
  /** Gets the tokens of each `put`. */
  token_callback_function?: ((tokens: readonly number[]) => void) | undefined;
}

/**
 * Gives text in pieces, none of which has half a character: `text-generation` with `{ streamer: new
 * TextStreamer(pipe.tokenizer, { skip_prompt: true, callback_function }) }`.
 */
export class TextStreamer implements Streamer {
  #tokens: number[] = [];
  /** Where the text of these tokens was shown up to. */
  #shown = '';
  #isPrompt = true;

  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly options: TextStreamerOptions = {},
  ) {
    checkOptions('TextStreamer', options, {
      skip_prompt: 'boolean',
      skip_special_tokens: 'boolean',
      callback_function: 'any',
      token_callback_function: 'any',
    });
  }

  put(tokens: readonly (readonly number[])[]): void {
    const own = tokens[0] ?? [];
    const isPrompt = this.#isPrompt;
    this.#isPrompt = false;
    if (isPrompt && this.options.skip_prompt) return;
    this.options.token_callback_function?.(own);
    this.#tokens.push(...own);
    const text = this.#decode(this.#tokens);
    if (text.endsWith('\ufffd')) return; // the rest of the character is in the next token
    this.#show(text.slice(this.#shown.length));
    // How the next token is written depends on the one before it, no further: the others need not be decoded again.
    this.#tokens = this.#tokens.slice(-1);
    this.#shown = this.#decode(this.#tokens);
    if (!text.endsWith(this.#shown)) this.#shown = '';
  }

  end(): void {
    this.#show(this.#decode(this.#tokens).slice(this.#shown.length));
    this.#tokens = [];
    this.#shown = '';
    this.#isPrompt = true;
  }

  #decode(tokens: readonly number[]): string {
    return this.tokenizer.decode(tokens, { skipSpecial: this.options.skip_special_tokens ?? true });
  }

  #show(text: string): void {
    if (text === '') return;
    const { callback_function: tell } = this.options;
    if (tell) tell(text);
    else if (typeof process === 'object') process.stdout.write(text);
    else console.log(text);
  }
}
