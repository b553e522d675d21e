import { checkOptions, describeValue, isObject } from '../core/check.js';
import { ArgumentError, FormatError, SimdformerError } from '../core/errors.js';
import type { TokenizerConfig } from './json.js';
import type { PretrainedTokenizer } from './pretrained-tokenizer.js';

export type { PretrainedTokenizer } from './pretrained-tokenizer.js';

/**
 * Makes a tokenizer from a `tokenizer.json`, given as text or as the parsed object. The model is BPE, Unigram,
 * WordLevel or WordPiece. Ids, offsets and decoded text equal those of Hugging Face's `tokenizers` in Rust. Truncation,
 * padding and dropout in the file are ignored. `config` is the content of `tokenizer_config.json` from the same folder.
 * Without a config, the pad, begin, end and unknown tokens are found in the file itself.
 *
 * ```ts
 * const tokenizer = await parseTokenizer(await readFile('tokenizer.json', 'utf8'));
 * const { inputIds, offsets } = tokenizer.encodeBatch(['Hello, world!']);
 * ```
 *
 * Throws FormatError if the file is invalid or has an unknown step, such as the pre-tokenizer UnicodeScripts. Throws
 * ArgumentError for a path or URL instead of a content, or a config that is not an object. Throws SimdformerError if
 * the code that reads it fails to load.
 */
export async function parseTokenizer(json: string | object, config?: TokenizerConfig): Promise<PretrainedTokenizer> {
  checkOptions('parseTokenizer', config ?? {});
  if (typeof json === 'string' && !json.trimStart().startsWith('{')) {
    const excerpt = json.length > 100 ? `${json.slice(0, 100)}…` : json;
    throw new ArgumentError(
      `parseTokenizer: json is ${describeValue(excerpt)}, expected the text of a tokenizer.json: for a path, a URL or a ` +
        "model's id use loadTokenizer of the package's root",
    );
  }
  if (typeof json !== 'string' && !isObject(json))
    throw new ArgumentError(`parseTokenizer: json is ${describeValue(json)}, expected the text of a tokenizer.json`);
  const { checkTokenizerJsonAsync, makeTokenizer, parseJsonAsync } = await import('./huggingface-tokenizer.js').catch(
    (cause) => {
      throw new SimdformerError(
        `parseTokenizer: the code that reads a tokenizer.json did not load: ${cause.message}. A service worker has no import(): use a ` +
          'bundler, without splitting',
        { cause },
      );
    },
  );
  try {
    const parsed: unknown = typeof json === 'string' ? await parseJsonAsync(json) : json;
    return await makeTokenizer(await checkTokenizerJsonAsync(parsed), config);
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    throw new FormatError(`this tokenizer.json cannot be read: ${(cause as Error).message}`, { cause });
  }
}
