import { FormatError } from '../../../core/errors.js';
import type { PretrainedTokenizer } from '../../../tokenizers/pretrained-tokenizer.js';
import { SentenceModule, type TextFeatures } from '../features.js';
import type { ModuleFolder } from '../module-folder.js';

interface MaskOptions {
  /** Tokens that are not compared. */
  readonly skipped: ReadonlySet<number>;
  /** The tasks in which they are not; texts without a task count as documents. */
  readonly skippedIn: readonly string[];
  /** The only tokens of documents that are compared; null for all. */
  readonly keptOnly: ReadonlySet<number> | null;
}

/** Chooses the tokens that late interaction compares. */
export class MultiVectorMask extends SentenceModule {
  readonly #options: MaskOptions;

  constructor(options: MaskOptions) {
    super();
    this.#options = options;
  }

  static async read({ path, config, tokenizer }: ModuleFolder): Promise<MultiVectorMask> {
    const { skiplist_words: words = [], skiplist_tasks: tasks, keep_only_token_ids: only } = await config();
    if (!Array.isArray(words))
      throw new FormatError(
        `${path}/config.json: skiplist_words is ${JSON.stringify(words)}, expected a list of words`,
      );
    return new MultiVectorMask({
      skipped: idsOfWords(words as string[], tokenizer()),
      skippedIn: tasks == null ? ['document'] : ([tasks].flat() as string[]),
      keptOnly: Array.isArray(only) && only.length > 0 ? new Set(only as number[]) : null,
    });
  }

  override forward(features: TextFeatures): TextFeatures {
    const { skipped, skippedIn, keptOnly } = this.#options;
    const { encoded, task } = features;
    if (encoded === null) return features;
    const skips = skippedIn.includes(task ?? 'document');
    const isKept = (id: number) =>
      !(skips && skipped.has(id)) && (task === 'query' || keptOnly === null || keptOnly.has(id));
    return { ...features, compared: encoded.inputIds.map((row) => row.map(isKept)) };
  }
}

/** The ids of words that are one token each. Others are ignored: [UNK] stands for real words of documents. */
export function idsOfWords(words: readonly string[], tokenizer: PretrainedTokenizer | null): Set<number> {
  const ids = words.map((word) => tokenizer?.tokenToId(word)).filter((id) => id !== undefined);
  return new Set(ids);
}
