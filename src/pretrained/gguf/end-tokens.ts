import type { GgufMetadata } from './metadata.js';

/** Texts of tokens that end a turn in chat templates. Files name only the end of a text. */
const ENDS = new Set([
  '<|eot_id|>',
  '<|im_end|>',
  '<|end|>',
  '<|return|>',
  '<|call|>',
  '<|flush|>',
  '<|calls|>',
  '<end_of_turn>',
  '<|endoftext|>',
  '<|eom_id|>',
  '<EOT>',
  '_<EOT>',
  '[EOT]',
  '[EOS]',
  '</s>',
  '<eos>',
  '<|end_of_text|>',
  '<end_of_utterance>',
  '<turn|>',
  '<|tool_response>',
  '<｜end▁of▁sentence｜>',
  '[e~[',
]);
const CONTROL = 3;
/** A token that ends a turn, whatever its kind. */
const ANY_KIND = '<|tool_response>';

/**
 * Tokens that do not end a turn if the vocabulary also has all tokens of the list. llama.cpp has the same exceptions.
 */
const EXCEPTIONS: readonly (readonly [token: string, beside: readonly string[]])[] = [
  ['<|end|>', ['<|return|>', '<|call|>']], // ends a message of gpt-oss
  ['<|end|>', ['<|return|>', '<|calls|>']],
  ['<|end|>', ['<|flush|>', '<|calls|>']],
  ['</s>', ['<|tool_response>']], // an ordinary token of Gemma 4
];

/** Returns the ids that end generation: those that the file names, and known control tokens. */
export function endIds(metadata: GgufMetadata): number[] {
  const named = ['eos', 'eot', 'eom'].flatMap((name) => metadata.whole(`tokenizer.ggml.${name}_token_id`) ?? []);
  const tokens = metadata.texts('tokenizer.ggml.tokens');
  const kinds = metadata.numbers('tokenizer.ggml.token_type', tokens?.length) ?? [];
  const known = new Map<string, number>();
  for (let id = 0; id < kinds.length; id++) {
    // Only few texts are decoded, because vocabularies have hundreds of thousands of them.
    if (kinds[id] !== CONTROL && tokens?.bytesAt(id) !== ANY_KIND.length) continue;
    const token = tokens?.at(id) ?? '';
    if (ENDS.has(token) && (kinds[id] === CONTROL || token === ANY_KIND)) known.set(token, id);
  }
  const excepted = EXCEPTIONS.filter(([, beside]) => beside.every((token) => known.has(token)));
  const none = new Set(excepted.map(([token]) => known.get(token)));
  return [...new Set([...named, ...known.values()])].filter((id) => !none.has(id));
}
