import { Dropout, type Randomness } from '../nn/dropout.js';
import type { Embedding } from '../nn/embedding.js';
import { Linear } from '../nn/linear.js';
import { labelsOf } from './labels.js';
import { chooseHead, type HeadKind, PredictionHead, vocabularyOutput } from './prediction-head.js';
import type { FamilyContext } from './pretrained-model.js';

export interface CausalHeadOptions {
  /** True if transformers has a class for question answering. Default: true. */
  readonly answers?: boolean;
  /** True if the projection to token logits adds a bias. Default: false. */
  readonly outputBias?: boolean;
}

/**
 * The head of a decoder. It predicts the next token, token labels, a label of the sequence from its last token, or the
 * first and last token of an answer. If embeddings are tied, the output projection of tokens is the token table.
 */
export function causalHead(
  { init, config, head }: FamilyContext,
  tokens: Embedding,
  randomness: Randomness,
  { answers = true, outputBias = false }: CausalHeadOptions = {},
): PredictionHead | null {
  const features = tokens.weight.shape[1] as number;
  const labels = (bias: boolean) => new Linear(init, features, labelsOf(config.values).length, bias);
  const p = config.numberOrNull('classifier_dropout') ?? config.numberOrNull('hidden_dropout') ?? 0.1;
  return chooseHead(config, head, {
    'language-model': () =>
      new PredictionHead({
        pick: 'tokens',
        out: vocabularyOutput(init, tokens, config.flag('tie_word_embeddings'), outputBias),
      }),
    'sequence-classification': () => new PredictionHead({ pick: 'last', out: labels(false) }),
    'token-classification': () =>
      new PredictionHead({ pick: 'tokens', dropout: new Dropout(p, randomness), out: labels(true) }),
    ...(answers && {
      'question-answering': () => new PredictionHead({ pick: 'tokens', out: new Linear(init, features, 2) }),
    }),
  });
}

/** Name of the output projection in checkpoints. `classifier` is its name in a classifier of tokens. */
export function headName(head: HeadKind, classifier = 'score'): string {
  if (head === 'token-classification') return classifier;
  if (head === 'question-answering') return 'qa_outputs';
  return head === 'sequence-classification' ? 'score' : 'lm_head';
}
