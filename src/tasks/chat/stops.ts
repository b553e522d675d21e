import type { ChatModel } from './chat-options.js';

/** With which models end what they say, beside the end of a text. */
const ENDS_OF_TURN = ['<|im_end|>', '<|eot_id|>', '<|eom_id|>', '<end_of_turn>', '<|end|>', '<|endoftext|>', '</s>'];

/**
 * What ends an answer: what the model's settings say, the tokenizer's end, and those ends of a turn that the template
 * writes, which some models' settings forget.
 */
export function stopsOf({ generationConfig, endIds, tokenizer }: ChatModel, template: string): number[] {
  const stops = new Set<number>(generationConfig?.stopTokens ?? endIds);
  if (tokenizer?.eosId !== undefined) stops.add(tokenizer.eosId);
  for (const token of ENDS_OF_TURN) {
    const id = template.includes(token) ? tokenizer?.tokenToId(token) : undefined;
    if (id !== undefined) stops.add(id);
  }
  return [...stops];
}
