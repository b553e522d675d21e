import { checkOptions, describeValue, isObject } from '../core/check.js';
import { ArgumentError, FormatError, SimdformerError } from '../core/errors.js';
import type { TokenizerConfig } from './json.js';
import type { PretrainedTokenizer } from './pretrained-tokenizer.js';

export type { PretrainedTokenizer } from './pretrained-tokenizer.js';

/**
 * Reads a `tokenizer.json` (its text or what it parses to) with a BPE, Unigram, WordLevel or WordPiece model, for what
 * Hugging Face's `tokenizers` in Rust makes of text: ids and where they come from, and text of ids. Truncation, padding
 * and dropout of the file are left out. `config` is the `tokenizer_config.json` beside it, if there is one; without it,
 * the tokens for pad, begin, end and unknown are found where the file itself says them.
 *
 * ```ts
 * const tokenizer = await loadTokenizer(await readFile('tokenizer.json', 'utf8'));
 * const { inputIds, offsets } = tokenizer.encodeBatch(['Hello, world!']);
 * ```
 *
 * Throws FormatError if it cannot be read or has a step that is not known, such as the pre-tokenizer UnicodeScripts,
 * ArgumentError for a path or a URL instead of what lies there, or if the config is not an object, SimdformerError if the
 * code that reads it does not load.
 */
export async function loadTokenizer(json: string | object, config?: TokenizerConfig): Promise<PretrainedTokenizer> {
  checkOptions('loadTokenizer', config ?? {});
  if (typeof json === 'string' && !json.trimStart().startsWith('{')) {
    const given = json.length > 100 ? `${json.slice(0, 100)}…` : json;
    throw new ArgumentError(
      `loadTokenizer: json is ${describeValue(given)}, expected the text of a tokenizer.json: of a path or a URL read it ` +
        "first, as with await readFile(path, 'utf8') of node:fs/promises or await (await fetch(url)).text()",
    );
  }
  if (typeof json !== 'string' && !isObject(json))
    throw new ArgumentError(`loadTokenizer: json is ${describeValue(json)}, expected the text of a tokenizer.json`);
  const { checkTokenizerJson, HuggingFaceTokenizer } = await import('./huggingface-tokenizer.js').catch((cause) => {
    throw new SimdformerError(
      `loadTokenizer: what reads a tokenizer.json did not load: ${cause.message}. A service worker has no import(): use a ` +
        'bundler, without splitting',
      { cause },
    );
  });
  try {
    return new HuggingFaceTokenizer(checkTokenizerJson(typeof json === 'string' ? JSON.parse(json) : json), config);
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    throw new FormatError(`this tokenizer.json cannot be read: ${(cause as Error).message}`, { cause });
  }
}
