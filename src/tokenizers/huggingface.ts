import { checkOptions, describeValue, isObject } from '../core/check.js';
import { ArgumentError, FormatError, SimdformerError } from '../core/errors.js';
import type { TokenizerConfig } from './json.js';
import type { PretrainedTokenizer } from './pretrained-tokenizer.js';

export type { PretrainedTokenizer } from './pretrained-tokenizer.js';

/**
 * Makes a tokenizer of a `tokenizer.json`, given as its text or as the object it parses to. Its model is BPE, Unigram,
 * WordLevel or WordPiece. Results equal those of Hugging Face's `tokenizers` in Rust: ids, offsets, and text of ids.
 * Truncation, padding and dropout of the file are ignored. `config` is the `tokenizer_config.json` beside it, if there
 * is one. Without it, the tokens for padding, begin, end and unknown are found in the file itself.
 *
 * ```ts
 * const tokenizer = await parseTokenizer(await readFile('tokenizer.json', 'utf8'));
 * const { inputIds, offsets } = tokenizer.encodeBatch(['Hello, world!']);
 * ```
 *
 * Throws FormatError if it cannot be read or has a step that is not known, such as the pre-tokenizer UnicodeScripts,
 * ArgumentError for a path or a URL instead of what lies there, or if the config is not an object, SimdformerError if the
 * code that reads it does not load.
 */
export async function parseTokenizer(json: string | object, config?: TokenizerConfig): Promise<PretrainedTokenizer> {
  checkOptions('parseTokenizer', config ?? {});
  if (typeof json === 'string' && !json.trimStart().startsWith('{')) {
    const given = json.length > 100 ? `${json.slice(0, 100)}…` : json;
    throw new ArgumentError(
      `parseTokenizer: json is ${describeValue(given)}, expected the text of a tokenizer.json: of a path, a URL or a ` +
        "model's id use loadTokenizer of the package's root",
    );
  }
  if (typeof json !== 'string' && !isObject(json))
    throw new ArgumentError(`parseTokenizer: json is ${describeValue(json)}, expected the text of a tokenizer.json`);
  const { checkTokenizerJson, makeTokenizer } = await import('./huggingface-tokenizer.js').catch((cause) => {
    throw new SimdformerError(
      `parseTokenizer: what reads a tokenizer.json did not load: ${cause.message}. A service worker has no import(): use a ` +
        'bundler, without splitting',
      { cause },
    );
  });
  try {
    return await makeTokenizer(checkTokenizerJson(typeof json === 'string' ? JSON.parse(json) : json), config);
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    throw new FormatError(`this tokenizer.json cannot be read: ${(cause as Error).message}`, { cause });
  }
}
