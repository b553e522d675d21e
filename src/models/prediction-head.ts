import { FormatError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { Dropout } from '../nn/dropout.js';
import type { Embedding } from '../nn/embedding.js';
import type { Initializer } from '../nn/init.js';
import { Linear, TiedLinear } from '../nn/linear.js';
import { Module } from '../nn/module.js';
import type { Norm } from '../nn/norm.js';
import { type PoolingMode, pool } from '../nn/pooling.js';
import type { Sequences } from '../nn/sequences.js';
import type { StateNames } from '../nn/state-names.js';
import { type Activation, activate } from '../ops/activation.js';
import { concat } from '../ops/move.js';
import type { ModelConfig } from './model-config.js';

/** The values of transformers' `problem_type`. */
export const PROBLEM_TYPES = ['regression', 'single_label_classification', 'multi_label_classification'] as const;

/** Meaning of a classifier's numbers: a number, one of several classes, or several classes at once. */
export type ProblemType = (typeof PROBLEM_TYPES)[number];

/** Kinds of predictions, by the names of transformers' classes. */
export type HeadKind =
  | 'none'
  | 'language-model'
  | 'masked-language-model'
  | 'sequence-classification'
  | 'next-sentence'
  | 'token-classification'
  | 'question-answering'
  | 'discriminator'
  | 'pretraining'
  | 'image-classification'
  | 'object-detection'
  | 'semantic-segmentation'
  | 'panoptic-segmentation'
  | 'prompted-segmentation'
  | 'frame-classification'
  | 'x-vector'
  | 'depth-estimation'
  | 'image-super-resolution'
  | 'ctc'
  | 'transducer'
  | 'text-to-speech'
  | 'projection';

/**
 * Rows of a sequence that a head reads: all, a pooled one, or the first beside the mean of the others. 'meanOfOutputs'
 * reads all rows and averages the outputs.
 */
export type Pick = 'tokens' | PoolingMode | 'firstAndRest' | 'meanOfOutputs';

/** Parts of a head, in the order of computation. */
export interface HeadParts {
  readonly pick: Pick;
  /** Dropout of the picked rows, in training. */
  readonly inputDropout?: Dropout | null | undefined;
  readonly dense?: Linear | null | undefined;
  readonly activation?: Activation | undefined;
  readonly norm?: Norm | null | undefined;
  /** Dropout before `out`, in training. */
  readonly dropout?: Dropout | null | undefined;
  /** Projection to logits. Null if the features are the result, as in a pooler. */
  readonly out?: Linear | TiedLinear | null | undefined;
}

/** Logits of features: out(dropout(norm(activation(dense(dropout(picked)))))). Families omit some of these parts. */
export class PredictionHead extends Module {
  readonly dense: Linear | null;
  readonly norm: Norm | null;
  readonly out: Linear | TiedLinear | null;
  readonly inputDropout: Dropout | null;
  readonly dropout: Dropout | null;
  readonly pick: Pick;

  constructor(private readonly parts: HeadParts) {
    super();
    this.pick = parts.pick;
    this.dense = parts.dense ?? null;
    this.norm = parts.norm ?? null;
    this.out = parts.out ?? null;
    this.inputDropout = parts.inputDropout ?? null;
    this.dropout = parts.dropout ?? null;
  }

  /**
   * `features`: float32 [N, d], the rows of `batch`. Returns [N, logits], or [B, logits] if one row per sequence is
   * picked.
   */
  forward(features: Tensor, batch: Sequences): Tensor {
    if (this.pick === 'meanOfOutputs') return pool(this.read(features), batch, 'mean');
    return this.read(picked(features, batch, this.pick));
  }

  /** The prediction for picked rows. */
  read(rows: Tensor): Tensor {
    const { dense, norm, inputDropout, dropout } = this;
    const { activation = 'none' } = this.parts;
    let x = inputDropout?.forward(rows) ?? rows;
    x = dense ? dense.forward(x, activation) : activate('PredictionHead', x, activation);
    if (norm) x = norm.forward(x);
    return this.predict(dropout?.forward(x) ?? x);
  }

  /** The output projection of rows, if there is one. */
  protected predict(x: Tensor): Tensor {
    return this.out?.forward(x) ?? x;
  }
}

function picked(features: Tensor, batch: Sequences, pick: Exclude<Pick, 'meanOfOutputs'>): Tensor {
  if (pick === 'tokens') return features;
  if (pick !== 'firstAndRest') return pool(features, batch, pick);
  return concat([pool(features, batch, 'first'), pool(features, batch, 'meanOfRest')], -1);
}

/** The output projection of a language model: the token embedding, or a separate matrix. */
export function vocabularyOutput(
  init: Initializer,
  tokens: Embedding,
  isTied: boolean,
  bias: boolean,
): Linear | TiedLinear {
  const [vocabulary, features] = tokens.weight.shape as [number, number];
  return isTied ? new TiedLinear(init, tokens.weight, bias) : new Linear(init, features, vocabulary, bias);
}

/** Makes the head of a kind, among those of a family; null for none. Throws FormatError for another kind. */
export function chooseHead(
  config: ModelConfig,
  kind: HeadKind,
  heads: Partial<Record<HeadKind, () => PredictionHead>>,
): PredictionHead | null {
  if (kind === 'none') return null;
  checkHead({ config, head: kind }, ['none', ...(Object.keys(heads) as HeadKind[])]);
  return heads[kind]?.() ?? null;
}

/** Throws FormatError for a kind of head that a family lacks. */
export function checkHead(
  { config, head }: { readonly config: ModelConfig; readonly head: HeadKind },
  known: readonly HeadKind[],
): void {
  if (!known.includes(head))
    throw new FormatError(`config.json: ${config.type} has no head for ${head}, expected one of ${known.join(', ')}`);
}

/** Names in BERT's head that predicts words. */
export function wordPredictionNames(config: ModelConfig, norm = 'LayerNorm'): StateNames {
  const predictions = 'cls.predictions';
  return {
    'head.dense': `${predictions}.transform.dense`,
    'head.norm': `${predictions}.transform.${norm}`,
    'head.out.bias': config.flag('tie_word_embeddings') ? `${predictions}.bias` : `${predictions}.decoder.bias`,
    'head.out': `${predictions}.decoder`,
  };
}
