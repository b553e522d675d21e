import type { GgufMetadata } from './metadata.js';

/** What ends a turn in the templates of chats, by its text: files name the end of a text only. */
const ENDS = new Set([
  ...['<|eot_id|>', '<|im_end|>', '<|end|>', '<|return|>', '<end_of_turn>', '<|endoftext|>', '<|eom_id|>', '<EOT>'],
  ...['_<EOT>', '[EOT]', '[EOS]', '</s>', '<eos>', '<|end_of_text|>', '<end_of_utterance>'],
]);
const CONTROL = 3;

/** The ids that end what a model writes: those that the file names, and control tokens that are known to. */
export function endIds(metadata: GgufMetadata): number[] {
  const named = ['eos', 'eot', 'eom'].flatMap((name) => metadata.whole(`tokenizer.ggml.${name}_token_id`) ?? []);
  const tokens = metadata.texts('tokenizer.ggml.tokens');
  const kinds = metadata.numbers('tokenizer.ggml.token_type', tokens?.length) ?? [];
  const known: number[] = [];
  for (let id = 0; id < kinds.length; id++) if (kinds[id] === CONTROL && ENDS.has(tokens?.at(id) ?? '')) known.push(id);
  return [...new Set([...named, ...known])];
}
