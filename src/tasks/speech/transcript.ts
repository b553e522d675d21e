// Joins the tokens of windows to text with times, with the results of transformers.

import { hasSpaces, languageNames } from './languages.js';
import { merged, type TimedToken } from './overlap.js';
import type { SpeechQuality } from './quality.js';
import type { WhisperContext } from './whisper-context.js';
import type { TranscribedWindow, WindowedTranscript } from './whisper-track.js';
import { wordsOf } from './words.js';

/** A part of a recording: some sentences, or a word. */
export interface TranscriptChunk {
  readonly text: string;
  /** Start and end in seconds. Null if the model did not predict it. */
  readonly timestamp: readonly [start: number | null, end: number | null];
  /** Language, such as `german`, if it was requested. */
  readonly language?: string | null;
  /** Quality of the window in which the chunk ends, if it was requested. */
  readonly quality?: SpeechQuality;
  /** With `quality`: its tokens, and the hundredth of a second at which that window begins. */
  readonly tokens?: readonly number[];
  readonly seek?: number;
}

/** Transcript of a window that overlaps with others. */
export interface StridedTranscript extends WindowedTranscript {
  /** Length of the window, and its overlaps with both neighbours, in seconds. Null if windows do not overlap. */
  readonly stride: { readonly length: number; readonly left: number; readonly right: number } | null;
}

/** Options for making chunks. */
export interface TranscriptOptions {
  /** True: segments with times. 'word': words with times. False: one chunk for each language. */
  readonly timestamps: boolean | 'word';
  readonly language: boolean;
  /** True adds the quality to segments. */
  readonly quality: boolean;
}

/** Collects the transcript of one recording. */
export class Transcript {
  readonly chunks: TranscriptChunk[] = [];
  #text = '';
  /** Tokens of the current chunk, one list per window. */
  #pending: TimedToken[][] = [];
  #start: number | null = null;
  #language: string | null = null;
  /** Start of the next window in seconds. */
  #offset = 0;
  #skips = false;
  #part: TranscribedWindow | undefined;

  constructor(
    private readonly whisper: WhisperContext,
    private readonly options: TranscriptOptions,
  ) {}

  get text(): string {
    return this.#text;
  }

  /** Adds the next window. */
  add(transcribed: StridedTranscript): void {
    const { tokens: ids, precision, frameTime } = this.whisper;
    const { tokens, stride, windows } = transcribed;
    this.#speak(transcribed.language);
    if (stride) this.#offset -= stride.left;
    const borders = this.#borders(transcribed);
    let current: TimedToken[] = [];
    for (const [i, token] of tokens.entries()) {
      this.#part = windows.findLast(({ first }) => first <= i);
      if (token < ids.first) {
        if (token < ids.end) current.push(this.#timed(transcribed, i));
        continue;
      }
      const inWindow = (token - ids.first) * precision;
      const time = rounded((this.#part?.seek ?? 0) * frameTime + inWindow + this.#offset);
      if (token >= borders.last) this.#skips = true;
      else if (this.#skips || (this.#pending.length > 0 && token < borders.first)) this.#skips = false;
      else if (this.#start === null) this.#start = time;
      else if (time !== this.#start) {
        this.#pending.push(current);
        this.#close(time);
        current = [];
      }
    }
    if (stride) this.#offset += stride.length - stride.right;
    if (current.length > 0) this.#pending.push(current);
    else if (this.#pending.every(({ length }) => length === 0)) {
      this.#pending = [];
      this.#start = null;
    }
  }

  /** Makes the remaining tokens the last chunk, whose end is unknown. */
  finish(): this {
    if (this.#pending.length > 0) this.#close(null);
    return this;
  }

  /** Begins a new chunk for another language, unless times separate the chunks. */
  #speak(language: string | null): void {
    const changes = this.#language !== null && language !== null && language !== this.#language;
    if (changes && !this.options.timestamps && this.#pending.length > 0) this.#close(null);
    this.#language = language ?? this.#language;
  }

  /**
   * Returns the range of time tokens that belong to this window. Times from `last` on are in the overlap that the next
   * window knows better; times before `first` are in the previous window's part.
   */
  #borders({ tokens, stride }: StridedTranscript): { first: number; last: number } {
    const { tokens: ids, precision } = this.whisper;
    const first = ids.first + (stride?.left ? stride.left / precision : 0);
    let last = Number.POSITIVE_INFINITY;
    if (!stride?.right) return { first, last };
    for (const token of tokens.toReversed()) {
      if (token < ids.first) continue;
      const isBefore = (token - ids.first) * precision < stride.length - stride.right;
      if (last < Number.POSITIVE_INFINITY && isBefore) break; // the last time token always belongs to the overlap
      last = token;
    }
    return { first, last };
  }

  #timed({ tokens, times }: StridedTranscript, i: number): TimedToken {
    const timeAt = (index: number) => rounded((times?.[index] ?? 0) + this.#offset);
    return { token: tokens[i] as number, start: i === 0 ? rounded(this.#offset) : timeAt(i - 1), end: timeAt(i) };
  }

  #close(end: number | null): void {
    const { tokenizer } = this.whisper;
    const isTimed = this.options.timestamps === 'word';
    const all = merged(this.#pending, isTimed);
    const tokens = all.map(({ token }) => token);
    const language = this.options.language ? { language: this.#languageName() } : {};
    const text = tokenizer.decode(tokens);
    if (isTimed) {
      for (const word of wordsOf(tokenizer, tokens, hasSpaces(this.#language))) {
        const [first, last] = [all[word.first], all[word.end - 1]] as [TimedToken, TimedToken];
        this.chunks.push({ text: word.text, timestamp: [first.start, last.end], ...language });
      }
    } else this.chunks.push({ text, timestamp: [this.#start, end], ...language, ...this.#quality(tokens) });
    this.#text += text;
    this.#pending = [];
    this.#start = null;
  }

  #quality(tokens: readonly number[]): Partial<TranscriptChunk> {
    const { quality, seek = 0 } = this.#part ?? {};
    return quality && this.options.quality ? { quality, tokens, seek } : {};
  }

  #languageName(): string | null {
    return this.#language === null ? null : (languageNames.get(this.#language) ?? this.#language);
  }
}

/** Rounds to hundredths of a second. */
function rounded(seconds: number): number {
  return Number(seconds.toFixed(2));
}
