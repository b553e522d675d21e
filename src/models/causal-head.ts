import type { Embedding } from '../nn/embedding.js';
import { Linear } from '../nn/linear.js';
import { labelsOf } from './config-values.js';
import { PredictionHead, vocabularyOutput } from './prediction-head.js';
import type { FamilyContext, HeadKind } from './pretrained-model.js';

/**
 * What a decoder predicts: the next token, of the body's features or, if tied, with the table of tokens; or labels of a
 * sequence, of its last token's features.
 */
export function causalHead({ init, config, head }: FamilyContext, tokens: Embedding): PredictionHead | null {
  const features = tokens.weight.shape[1] as number;
  switch (head) {
    case 'none':
      return null;
    case 'sequence-classification':
      return new PredictionHead({ pick: 'last', out: new Linear(init, features, labelsOf(config).length, false) });
    default: {
      const out = vocabularyOutput(init, tokens, config.flag('tie_word_embeddings'), false);
      return new PredictionHead({ pick: 'tokens', out });
    }
  }
}

/** The name of the output projection in checkpoints. */
export function headName(head: HeadKind): string {
  return head === 'sequence-classification' ? 'score' : 'lm_head';
}
