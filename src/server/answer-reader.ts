// Splits an answer that arrives in pieces into reasoning, text and calls of tools.

import { ReasoningFilter } from '../tasks/chat/reasoning.js';
import type { CallDelta, ToolCallReader, ToolCalls } from './tool-calls.js';

/** A piece of an answer. Each part may be empty. */
export interface SplitPiece {
  readonly reasoning: string;
  readonly content: string;
  readonly deltas: readonly CallDelta[];
}

/** Reads one answer. */
export class AnswerReader {
  readonly #calls: ToolCallReader | null;
  readonly #filter: ReasoningFilter;

  /** `calls`: null without tools. `isReasoning`: true if the answer begins with reasoning. */
  constructor(calls: ToolCalls | null, isReasoning: boolean) {
    this.#calls = calls?.reader() ?? null;
    this.#filter = new ReasoningFilter(isReasoning);
  }

  push(piece: string): SplitPiece {
    const { content, deltas } = this.#calls?.push(piece) ?? { content: piece, deltas: [] };
    const { reasoning, text } = this.#filter.push(content);
    return { reasoning, content: text, deltas };
  }

  /** Returns what was held back because it could have begun a mark. */
  end(): SplitPiece {
    const { content: held, deltas } = this.#calls?.end() ?? { content: '', deltas: [] };
    const { reasoning, text } = this.#filter.push(held);
    const last = this.#filter.end();
    return { reasoning: reasoning + last.reasoning, content: text + last.text, deltas };
  }
}

/** Splits the text of a whole answer, from which calls were taken already, into reasoning and text. */
export function splitReasoning(answer: string, isReasoning: boolean): { reasoning: string; content: string } {
  const reader = new AnswerReader(null, isReasoning);
  const [first, last] = [reader.push(answer), reader.end()];
  return { reasoning: first.reasoning + last.reasoning, content: first.content + last.content };
}
