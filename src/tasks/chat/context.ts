// Makes the prompts of a conversation, and keeps cached tokens where possible.

import { yieldToEventLoop } from '../../core/yield-to-event-loop.js';
import type { ChatMessage } from '../../tokenizers/index.js';
import { withReadyCalls } from './call-arguments.js';
import { type ChatModel, type ChatOptions, ContextFullError } from './chat-options.js';
import type { ConversationImages } from './conversation-images.js';
import type { TokenBound } from './token-bound.js';

/** The ids that a model has read and generated, and their text. */
export interface ReadTokens {
  readonly ids: readonly number[];
  readonly text: string;
}

export const NO_TEXT: ReadTokens = { ids: [], text: '' };

/** The prompt of an answer. */
export interface Context extends ReadTokens {
  readonly hiddenTurns: number;
}

/** Inputs of the next prompt of a conversation. */
interface Conversation {
  readonly messages: readonly ChatMessage[];
  /** The ids and the text that the cache holds. */
  readonly read: ReadTokens;
  readonly images: ConversationImages;
}

/**
 * Makes the prompt for the next answer, with room for `newTokens` tokens. Throws ContextFullError, and ArgumentError
 * for messages that the template refuses.
 */
export async function contextOf(
  model: ChatModel,
  options: ChatOptions,
  conversation: Conversation,
  { maxLength, newTokens }: { readonly maxLength: number; readonly newTokens: number },
): Promise<Context> {
  const turns = turnsOf(conversation.messages);
  for (let hiddenTurns = 0; ; hiddenTurns++) {
    const messages = turns.slice(hiddenTurns).flat();
    const prompt = await encodePrompt(model, options, { ...conversation, messages }, maxLength - newTokens);
    if ('ids' in prompt && prompt.ids.length + newTokens <= maxLength) return { ...prompt, hiddenTurns };
    if (options.whenFull !== 'shift' || hiddenTurns === turns.length - 1)
      throw new ContextFullError('ids' in prompt ? prompt.ids.length : prompt.atLeast, maxLength, newTokens);
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
const MIN_BOUNDED_LENGTH = 1 << 16;

const bounds = new WeakMap<object, Promise<TokenBound>>();

/** Returns a lower bound of the number of tokens of a long text; 0 for shorter texts. */
async function minTokens(tokenizer: NonNullable<ChatModel['tokenizer']>, text: string): Promise<number> {
  if (text.length < MIN_BOUNDED_LENGTH) return 0;
  const { tokenBoundOf } = await import('./token-bound.js');
  const bound = bounds.get(tokenizer) ?? tokenBoundOf(tokenizer as Parameters<typeof tokenBoundOf>[0]);
  bounds.set(tokenizer, bound);
  return (await bound)(text);
}

/**
 * Returns the ids of messages and their text. A text that certainly has more than `maxTokens` tokens is not tokenized.
 */
async function encodePrompt(
  model: ChatModel,
  { system, tools, chatTemplate, variables }: ChatOptions,
  { messages, read, images }: Conversation,
  maxTokens: number,
): Promise<ReadTokens | { readonly atLeast: number }> {
  const { tokenizer } = model;
  if (tokenizer === null) return NO_TEXT;
  await yieldToEventLoop(); // many conversations may begin at once
  const all = system === undefined ? messages : [{ role: 'system', content: system }, ...messages];
  const withImages = await images.of(model, all, chatTemplate);
  const text = await tokenizer.applyChatTemplate(withReadyCalls(withImages?.shown ?? all), {
    tools,
    chatTemplate,
    variables,
    addGenerationPrompt: true,
    tokenize: false,
  });
  const atLeast = await minTokens(tokenizer, text);
  if (atLeast > maxTokens) return { atLeast };
  const ids = withImages ? await withImages.lease.encode(text) : await tokenizer.encodeAsync(text);
  if (read.text === '' || !text.startsWith(read.text)) return { ids, text };
  if (withImages && !withImages.lease.hasAll(read.ids)) return { ids, text };
  // A model may generate other tokens for a text than its tokenizer makes. The cached tokens are kept if the tokens of
  // the remaining text do not depend on them.
  const tail = text.slice(read.text.length);
  const tailIds = withImages ? await withImages.lease.encode(tail, read.text) : await tokenizer.encodeAsync(tail);
  const isSame = tailIds.length <= ids.length && tailIds.every((id, i) => id === ids[ids.length - tailIds.length + i]);
  return { ids: isSame ? [...read.ids, ...tailIds] : ids, text };
}
