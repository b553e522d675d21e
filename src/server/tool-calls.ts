// Calls of tools in generated text, in OpenAI's form.

import { CallFilter, callHeader, newCallId, parseToolCalls } from '../tasks/chat/tool-calls.js';

export interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: string };
}

/** The start of a call, or a piece of its arguments. */
export interface CallDelta {
  readonly index: number;
  readonly id?: string;
  readonly type?: 'function';
  readonly function: { readonly name?: string; readonly arguments: string };
}

export interface CalledAnswer {
  readonly content: string;
  readonly calls: readonly ToolCall[];
}

interface ReadPiece {
  readonly content: string;
  readonly deltas: readonly CallDelta[];
}

/** Finds calls of a request's tools. */
export class ToolCalls {
  constructor(
    readonly names: readonly string[],
    /** The maximum number of calls of an answer. Further calls are dropped. */
    readonly maxCalls = Number.POSITIVE_INFINITY,
  ) {}

  /** Splits an answer into text and calls. */
  split(answer: string): CalledAnswer {
    const reader = this.reader();
    const { content, calls } = joined([reader.push(answer), reader.end()]);
    return { content: calls.length > 0 ? content.trim() : content, calls };
  }

  reader(): ToolCallReader {
    return new ToolCallReader(this);
  }
}

/** Joins pieces. */
export function joined(pieces: readonly ReadPiece[]): CalledAnswer {
  const calls: ToolCall[] = [];
  for (const { index, id, function: called } of pieces.flatMap(({ deltas }) => deltas)) {
    const { name, arguments: before } = calls[index]?.function ?? { name: '', arguments: '' };
    calls[index] = {
      id: id ?? (calls[index] as ToolCall).id,
      type: 'function',
      function: { name: called.name ?? name, arguments: before + called.arguments },
    };
  }
  return { content: pieces.map(({ content }) => content).join(''), calls };
}

/** Splits a stream into text and calls: first the name of a call, then pieces of its arguments. */
export class ToolCallReader {
  readonly #filter = new CallFilter();
  #answer = '';
  #count = 0;
  /** Number of held-back characters that were already processed. */
  #position = 0;
  #arguments: ObjectEnd | null = null;

  constructor(private readonly tools: ToolCalls) {}

  push(piece: string): ReadPiece {
    this.#answer += piece;
    const content = this.#filter.push(piece);
    return { content, deltas: this.#filter.isCall ? this.#read(this.#filter.end()) : [] };
  }

  /** Text that resembles a tool call but does not parse is returned as plain text. */
  end(): ReadPiece {
    if (this.#count > 0) return { content: '', deltas: [] };
    // Calls with another order of members are only found in the whole answer.
    const { calls } = parseToolCalls(this.#answer, this.tools.names);
    if (calls.length === 0) return { content: this.#filter.end(), deltas: [] };
    const deltas = calls
      .slice(0, this.tools.maxCalls)
      .map(({ id, name, arguments: args }, index) => deltaOf(index, id, name, JSON.stringify(args)));
    return { content: '', deltas };
  }

  #read(held: string): CallDelta[] {
    const deltas: CallDelta[] = [];
    for (;;) {
      if (this.#arguments === null) {
        const begun = this.#header(held);
        if (begun === null) return deltas;
        deltas.push(begun);
      }
      const open = this.#arguments as ObjectEnd | null;
      const end = open?.find(held, this.#position) ?? held.length;
      const written = held.slice(this.#position, end);
      if (written !== '') deltas.push({ index: this.#count - 1, function: { arguments: written } });
      this.#position = end;
      if (!open?.isFound) return deltas;
      this.#arguments = null;
    }
  }

  /** Returns the start of the next call, or null. */
  #header(held: string): CallDelta | null {
    const { names, maxCalls } = this.tools;
    const header = this.#count < maxCalls ? callHeader(held, this.#position) : null;
    if (header === null) return null;
    const { name, id = newCallId(), end } = header;
    // JSON without a mark is plain text, unless it names a tool.
    if (held.trimStart().startsWith('{') && !names.includes(name)) return null;
    this.#position = end;
    this.#arguments = new ObjectEnd();
    return deltaOf(this.#count++, id, name, '');
  }
}

function deltaOf(index: number, id: string, name: string, args: string): CallDelta {
  return { index, id, type: 'function', function: { name, arguments: args } };
}

/** Finds the end of a JSON object that arrives in pieces. */
class ObjectEnd {
  isFound = false;
  #depth = 0;
  #isText = false;
  #isEscaped = false;

  /** Returns the end of the object, or the end of `text` if the object continues. */
  find(text: string, from: number): number {
    for (let index = from; index < text.length; index++) {
      const character = text[index] as string;
      if (this.#isEscaped) this.#isEscaped = false;
      else if (this.#isText) {
        this.#isEscaped = character === '\\';
        this.#isText = character !== '"';
      } else if (character === '"') this.#isText = true;
      else if ('{['.includes(character)) this.#depth++;
      else if (']}'.includes(character) && --this.#depth === 0) {
        this.isFound = true;
        return index + 1;
      }
    }
    return text.length;
  }
}
