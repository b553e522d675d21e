// The token ids of a conversation.

import { yieldToEventLoop } from '../../core/yield-to-event-loop.js';
import type { ChatMessage } from '../../tokenizers/index.js';
import { withReadyCalls } from './call-arguments.js';
import { type ChatModel, type ChatOptions, ContextFullError } from './chat-options.js';
import type { ConversationImages } from './conversation-images.js';
import type { TokenBound } from './token-bound.js';

/** The ids that a model has read and generated, and their text. */
export interface Read {
  readonly ids: readonly number[];
  readonly text: string;
}

export const NOTHING: Read = { ids: [], text: '' };

/** The prompt of an answer. */
export interface Context extends Read {
  readonly hiddenTurns: number;
}

/**
 * The prompt for the next answer, with room for `wanted` tokens. Throws ContextFullError, and ArgumentError for messages
 * that the template refuses.
 */
export async function contextOf(
  model: ChatModel,
  options: ChatOptions,
  messages: readonly ChatMessage[],
  read: Read,
  maxLength: number,
  wanted: number,
  images: ConversationImages,
): Promise<Context> {
  const turns = turnsOf(messages);
  for (let hiddenTurns = 0; ; hiddenTurns++) {
    const shown = await encoded(model, options, turns.slice(hiddenTurns).flat(), read, maxLength - wanted, images);
    if ('ids' in shown && shown.ids.length + wanted <= maxLength) return { ...shown, hiddenTurns };
    if (options.whenFull !== 'shift' || hiddenTurns === turns.length - 1)
      throw new ContextFullError('ids' in shown ? shown.ids.length : shown.atLeast, maxLength, wanted);
  }
}

/** Splits messages before each message of the user. Messages before the first one belong to the first turn. */
export function turnsOf(messages: readonly ChatMessage[]): ChatMessage[][] {
  const turns: ChatMessage[][] = [];
  for (const [i, message] of messages.entries()) {
    const isNew = message.role === 'user' && messages[i - 1]?.role !== 'user';
    if (turns.length === 0 || (isNew && turns.flat().some(({ role }) => role === 'user'))) turns.push([message]);
    else turns.at(-1)?.push(message);
  }
  return turns;
}

/** Length of a text in UTF-16 units from which a lower bound of its tokens is checked before it is tokenized. */
const LONG = 1 << 16;

const bounds = new WeakMap<object, Promise<TokenBound>>();

/** Returns a lower bound of the number of tokens of a long text; 0 for shorter texts. */
async function leastTokens(tokenizer: NonNullable<ChatModel['tokenizer']>, text: string): Promise<number> {
  if (text.length < LONG) return 0;
  const { tokenBoundOf } = await import('./token-bound.js');
  const bound = bounds.get(tokenizer) ?? tokenBoundOf(tokenizer as Parameters<typeof tokenBoundOf>[0]);
  bounds.set(tokenizer, bound);
  return (await bound)(text);
}

/** Returns the ids of messages and their text. A text that certainly has more than `most` tokens is not tokenized. */
async function encoded(
  model: ChatModel,
  { system, tools, chatTemplate, variables }: ChatOptions,
  messages: readonly ChatMessage[],
  read: Read,
  most: number,
  images: ConversationImages,
): Promise<Read | { readonly atLeast: number }> {
  const { tokenizer } = model;
  if (tokenizer === null) return NOTHING;
  await yieldToEventLoop(); // many conversations may begin at once
  const all = system === undefined ? messages : [{ role: 'system', content: system }, ...messages];
  const withImages = await images.of(model, all);
  const text = await tokenizer.applyChatTemplate(withReadyCalls(withImages?.shown ?? all), {
    ...{ tools, chatTemplate, variables },
    addGenerationPrompt: true,
    tokenize: false,
  });
  const atLeast = await leastTokens(tokenizer, text);
  if (atLeast > most) return { atLeast };
  const ids = withImages ? await withImages.lease.encode(text) : await tokenizer.encodeAsync(text);
  if (read.text === '' || !text.startsWith(read.text)) return { ids, text };
  if (withImages && !withImages.lease.hasAll(read.ids)) return { ids, text };
  // A model may generate other tokens for a text than its tokenizer makes. The cached tokens are kept if the tokens of
  // the remaining text do not depend on them.
  const tail = text.slice(read.text.length);
  const rest = withImages ? await withImages.lease.encode(tail, read.text) : await tokenizer.encodeAsync(tail);
  const isSame = rest.length <= ids.length && rest.every((id, i) => id === ids[ids.length - rest.length + i]);
  return { ids: isSame ? [...read.ids, ...rest] : ids, text };
}
