// Translates the format of Gemma 4's answers to that of other models. Gemma 4 reasons in a channel, and writes calls in
// a notation of its own.

/** Special tokens that can be part of an answer. */
const MARK =
  /<\|(?:channel|tool_call|turn|tool_response|think)>|<(?:channel|tool_call|turn|tool_response)\|>|<(?:eos|bos|pad)>/;
/** Maximum number of characters of a mark. */
const MAX_MARK_LENGTH = '<|tool_response>'.length;
const QUOTE = '<|"|>';
/** Name of the channel for reasoning. */
const THOUGHT = 'thought';

/**
 * Translates an answer that arrives in pieces, with its special tokens. The channel `thought` becomes reasoning between
 * `<think>` and `</think>`. A call becomes JSON between `<tool_call>` and `</tool_call>`. The rest is text.
 */
export class GemmaFilter {
  #held = '';
  #state: 'text' | 'header' | 'thought' | 'call' = 'text';
  /** The received beginning of a channel's header or of a call. */
  #begun = '';

  push(piece: string): string {
    this.#held += piece;
    let shown = '';
    for (let mark = MARK.exec(this.#held); mark !== null; mark = MARK.exec(this.#held)) {
      shown += this.#content(this.#held.slice(0, mark.index)) + this.#mark(mark[0]);
      this.#held = this.#held.slice(mark.index + mark[0].length);
    }
    const begun = this.#held.lastIndexOf('<');
    const mayBegin =
      begun >= 0 && this.#held.length - begun < MAX_MARK_LENGTH && !this.#held.slice(begun).includes('>');
    const safe = mayBegin ? begun : this.#held.length;
    shown += this.#content(this.#held.slice(0, safe));
    this.#held = this.#held.slice(safe);
    return shown;
  }

  /** Returns the remaining text. A call that was cut off is text. */
  end(): string {
    const rest = this.#content(this.#held);
    this.#held = '';
    return rest + (this.#state === 'call' || this.#state === 'header' ? this.#begun : '');
  }

  #content(text: string): string {
    if (this.#state === 'text' || this.#state === 'thought') return text;
    this.#begun += text;
    const end = this.#begun.indexOf('\n');
    if (this.#state === 'call' || end < 0) return '';
    const [header, rest] = [this.#begun.slice(0, end), this.#begun.slice(end + 1)];
    this.#state = header.trim() === THOUGHT ? 'thought' : 'text';
    return this.#state === 'thought' ? `<think>\n${rest}` : rest;
  }

  #mark(mark: string): string {
    const state = this.#state;
    switch (mark) {
      case '<|channel>':
      case '<|tool_call>':
        this.#state = mark === '<|channel>' ? 'header' : 'call';
        this.#begun = '';
        return state === 'thought' ? CLOSED : '';
      case '<channel|>':
        this.#state = 'text';
        return state === 'thought' ? CLOSED : '';
      case '<tool_call|>':
        this.#state = 'text';
        return state === 'call' ? callOf(this.#begun) : '';
      default:
        return '';
    }
  }
}

const CLOSED = '\n</think>\n\n';

/** Translates a call to the tags of other models. A call that does not parse stays unchanged. */
function callOf(written: string): string {
  const [, name, fields] = /^\s*call:([\w.-]+)(\{.*\})\s*$/s.exec(written) ?? [];
  const value = fields === undefined ? undefined : new Notation(fields).whole();
  if (value === undefined) return written;
  return `<tool_call>\n{"name": ${JSON.stringify(name)}, "arguments": ${JSON.stringify(value)}}\n</tool_call>`;
}

/** Maximum nesting of values. */
const MAX_DEPTH = 64;

/** Gemma 4's notation of values: JSON without quotes around keys, and with texts between marks. */
class Notation {
  #position = 0;

  constructor(private readonly text: string) {}

  /** Returns the value of the whole text. Undefined if it does not parse. */
  whole(): unknown {
    try {
      const value = this.#value(0);
      return this.#position === this.text.length ? value : undefined;
    } catch {
      return undefined;
    }
  }

  #value(depth: number): unknown {
    if (depth > MAX_DEPTH) throw new SyntaxError('nested too deep');
    if (this.#takes(QUOTE)) return this.#until(QUOTE);
    if (this.#takes('{')) return Object.fromEntries(this.#list('}', () => this.#field(depth)));
    if (this.#takes('[')) return this.#list(']', () => this.#value(depth + 1));
    const [word] = /^[^,\]}]*/.exec(this.text.slice(this.#position)) as RegExpExecArray;
    this.#position += word.length;
    const plain = word.trim();
    return plain === 'None' ? null : JSON.parse(plain);
  }

  #field(depth: number): [string, unknown] {
    const key = this.#takes(QUOTE) ? this.#until(QUOTE) + this.#until(':') : this.#until(':').trim();
    return [key, this.#value(depth + 1)];
  }

  #list<Item>(end: string, read: () => Item): Item[] {
    const items: Item[] = [];
    if (this.#takes(end)) return items;
    do items.push(read());
    while (this.#takes(','));
    if (!this.#takes(end)) throw new SyntaxError(`${end} is missing`);
    return items;
  }

  /** Skips a mark. Returns false if other text follows. */
  #takes(mark: string): boolean {
    if (!this.text.startsWith(mark, this.#position)) return false;
    this.#position += mark.length;
    return true;
  }

  /** Returns the text before a mark, and skips both. */
  #until(mark: string): string {
    const end = this.text.indexOf(mark, this.#position);
    if (end < 0) throw new SyntaxError(`${mark} is missing`);
    const text = this.text.slice(this.#position, end);
    this.#position = end + mark.length;
    return text;
  }
}
