import type { Randomness } from '../nn/dropout.js';
import type { Embedding } from '../nn/embedding.js';
import { Linear } from '../nn/linear.js';
import { dropoutOf } from './config-values.js';
import { labelsOf } from './labels.js';
import { PredictionHead, vocabularyOutput } from './prediction-head.js';
import type { FamilyContext } from './pretrained-model.js';

/**
 * The head of an encoder–decoder. It predicts the next token, a label of the sequence, or the first and last token of an
 * answer. `isTied`: true if the output projection of tokens is the table `tokens`.
 */
export function seq2seqHead(
  { init, config, head }: FamilyContext,
  tokens: Embedding,
  isTied: boolean,
  randomness: Randomness,
): PredictionHead | null {
  const features = config.size('d_model');
  const labels = labelsOf(config.values).length;
  switch (head) {
    case 'language-model':
      return new PredictionHead({ pick: 'tokens', out: vocabularyOutput(init, tokens, isTied, false) });
    case 'sequence-classification': {
      const [dense, out] = [new Linear(init, features, features), new Linear(init, features, labels)];
      const [inputDropout, dropout] = [0, 1].map(() => dropoutOf(config, 'classifier_dropout', randomness));
      return new PredictionHead({ pick: 'tokens', inputDropout, dense, activation: 'tanh', dropout, out });
    }
    case 'question-answering':
      return new PredictionHead({ pick: 'tokens', out: new Linear(init, features, 2) });
    default:
      return null;
  }
}
