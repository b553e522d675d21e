// Streams of text during generation, with the interface of transformers.js.

import { checkOptions, type OptionRule } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { Tokenizer } from '../tokenizers/tokenizer.js';
import { TextStream } from './chat/text-stream.js';

/** Receiver of tokens: first those of the prompt, then each new one, then the end. */
export interface Streamer {
  put(tokens: readonly (readonly number[])[]): void;
  end(): void;
}

/** A receiver of tokens to be extended. */
export abstract class BaseStreamer implements Streamer {
  abstract put(tokens: readonly (readonly number[])[]): void;
  abstract end(): void;
}

/** A tokenizer, or one with the interface of transformers.js. */
export type StreamerTokenizer = Tokenizer | { readonly tokenizer: Tokenizer };

const tokenizerOf = (given: StreamerTokenizer) => ('tokenizer' in given ? given.tokenizer : given);

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

const TEXT_OPTIONS = {
  skip_prompt: 'boolean',
  skip_special_tokens: 'boolean',
  callback_function: 'function',
  token_callback_function: 'function',
} as const;

/**
 * Passes on text in pieces of whole characters. Usage: `text-generation` with `{ streamer: new
 * TextStreamer(pipe.tokenizer, { skip_prompt: true, callback_function }) }`.
 */
export class TextStreamer extends BaseStreamer {
  readonly #tokenizer: Tokenizer;
  #stream: TextStream | null = null;

  constructor(
    tokenizer: StreamerTokenizer,
    private readonly options: TextStreamerOptions = {},
  ) {
    super();
    this.#tokenizer = tokenizerOf(tokenizer);
    checkOptions('TextStreamer', options, TEXT_OPTIONS);
  }

  put(tokens: readonly (readonly number[])[]): void {
    const newTokens = tokens[0] ?? [];
    const isPrompt = this.#stream === null;
    this.#stream ??= new TextStream(this.#tokenizer, { skipSpecial: this.options.skip_special_tokens ?? true });
    if (isPrompt && this.options.skip_prompt) return;
    this.tellTokens(newTokens);
    for (const token of newTokens) this.#show(this.#stream.push(token));
  }

  end(): void {
    this.#show(this.#stream?.end() ?? '');
    this.#stream = null;
  }

  protected tellTokens(tokens: readonly number[]): void {
    this.options.token_callback_function?.(tokens);
  }

  #show(text: string): void {
    if (text === '') return;
    const { callback_function: tell } = this.options;
    if (tell) tell(text);
    else if (typeof process === 'object') process.stdout.write(text);
    else console.log(text);
  }
}

export interface WhisperTextStreamerOptions extends TextStreamerOptions {
  /** Receives the seconds at which a segment starts. Default: none. */
  on_chunk_start?: ((seconds: number) => void) | undefined;
  /** Receives the seconds at which a segment ends. Default: none. */
  on_chunk_end?: ((seconds: number) => void) | undefined;
  /** Called at the end. Default: none. */
  on_finalize?: (() => void) | undefined;
  /** Seconds between two tokens of times. Default: 0.02. */
  time_precision?: number | undefined;
}

const WHISPER_OPTIONS = {
  ...TEXT_OPTIONS,
  on_chunk_start: 'function',
  on_chunk_end: 'function',
  on_finalize: 'function',
  time_precision: 'positive',
} as const;

/**
 * Passes on the text of Whisper and the times of its segments. Usage: `model.generate` with `{ return_timestamps: true,
 * streamer: new WhisperTextStreamer(tokenizer, { on_chunk_start, callback_function }) }`.
 */
export class WhisperTextStreamer extends TextStreamer {
  readonly #firstTime: number;
  readonly #timed: Omit<WhisperTextStreamerOptions, keyof TextStreamerOptions>;
  #isInside = false;

  /** Throws FormatError for a tokenizer of another model. */
  constructor(tokenizer: StreamerTokenizer, options: WhisperTextStreamerOptions = {}) {
    const { on_chunk_start, on_chunk_end, on_finalize, time_precision, ...others } = checkOptions(
      'WhisperTextStreamer',
      options,
      WHISPER_OPTIONS,
    );
    super(tokenizer, others);
    this.#timed = { on_chunk_start, on_chunk_end, on_finalize, time_precision };
    const last = tokenizerOf(tokenizer).tokenToId('<|notimestamps|>');
    if (last === undefined)
      throw new FormatError("WhisperTextStreamer: the tokenizer has no <|notimestamps|>, expected Whisper's");
    this.#firstTime = last + 1;
  }

  override put(tokens: readonly (readonly number[])[]): void {
    const [token = -1, ...otherTokens] = tokens[0] ?? [];
    if (token < this.#firstTime || otherTokens.length > 0) {
      super.put(tokens);
      return;
    }
    const { on_chunk_start, on_chunk_end, time_precision = 0.02 } = this.#timed;
    const tell = this.#isInside ? on_chunk_end : on_chunk_start;
    tell?.((token - this.#firstTime) * time_precision);
    this.#isInside = !this.#isInside;
    this.tellTokens([token]);
  }

  override end(): void {
    super.end();
    this.#timed.on_finalize?.();
  }
}
