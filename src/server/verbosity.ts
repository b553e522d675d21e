// The length of answers that OpenAI's clients ask for, as a sentence in the system message.

import type { ChatMessage } from '../tokenizers/chat-template.js';
import { oneOf, optional } from './schema.js';

const SENTENCES = { low: 'Answer concisely.', medium: null, high: 'Answer in detail.' } as const;

export const verbosity = optional(oneOf(['low', 'medium', 'high']));

/** Adds the sentence of a verbosity to the first system message, or before the first message. */
export function withVerbosity(messages: readonly ChatMessage[], wanted: keyof typeof SENTENCES = 'medium') {
  const sentence = SENTENCES[wanted];
  if (sentence === null) return messages;
  const [first, ...rest] = messages;
  if (first?.role !== 'system') return [{ role: 'system', content: sentence }, ...messages];
  const { content } = first;
  const parts =
    typeof content === 'string' ? `${content}\n\n${sentence}` : [...(content ?? []), { type: 'text', text: sentence }];
  return [{ ...first, content: parts }, ...rest];
}
