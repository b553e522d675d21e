// The length of answers that OpenAI's clients ask for, as a sentence in the system message.

import { SimdformerError } from '../core/errors.js';
import type { ChatMessage } from '../tokenizers/chat-template.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import { oneOf, optional } from './schema.js';

const SENTENCES = { low: 'Answer concisely.', medium: null, high: 'Answer in detail.' } as const;

export const verbosity = optional(oneOf(['low', 'medium', 'high']));

/**
 * Adds the sentence of a verbosity to the first system message, or before the first message. If the template shows no
 * system message, the sentence begins the first message of the user.
 */
export async function withVerbosity(
  messages: readonly ChatMessage[],
  tokenizer: PretrainedTokenizer,
  wanted: keyof typeof SENTENCES = 'medium',
): Promise<readonly ChatMessage[]> {
  const sentence = SENTENCES[wanted];
  if (sentence === null) return messages;
  const [first, ...rest] = messages;
  if (first?.role === 'system') return [extended(first, '', `\n\n${sentence}`), ...rest];
  if (await showsSystem(tokenizer, sentence)) return [{ role: 'system', content: sentence }, ...messages];
  const asked = messages.findIndex(({ role }) => role === 'user');
  return messages.map((message, i) => (i === asked ? extended(message, `${sentence}\n\n`, '') : message));
}

/** Returns a message with text before and after its content. */
function extended(message: ChatMessage, before: string, after: string): ChatMessage {
  const { content } = message;
  if (typeof content === 'string') return { ...message, content: before + content + after };
  const texts = (text: string) => (text === '' ? [] : [{ type: 'text', text }]);
  return { ...message, content: [...texts(before), ...(content ?? []), ...texts(after)] };
}

/** True if the template writes a system message. Some refuse one, others leave it out. */
async function showsSystem(tokenizer: PretrainedTokenizer, sentence: string): Promise<boolean> {
  const messages = [
    { role: 'system', content: sentence },
    { role: 'user', content: '' },
  ];
  try {
    return (await tokenizer.applyChatTemplate(messages, { tokenize: false })).includes(sentence);
  } catch (error) {
    if (error instanceof SimdformerError) return false;
    throw error;
  }
}
