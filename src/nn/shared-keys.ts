// Attention whose keys and values later layers reuse (Gemma 3n, Gemma 4).

import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { concat } from '../ops/move.js';
import {
  MultiHeadAttention,
  type MultiHeadOptions,
  type ProjectedAttention,
  type ProjectedQueries,
  type RotaryContext,
} from './attention.js';
import type { Initializer } from './init.js';
import type { Norm } from './norm.js';
import type { Sequences } from './sequences.js';
import type { SharedTensors } from './shared-tensors.js';

export interface NormedValueOptions extends MultiHeadOptions {
  /** Normalizes each head of the values. */
  readonly vNorm: () => Norm;
}

/** Attention with normalized values. Later layers can reuse its keys and values; see `ReusingAttention`. */
export class NormedValueAttention extends MultiHeadAttention {
  readonly vNorm: Norm;
  #isKeySource = false;

  constructor(init: Initializer, { vNorm, ...options }: NormedValueOptions) {
    super(init, options);
    this.vNorm = vNorm();
  }

  get isKeySource(): boolean {
    return this.#isKeySource;
  }

  /** Makes it give its keys and values to later layers. */
  shareKeys(): void {
    this.#isKeySource = true;
  }

  protected override projectAll(
    x: Tensor,
    context: RotaryContext,
    shared: SharedTensors | undefined,
    batch: Sequences,
  ): ProjectedAttention {
    const projected = super.projectAll(x, context, shared, batch);
    if (this.#isKeySource) shared?.share(this, projected.kv);
    return projected;
  }

  protected override splitProjections(all: Tensor, context: RotaryContext): ProjectedAttention {
    const [queries, keys] = [this.heads * this.headSize, this.kvHeads * this.headSize];
    const q = this.normalizeAndRotate(all.columns(0, queries), this.qNorm, context);
    const k = all.columns(queries, queries + keys);
    const v = this.normalize(this.values(all, queries, keys), this.vNorm);
    return { q, kv: concat([this.normalizeAndRotate(k, this.kNorm, context), v], -1) };
  }

  /** Returns the projected values, before their norm. `queries` and `keys`: features of all their heads. */
  protected values(all: Tensor, queries: number, keys: number): Tensor {
    return all.columns(queries + keys, queries + 2 * keys);
  }
}

/** Attention whose values are the projected keys, before their norm and rotation (Gemma 4). */
export class KeysAsValuesAttention extends NormedValueAttention {
  protected override sectionWidths(queries: number, keys: number): number[] {
    return [queries, keys];
  }

  protected override values(all: Tensor, queries: number, keys: number): Tensor {
    return all.columns(queries, queries + keys);
  }
}

/** Attention that reuses the keys and values of an earlier layer. It projects only queries. */
export class ReusingAttention extends MultiHeadAttention {
  readonly #keySource: NormedValueAttention;

  /** Throws ArgumentError if the heads of keys differ from those of `keySource`. */
  constructor(init: Initializer, options: MultiHeadOptions, keySource: NormedValueAttention) {
    super(init, options);
    for (const name of ['kvHeads', 'headSize'] as const)
      if (this[name] !== keySource[name])
        throw new ArgumentError(
          `ReusingAttention: ${name} is ${this[name]}, expected ${keySource[name]} as in the layer whose keys it reuses`,
        );
    this.#keySource = keySource;
    keySource.shareKeys();
  }

  override get keySource(): MultiHeadAttention {
    return this.#keySource;
  }

  protected override sectionWidths(queries: number): number[] {
    return [queries];
  }

  protected override projectNew(x: Tensor, context: RotaryContext): ProjectedQueries & { readonly kv: null } {
    return { q: this.#queries(x, context), kv: null };
  }

  protected override projectAll(
    x: Tensor,
    context: RotaryContext,
    shared: SharedTensors | undefined,
  ): ProjectedAttention {
    if (!shared)
      throw new ArgumentError(
        'ReusingAttention: it reads the keys of an earlier layer, expected a pass through the whole Stack',
      );
    return { q: this.#queries(x, context), kv: shared.get(this.#keySource) };
  }

  /** Throws ArgumentError, because there are no keys to project. */
  override project(): never {
    throw new ArgumentError('ReusingAttention: its keys are those of an earlier layer');
  }

  #queries(x: Tensor, context: RotaryContext): Tensor {
    return this.normalizeAndRotate(this.qkv.forward(x), this.qNorm, context);
  }
}
