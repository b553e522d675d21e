// Texts and pairs as conversations in a model's chat template.

import type { ChatMessage } from '../../tokenizers/chat-template.js';
import type { PretrainedTokenizer } from '../../tokenizers/pretrained-tokenizer.js';

/** The form of messages, by sentence-transformers' names: contents are texts, or lists of parts. */
export interface ChatForm {
  readonly format: 'flat' | 'structured';
  readonly addGenerationPrompt?: boolean | undefined;
  /** Further variables of the template. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

const FLAT: ChatForm = { format: 'flat' };

/** The tokens of a text, or of a pair, after a prompt: at most `limit`. The template's end stays if they are cut. */
export async function chatRow(
  tokenizer: PretrainedTokenizer,
  texts: readonly string[],
  prompt: string,
  limit: number,
  { format, ...options }: ChatForm = FLAT,
): Promise<number[]> {
  const message = (role: string, text: string): ChatMessage => ({
    role,
    content: format === 'flat' ? text : [{ type: 'text', text }],
  });
  const roles = texts.length === 1 ? ['user'] : ['query', 'document'];
  const render = (contents: readonly string[]) => {
    const messages = contents.map((text, i) => message(roles[i] as string, text));
    return tokenizer.applyChatTemplate(prompt === '' ? messages : [message('system', prompt), ...messages], options);
  };
  const ids = await render(texts);
  if (ids.length <= limit) return ids;
  // The template's end tells the model to answer, so it stays. Two other conversations show how long it is.
  const [short, two] = [await render(texts.map(() => '0')), await render(texts.map(() => '1 2 3 4'))];
  let same = 0;
  while (same < Math.min(short.length, two.length) && short.at(-1 - same) === two.at(-1 - same)) same++;
  const kept = Math.min(same, limit);
  return [...ids.slice(0, limit - kept), ...short.slice(short.length - kept)];
}
