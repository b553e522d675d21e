import type { GgufMetadata } from './metadata.js';

/** Texts of tokens that end a turn in chat templates. Files name only the end of a text. */
const ENDS = new Set([
  ...['<|eot_id|>', '<|im_end|>', '<|end|>', '<|return|>', '<end_of_turn>', '<|endoftext|>', '<|eom_id|>', '<EOT>'],
  ...['_<EOT>', '[EOT]', '[EOS]', '</s>', '<eos>', '<|end_of_text|>', '<end_of_utterance>'],
]);
const CONTROL = 3;

/** The ids that end generation: those that the file names, and known control tokens. */
export function endIds(metadata: GgufMetadata): number[] {
  const named = ['eos', 'eot', 'eom'].flatMap((name) => metadata.whole(`tokenizer.ggml.${name}_token_id`) ?? []);
  const tokens = metadata.texts('tokenizer.ggml.tokens');
  const kinds = metadata.numbers('tokenizer.ggml.token_type', tokens?.length) ?? [];
  const known: number[] = [];
  for (let id = 0; id < kinds.length; id++) if (kinds[id] === CONTROL && ENDS.has(tokens?.at(id) ?? '')) known.push(id);
  return [...new Set([...named, ...known])];
}
