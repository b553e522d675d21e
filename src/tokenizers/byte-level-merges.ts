// Makes tokenizers of GPT-2 and RoBERTa from vocab.json and merges.txt, for models without a tokenizer.json.

import { FormatError } from '../core/errors.js';
import type { TokenizerConfig, TokenizerJson } from './json.js';

/**
 * Makes the tokenizer.json of a byte-level BPE. `vocab` maps tokens to ids; `merges` is the text of merges.txt. RoBERTa
 * adds `<s>` and `</s>` around a text, GPT-2 adds nothing. `config` is tokenizer_config.json (`add_prefix_space`).
 * Throws FormatError if RoBERTa's special tokens are missing, or if an id is invalid.
 */
export function byteLevelTokenizerJson(
  kind: 'gpt2' | 'roberta',
  vocab: Readonly<Record<string, unknown>>,
  merges: string,
  config: TokenizerConfig = {},
): TokenizerJson {
  const ids = idsOf(vocab);
  const names = kind === 'gpt2' ? ['<|endoftext|>'] : ['<s>', '<pad>', '</s>', '<unk>', '<mask>'];
  const missing = kind === 'gpt2' ? undefined : ['<s>', '</s>'].find((name) => !Object.hasOwn(ids, name));
  if (missing !== undefined) throw new FormatError(`vocab.json has no ${missing}, which RoBERTa puts around text`);
  const added = names
    .filter((name) => Object.hasOwn(ids, name))
    .map((content) => ({
      id: ids[content] as number,
      content,
      single_word: false,
      lstrip: content === '<mask>',
      rstrip: false,
      normalized: false,
      special: true,
    }));
  const add_prefix_space = config.add_prefix_space ?? false;
  const byteLevel = { type: 'ByteLevel', add_prefix_space, trim_offsets: true, use_regex: true };
  const model = {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    fuse_unk: false,
    byte_fallback: false,
    vocab: ids,
  };
  const lines = merges.split(/\r?\n/).filter((line, i) => line !== '' && !(i === 0 && line.startsWith('#version')));
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added.sort((a, b) => a.id - b.id),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor:
      kind === 'gpt2'
        ? { ...byteLevel, trim_offsets: false }
        : {
            type: 'RobertaProcessing',
            sep: ['</s>', ids['</s>']],
            cls: ['<s>', ids['<s>']],
            trim_offsets: true,
            add_prefix_space,
          },
    decoder: byteLevel,
    model: { ...model, merges: lines.map((line) => line.split(' ')) },
  };
}

/** Returns the content of vocab.json, ids by token. Throws FormatError for one that is not an id. */
export function idsOf(vocab: Readonly<Record<string, unknown>>): Readonly<Record<string, number>> {
  const odd = Object.entries(vocab).find(([, id]) => !Number.isInteger(id) || (id as number) < 0);
  if (odd) throw new FormatError(`vocab.json: ${JSON.stringify(odd[0])} is ${JSON.stringify(odd[1])}, expected an id`);
  return vocab as Readonly<Record<string, number>>;
}
