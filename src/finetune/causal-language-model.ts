// The objective of predicting the next token, in texts or in the answers of conversations.

import { describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { IGNORED } from '../models/losses.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import type { ChatMessage } from '../tokenizers/chat-template.js';
import { tokenizerOf } from './encoded.js';
import { type LabelledTokens, TokenObjective, truncated } from './token-objective.js';

/** A conversation, a text, or ids. */
export interface CausalRow {
  /** A conversation. Only the messages of the assistant are learned. */
  readonly messages?: readonly ChatMessage[] | undefined;
  /** The text to learn. With `prompt`, it is the text that follows the prompt. */
  readonly text?: string | undefined;
  readonly prompt?: string | undefined;
  readonly inputIds?: readonly number[] | undefined;
  /** Labels of `inputIds`; -100 excludes a token from the loss. Default: the ids. */
  readonly labels?: readonly number[] | undefined;
}

/**
 * Trains a decoder to generate text. Rows are `{ messages }`, of which only the answers are learned, `{ text }`, `{
 * prompt, text }` or `{ inputIds, labels }`. Sequences of a batch are packed end to end and do not attend to each
 * other.
 */
export class CausalLanguageModel extends TokenObjective<CausalRow> {
  /** Renders conversations. */
  async prepare(rows: readonly CausalRow[]): Promise<void> {
    for (const row of rows) {
      if (row?.messages === undefined || this.isKnown(row)) continue;
      this.remember(row, truncated(await encodeChat(this.model, row.messages), this.maxLength));
    }
  }

  protected override encode(row: CausalRow): LabelledTokens {
    const { inputIds, labels = inputIds, text, prompt = '' } = row;
    if (inputIds !== undefined) return truncated({ inputIds, labels: labels as readonly number[] }, this.maxLength);
    if (typeof text !== 'string')
      throw new ArgumentError(
        `fit: an example is ${describeValue(row)}, expected { messages }, { text } or { inputIds }`,
      );
    return truncated(encodeContinuation(this.model, prompt, text), this.maxLength);
  }

  /** The first token is not predicted. */
  protected override weight(examples: readonly LabelledTokens[]): number {
    return super.weight(examples.map(({ inputIds, labels }) => ({ inputIds, labels: labels.slice(1) })));
  }
}

/** A prompt and the text that must follow it, up to the end token. */
export function encodeContinuation(model: PretrainedModel, prompt: string, text: string): LabelledTokens {
  const tokenizer = tokenizerOf('fit', model);
  const [start, end] = [tokenizer.bosId ?? [], tokenizer.eosId ?? []].map((id) => [id].flat()) as [number[], number[]];
  // The prompt is encoded separately, with its special tokens, because inference encodes it in the same way.
  const withSpecial = prompt === '' ? start : (tokenizer.encodeBatch([prompt]).inputIds[0] as number[]);
  const promptIds = withSpecial.at(-1) === end[0] && withSpecial.length > 1 ? withSpecial.slice(0, -1) : withSpecial;
  const answer = [...tokenizer.encode(text), ...end];
  const hidden = promptIds.map((id) => (prompt === '' ? id : IGNORED));
  return { inputIds: [...promptIds, ...answer], labels: [...hidden, ...answer] };
}

/**
 * Encodes a conversation by the model's chat template. The labels are the assistant's answers, including the ends of
 * turns. Throws ArgumentError if there is no answer.
 */
export async function encodeChat(model: PretrainedModel, messages: readonly ChatMessage[]): Promise<LabelledTokens> {
  const tokenizer = tokenizerOf('fit', model);
  const render = (part: readonly ChatMessage[], addGenerationPrompt: boolean) =>
    tokenizer.applyChatTemplate(part, { tokenize: false, addGenerationPrompt });
  const text = await render(messages, false);
  const answers = messages.flatMap(({ role }, i) => (role === 'assistant' ? [i] : []));
  const spans: (readonly [start: number, end: number])[] = [];
  for (const i of answers) {
    const before = await render(messages.slice(0, i), true);
    const after = i === messages.length - 1 ? text : await render(messages.slice(0, i + 1), false);
    // Templates may render earlier answers differently, for example without reasoning. Such answers are not trained on.
    if (text.startsWith(after) && after.startsWith(before)) spans.push([[...before].length, [...after].length]);
  }
  if (spans.length === 0)
    throw new ArgumentError('fit: a conversation has no answer to learn, expected a message of the role assistant');
  const { inputIds, offsets } = tokenizer.encodeBatch([text], { addSpecialTokens: false });
  const ids = inputIds[0] as number[];
  const tokenSpans = offsets[0] as [number, number][];
  const labels = ids.map((id, i) => {
    const [start, end] = tokenSpans[i] as [number, number];
    return spans.some(([from, to]) => start >= from && end <= to && end > start) ? id : IGNORED;
  });
  return { inputIds: ids, labels };
}
