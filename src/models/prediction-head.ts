import type { Tensor } from '../core/tensor.js';
import type { Embedding } from '../nn/embedding.js';
import type { Initializer } from '../nn/init.js';
import { Linear, TiedLinear } from '../nn/linear.js';
import { Module } from '../nn/module.js';
import type { Norm } from '../nn/norm.js';
import { pool } from '../nn/pooling.js';
import type { Sequences } from '../nn/sequences.js';
import type { Activation } from '../ops/activation.js';

/** Which rows of a sequence a head reads: all of them, its first or last one, or the mean. */
export type Pick = 'tokens' | 'first' | 'last' | 'mean';

/** The parts of a head, in the order in which features pass them. */
export interface HeadParts {
  readonly pick: Pick;
  readonly dense?: Linear | null | undefined;
  readonly activation?: Activation | undefined;
  readonly norm?: Norm | null | undefined;
  /** What gives logits; none if the features are the result, as a pooler's. */
  readonly out?: Linear | TiedLinear | null | undefined;
}

/** Logits of features: out(norm(activation(dense(picked)))), whatever of that a family has. */
export class PredictionHead extends Module {
  readonly dense: Linear | null;
  readonly norm: Norm | null;
  readonly out: Linear | TiedLinear | null;

  readonly pick: Pick;

  constructor(private readonly parts: HeadParts) {
    super();
    this.pick = parts.pick;
    this.dense = parts.dense ?? null;
    this.norm = parts.norm ?? null;
    this.out = parts.out ?? null;
  }

  /** `features`: float32 [N, d], the rows of `batch`; the result is [N, logits], or [B, logits] if one row is picked. */
  forward(features: Tensor, batch: Sequences): Tensor {
    const { dense, norm, out } = this;
    const { activation = 'none' } = this.parts;
    let x = this.pick === 'tokens' ? features : pool(features, batch, this.pick);
    if (dense) x = dense.forward(x, activation);
    if (norm) x = norm.forward(x);
    return out?.forward(x) ?? x;
  }
}

/** The output projection of a language model: the token embedding, or a matrix of its own. */
export function vocabularyOutput(
  init: Initializer,
  tokens: Embedding,
  isTied: boolean,
  bias: boolean,
): Linear | TiedLinear {
  const [vocabulary, features] = tokens.weight.shape as [number, number];
  return isTied ? new TiedLinear(init, tokens.weight, bias) : new Linear(init, features, vocabulary, bias);
}
