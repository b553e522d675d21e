// Calls of tools in what a model writes.

import { randomUUID } from 'node:crypto';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import { StopStrings } from './answer-text.js';

/** A call, as OpenAI has it. */
export interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: string };
}

/** How a family writes calls: after `begin`, which never stands in other text. */
interface ToolFormat {
  readonly begin: string;
  /** JSON of one call, or of a list of them, in what follows. */
  readonly json: (text: string) => readonly string[];
}

const tagged: ToolFormat = {
  begin: '<tool_call>',
  json: (text) => text.split('<tool_call>').map((part) => part.split('</tool_call>')[0] as string),
};
const listed: ToolFormat = { begin: '[TOOL_CALLS]', json: (text) => [text.split('</s>')[0] as string] };
const python: ToolFormat = { begin: '<|python_tag|>', json: (text) => [text] };
/** Llama 3 and others: an answer that is a call is nothing else. */
const bare: ToolFormat = { begin: '{', json: (text) => [`{${text}`] };

/** By what the template has in it; Hermes' and Qwen's way is that of most. */
export function toolFormatOf({ chatTemplate }: PretrainedTokenizer): ToolFormat {
  const template = typeof chatTemplate === 'string' ? chatTemplate : Object.values(chatTemplate ?? {}).join('\n');
  return [tagged, listed, python].find(({ begin }) => template.includes(begin)) ?? bare;
}

export class ToolCalls {
  constructor(private readonly format: ToolFormat) {}

  /** What of an answer is text, and what calls. */
  split(text: string): { content: string; calls: ToolCall[] } {
    const reader = this.reader();
    const begun = reader.push(text);
    const { content, calls } = reader.end();
    return { content: begun + content, calls };
  }

  reader(): ToolCallReader {
    return new ToolCallReader(this.format);
  }
}

/** Tells text as it comes, and calls at the end. */
export class ToolCallReader {
  readonly #text: StopStrings;
  #all = '';
  #told = '';

  constructor(private readonly format: ToolFormat) {
    this.#text = new StopStrings([format.begin]);
  }

  push(piece: string): string {
    this.#all += piece;
    if (this.#text.stopped) return '';
    const text = this.#text.push(piece);
    this.#told += text;
    return text;
  }

  /** What looked like calls and is none is text. */
  end(): { content: string; calls: ToolCall[] } {
    const { begin, json } = this.format;
    const rest = this.#all.slice(this.#told.length);
    if (!this.#text.stopped) return { content: rest, calls: [] };
    const calls = json(rest.slice(begin.length)).flatMap(callsOf);
    return calls.length > 0 ? { content: '', calls } : { content: rest, calls };
  }
}

function callsOf(json: string): ToolCall[] {
  let value: unknown;
  try {
    value = JSON.parse(json.trim());
  } catch {
    return [];
  }
  return (Array.isArray(value) ? value : [value]).flatMap((each) => {
    const { name, arguments: given, parameters } = (each ?? {}) as Record<string, unknown>;
    const values = given ?? parameters ?? {};
    if (typeof name !== 'string') return [];
    const text = typeof values === 'string' ? values : JSON.stringify(values);
    return [
      {
        id: `call_${randomUUID().replaceAll('-', '').slice(0, 24)}`,
        type: 'function',
        function: { name, arguments: text },
      },
    ];
  });
}
