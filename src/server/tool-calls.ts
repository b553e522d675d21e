// Calls of tools in what a model writes, as OpenAI has them.

import { CallFilter, parseToolCalls } from '../tasks/chat/tool-calls.js';

export interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: string };
}

export interface CalledAnswer {
  readonly content: string;
  readonly calls: readonly ToolCall[];
}

/** Finds calls of the tools of a request, whose conversation has `before` calls already. */
export class ToolCalls {
  constructor(
    private readonly names: readonly string[],
    private readonly before: number,
  ) {}

  /** What of an answer is text, and what calls. */
  split(answer: string): CalledAnswer {
    const { text, calls } = parseToolCalls(answer, this.names, this.before);
    return {
      content: text,
      calls: calls.map(({ id, name, arguments: given }) => ({
        id,
        type: 'function',
        function: { name, arguments: JSON.stringify(given) },
      })),
    };
  }

  reader(): ToolCallReader {
    return new ToolCallReader(this);
  }
}

/** Tells text as it comes, and calls at the end. */
export class ToolCallReader {
  readonly #filter = new CallFilter();
  #answer = '';

  constructor(private readonly tools: ToolCalls) {}

  push(piece: string): string {
    this.#answer += piece;
    return this.#filter.push(piece);
  }

  /** What looked like calls and is none is text. */
  end(): CalledAnswer {
    const { calls } = this.tools.split(this.#answer);
    return { content: calls.length > 0 ? '' : this.#filter.end(), calls };
  }
}
