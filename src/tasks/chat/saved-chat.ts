// Saved conversations, as readable JSON.

import { isObject } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { ChatMessage } from '../../tokenizers/index.js';
import type { ChatOptions } from './chat-options.js';
import type { ReadTokens } from './context.js';

const FORMAT = 'simdformer-chat';

/** The content of a file, and the result of `toJSON`. */
export interface SavedChat {
  readonly format: typeof FORMAT;
  readonly version: 1;
  readonly options: Omit<ChatOptions, 'messages' | 'generation'>;
  readonly messages: readonly ChatMessage[];
  /** The ids that the model has read and generated. A model with another vocabulary reads the messages again. */
  readonly read: ReadTokens;
  readonly vocabSize: number;
}

export function savedChat(
  { generation: _, ...options }: ChatOptions,
  messages: readonly ChatMessage[],
  read: ReadTokens,
  vocabSize: number,
): SavedChat {
  return { format: FORMAT, version: 1, options, messages, read, vocabSize };
}

/** Throws FormatError if `value` is not a saved conversation. */
export function checkSavedChat(name: string, value: unknown): SavedChat {
  const refuse = (what: string): never => {
    throw new FormatError(`${name} is not a saved conversation: ${what}`);
  };
  if (!isObject(value) || value.format !== FORMAT) return refuse(`its format is not '${FORMAT}'`);
  if (value.version !== 1) return refuse(`its version is ${String(value.version)}, expected 1`);
  const { options, messages, read } = value;
  const isMessage = (message: unknown) => isObject(message) && typeof message.role === 'string';
  if (!Array.isArray(messages) || !messages.every(isMessage)) return refuse('its messages are none');
  if (!isObject(options)) return refuse('it has no options');
  const isRead = isObject(read) && typeof read.text === 'string' && Array.isArray(read.ids);
  if (!isRead || !(read.ids as unknown[]).every((id) => Number.isInteger(id) && (id as number) >= 0))
    return refuse('the tokens that were read are not ids');
  return value as unknown as SavedChat;
}
