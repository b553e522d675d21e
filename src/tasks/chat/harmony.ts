// Translates OpenAI's harmony format, in which gpt-oss writes messages in channels, to the format of other models.

const MARK = /<\|(start|channel|message|end|return|call|constrain)\|>/;
/** Matches the possible beginning of a recipient at the start of an answer, whose header began in the prompt. */
const RECIPIENT = /^\s*(t|to|to=[\w.-]*)?\s*$/;
/** Maximum number of characters of a mark. */
const MAX_MARK_LENGTH = '<|constrain|>'.length;

/**
 * Translates an answer that arrives in pieces, with its special tokens. The channel `analysis` becomes reasoning
 * between `<think>` and `</think>`. A message to a function becomes a call between `<tool_call>` and `</tool_call>`.
 * The rest is text. Text without channels passes unchanged.
 */
export class HarmonyFilter {
  #held = '';
  #isFirst = true;
  #header: string | null = null;
  #kind: 'analysis' | 'call' | 'text' = 'text';
  #isThinking = false;
  #hasText = false;
  #hasArguments = false;

  push(piece: string): string {
    this.#held += piece;
    let shown = '';
    for (let mark = MARK.exec(this.#held); mark !== null; mark = MARK.exec(this.#held)) {
      const before = this.#held.slice(0, mark.index);
      if (this.#isFirst && mark[1] === 'channel' && RECIPIENT.test(before)) this.#header = '';
      this.#isFirst = false;
      shown += this.#content(before) + this.#mark(mark[1] as string);
      this.#held = this.#held.slice(mark.index + mark[0].length);
    }
    const begun = this.#held.lastIndexOf('<');
    const isMark =
      begun >= 0 && this.#held.length - begun < MAX_MARK_LENGTH && /^<(\||$)/.test(this.#held.slice(begun));
    const safe = isMark ? begun : this.#held.length;
    if (this.#isFirst && RECIPIENT.test(this.#held.slice(0, safe))) return shown;
    this.#isFirst = false;
    shown += this.#content(this.#held.slice(0, safe));
    this.#held = this.#held.slice(safe);
    return shown;
  }

  /** Returns the remaining text, and closes an open call. */
  end(): string {
    const rest = this.#content(this.#held);
    this.#held = '';
    return rest + this.#close();
  }

  #content(text: string): string {
    if (this.#header !== null) {
      this.#header += text;
      return '';
    }
    if (this.#kind === 'text') this.#hasText ||= text !== '';
    if (this.#kind === 'call') this.#hasArguments ||= text.trim() !== '';
    return text;
  }

  #mark(name: string): string {
    if (name === 'message') return this.#open();
    if (name === 'constrain') return '';
    // These marks begin a header.
    const closed = this.#close();
    if (name === 'start') this.#header = '';
    if (name === 'channel') this.#header = `${this.#header ?? ''} `; // a recipient may come before the channel
    return closed;
  }

  /** Begins the content of a message whose header is complete. Returns the opening tag. */
  #open(): string {
    const header = this.#header ?? '';
    this.#header = null;
    const recipient = /\bto=(?:functions\.)?([\w.-]+)/.exec(header)?.[1];
    if (recipient !== undefined) {
      this.#kind = 'call';
      this.#hasArguments = false;
      return `${this.#endThinking()}<tool_call>\n{"name": ${JSON.stringify(recipient)}, "arguments": `;
    }
    this.#kind = /\banalysis\b/.test(header) ? 'analysis' : 'text';
    if (this.#kind === 'text') return this.#isThinking ? this.#endThinking() : this.#hasText ? '\n\n' : '';
    const begun = this.#isThinking ? '\n\n' : '<think>\n';
    this.#isThinking = true;
    return begun;
  }

  /** Ends the content of a message. Returns the closing tag. Reasoning stays open, because more of it may follow. */
  #close(): string {
    const isCall = this.#kind === 'call';
    this.#kind = 'text';
    return isCall ? `${this.#hasArguments ? '' : '{}'}}\n</tool_call>` : '';
  }

  #endThinking(): string {
    if (!this.#isThinking) return '';
    this.#isThinking = false;
    return '\n</think>\n\n';
  }
}
