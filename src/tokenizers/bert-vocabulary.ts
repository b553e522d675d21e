// Makes BERT's tokenizer from vocab.txt, for models without a tokenizer.json.

import { FormatError } from '../core/errors.js';
import type { TokenizerConfig, TokenizerJson } from './json.js';

const SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] as const;

/**
 * Makes the tokenizer.json of a WordPiece vocabulary with one token per line. `config` is tokenizer_config.json:
 * `do_lower_case` (default true), `strip_accents`, `tokenize_chinese_chars`. Throws FormatError if [UNK], [CLS] or
 * [SEP] is missing.
 */
export function bertTokenizerJson(text: string, config: TokenizerConfig = {}): TokenizerJson {
  const lines = text.replace(/\r?\n$/, '').split(/\r?\n/);
  const vocab = Object.fromEntries(lines.map((token, id) => [token, id]));
  const added = SPECIAL.flatMap((content) => (Object.hasOwn(vocab, content) ? [content] : []));
  const missing = ['[UNK]', '[CLS]', '[SEP]'].find((token) => !Object.hasOwn(vocab, token));
  if (missing !== undefined)
    throw new FormatError(`vocab.txt has no ${missing}, expected BERT's vocabulary with one token per line`);
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added.map((content) => ({ id: vocab[content] as number, content, ...flags })),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: config.tokenize_chinese_chars ?? true,
      strip_accents: config.strip_accents ?? null,
      lowercase: config.do_lower_case ?? true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [token('[CLS]', 0), FIRST_TEXT, token('[SEP]', 0)],
      pair: [
        token('[CLS]', 0),
        FIRST_TEXT,
        token('[SEP]', 0),
        { Sequence: { id: 'B', type_id: 1 } },
        token('[SEP]', 1),
      ],
      special_tokens: Object.fromEntries(
        ['[CLS]', '[SEP]'].map((id) => [id, { id, ids: [vocab[id] as number], tokens: [id] }]),
      ),
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    } as TokenizerJson['model'],
  };
}

const token = (id: string, type_id: number) => ({ SpecialToken: { id, type_id } });
const FIRST_TEXT = { Sequence: { id: 'A', type_id: 0 } };
