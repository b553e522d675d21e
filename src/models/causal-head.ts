import { Dropout, type Randomness } from '../nn/dropout.js';
import type { Embedding } from '../nn/embedding.js';
import { Linear } from '../nn/linear.js';
import { labelsOf } from './config-values.js';
import { chooseHead, type HeadKind, PredictionHead, vocabularyOutput } from './prediction-head.js';
import type { FamilyContext } from './pretrained-model.js';

/**
 * What a decoder predicts: the next token, of the body's features or, if tied, with the table of tokens; labels of tokens;
 * or of a sequence, of the features of its last token; where `answers` an answer begins and ends, as transformers has a class
 * for.
 */
export function causalHead(
  { init, config, head }: FamilyContext,
  tokens: Embedding,
  randomness: Randomness,
  answers = true,
): PredictionHead | null {
  const features = tokens.weight.shape[1] as number;
  const labels = (bias: boolean) => new Linear(init, features, labelsOf(config).length, bias);
  const p = config.numberOrNull('classifier_dropout') ?? config.numberOrNull('hidden_dropout') ?? 0.1;
  return chooseHead(config, head, {
    'language-model': () =>
      new PredictionHead({
        pick: 'tokens',
        out: vocabularyOutput(init, tokens, config.flag('tie_word_embeddings'), false),
      }),
    'sequence-classification': () => new PredictionHead({ pick: 'last', out: labels(false) }),
    'token-classification': () =>
      new PredictionHead({ pick: 'tokens', dropout: new Dropout(p, randomness), out: labels(true) }),
    ...(answers && {
      'question-answering': () => new PredictionHead({ pick: 'tokens', out: new Linear(init, features, 2) }),
    }),
  });
}

/** The name of the output projection in checkpoints; `classifier` is that of a classifier of tokens. */
export function headName(head: HeadKind, classifier = 'score'): string {
  if (head === 'token-classification') return classifier;
  if (head === 'question-answering') return 'qa_outputs';
  return head === 'sequence-classification' ? 'score' : 'lm_head';
}
