import type { ChatModel } from './chat-options.js';

/** Tokens by which models end a turn, in addition to the end of a text. */
const ENDS_OF_TURN = ['<|im_end|>', '<|eot_id|>', '<|eom_id|>', '<end_of_turn>', '<|end|>', '<|endoftext|>', '</s>'];

/**
 * Returns the tokens that end an answer: those of the model's settings, the tokenizer's end token, and ends of a turn
 * that occur in `template`. Settings of some models lack the latter. `template`: default is the tokenizer's.
 */
export function stopsOf(
  { generationConfig, endIds, tokenizer }: ChatModel,
  template = JSON.stringify(tokenizer?.chatTemplate) ?? '',
): number[] {
  const stops = new Set<number>(generationConfig?.stopTokens ?? endIds);
  if (tokenizer?.eosId !== undefined) stops.add(tokenizer.eosId);
  for (const token of ENDS_OF_TURN) {
    const id = template.includes(token) ? tokenizer?.tokenToId(token) : undefined;
    if (id !== undefined) stops.add(id);
  }
  return [...stops];
}
