// Streams of text during generation, with the interface of transformers.js.

import { checkOptions, type OptionRule } from '../core/check.js';
import type { Tokenizer } from '../tokenizers/tokenizer.js';
import { TextStream } from './chat/text-stream.js';

/** Receiver of tokens: first those of the prompt, then each new one, then the end. */
export interface Streamer {
  put(tokens: readonly (readonly number[])[]): void;
  end(): void;
}

/** Any object with the two functions of `Streamer`. */
export const STREAMER: OptionRule = {
  accepts: (value) =>
    typeof (value as Streamer | null)?.put === 'function' && typeof (value as Streamer).end === 'function',
  expected: 'a streamer, { put(tokens), end() }',
};

export interface TextStreamerOptions {
  /** True leaves out the prompt. Default: false. */
  skip_prompt?: boolean | undefined;
  /** True leaves out special tokens. Default: true. */
  skip_special_tokens?: boolean | undefined;
  /** Receives each piece of text. Default: text is written to stdout, or to the console of a page. */
  callback_function?: ((text: string) => void) | undefined;
  /** Receives the tokens of each `put`. Default: none. */
  token_callback_function?: ((tokens: readonly number[]) => void) | undefined;
}

/**
 * Passes on text in pieces of whole characters. Usage: `text-generation` with `{ streamer: new
 * TextStreamer(pipe.tokenizer, { skip_prompt: true, callback_function }) }`.
 */
export class TextStreamer implements Streamer {
  #stream: TextStream | null = null;

  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly options: TextStreamerOptions = {},
  ) {
    checkOptions('TextStreamer', options, {
      skip_prompt: 'boolean',
      skip_special_tokens: 'boolean',
      callback_function: 'function',
      token_callback_function: 'function',
    });
  }

  put(tokens: readonly (readonly number[])[]): void {
    const newTokens = tokens[0] ?? [];
    const isPrompt = this.#stream === null;
    this.#stream ??= new TextStream(this.tokenizer, { skipSpecial: this.options.skip_special_tokens ?? true });
    if (isPrompt && this.options.skip_prompt) return;
    this.options.token_callback_function?.(newTokens);
    for (const token of newTokens) this.#show(this.#stream.push(token));
  }

  end(): void {
    this.#show(this.#stream?.end() ?? '');
    this.#stream = null;
  }

  #show(text: string): void {
    if (text === '') return;
    const { callback_function: tell } = this.options;
    if (tell) tell(text);
    else if (typeof process === 'object') process.stdout.write(text);
    else console.log(text);
  }
}
