import { FormatError } from '../../../core/errors.js';
import { SentenceModule, type TextFeatures } from '../features.js';
import type { ModuleFolder } from '../module-folder.js';

/**
 * The score of a pair by the next token of a language model: the logit of one token, or its difference to another's.
 */
export class LogitScore extends SentenceModule {
  constructor(
    readonly trueId: number,
    /** Null: the score is the logit of `trueId`. */
    readonly falseId: number | null,
  ) {
    super();
  }

  static async read({ path, config }: ModuleFolder): Promise<LogitScore> {
    const { true_token_id: yes, false_token_id: no = null } = await config();
    const isId = (id: unknown) => Number.isInteger(id) && (id as number) >= 0;
    if (isId(yes) && (no === null || isId(no))) return new LogitScore(yes as number, no as number | null);
    throw new FormatError(`${path}/config.json: true_token_id is ${yes}, false_token_id is ${no}, expected token ids`);
  }

  /** Pairs are scored by `predict`, which computes only the logits of the last token. */
  override forward(features: TextFeatures): TextFeatures {
    return features;
  }
}
