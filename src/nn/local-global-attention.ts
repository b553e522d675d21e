// Attention within windows, with some global tokens, which attend to all tokens and to which all attend. The cost is
// proportional to the number of tokens times the window.

import type { Tensor } from '../core/tensor.js';
import { attention } from '../ops/attention.js';
import { attentionWeights } from '../ops/attention-weights.js';
import { concat, gather } from '../ops/move.js';
import { MultiHeadAttention, type MultiHeadOptions } from './attention.js';
import type { Initializer } from './init.js';
import { Linear, type Projection } from './linear.js';
import { Sequences } from './sequences.js';

/** Positions of the global tokens in each sequence, in ascending order. */
export type Globals = readonly (readonly number[])[];

/** Sequences in which some tokens are global. */
export class GlobalSequences extends Sequences {
  constructor(
    { positions, lengths, counts, isToken }: Sequences,
    readonly globals: Globals,
  ) {
    super(positions, lengths, counts, isToken);
  }
}

/** Options of an encoder's self-attention. `window`: number of keys to one side of a query, including its own. */
export type LocalGlobalOptions = Pick<MultiHeadOptions, 'dModel' | 'heads' | 'dropout'> & { readonly window: number };

/**
 * The attention of Longformer (Beltagy, Peters, Cohan 2020, arXiv 2004.05150). A token attends to its window and to all
 * global tokens. A global token attends to all tokens, with separate projections. Padding attends to nothing.
 *
 * The queries of a sequence are cut into blocks of `window`. A block and the keys that its queries need are one item of
 * the op `attention`.
 */
export class LocalGlobalAttention extends MultiHeadAttention {
  /** Projection to queries, keys and values of the global tokens' attention, side by side. */
  readonly globalQkv: Projection;

  constructor(init: Initializer, options: LocalGlobalOptions) {
    super(init, options);
    const width = this.heads * this.headSize;
    this.globalQkv = new Linear(init, options.dModel, [width, width, width]);
  }

  /**
   * `x` and the result: float32 [N, dModel]. A `GlobalSequences` as `batch` marks global tokens. `observe` receives the
   * same maps as transformers returns, [B, heads, T, G + 2·window − 1]: G global tokens, then the window. The rows of
   * global tokens are 0.
   */
  override forward(x: Tensor, batch: Sequences): Tensor {
    const { heads, scale } = this;
    const { device } = x;
    const window = this.window as number;
    const globals = batch instanceof GlobalSequences ? batch.globals : [];
    const blocks = blocksOf(batch, globals, window);
    const { starts } = batch;
    const rows = blocks.flatMap(({ sequence, keys }) => keys.map((key) => (starts[sequence] as number) + key));
    const { q, kv } = this.project(x, { positions: batch.positions, length: batch.longest });
    const [k, v] = halves(gather(kv, device.tensor(Int32Array.from(rows)))); // each [keys of all blocks, heads·d]
    const options = {
      heads,
      scale,
      mask: maskOf(blocks, batch, globals, window),
      lengthsQ: blocks.map(({ queries }) => queries),
      lengthsK: blocks.map(({ keys }) => keys.length),
    };
    const local = attention(q, k, v, { ...options, dropout: this.dropout?.options }); // [N, heads·d]
    const outputs = globals.some(({ length }) => length > 0)
      ? this.#withGlobalOutputs(local, x, batch, globals)
      : local;
    this.observe?.({
      outputs,
      weights: () => byDistance(attentionWeights(q, k, options), blocks, batch, globals, window),
      parts: null,
    });
    return this.outProj.forward(outputs);
  }

  /** Replaces the rows of global tokens in `local`, [N, heads·d], by the results of their own attention. */
  #withGlobalOutputs(local: Tensor, x: Tensor, batch: Sequences, globals: Globals): Tensor {
    const { heads, scale } = this;
    const { starts, counts, isToken, longest, size, total } = batch;
    const rows = globals.flatMap((positions, i) => positions.map((position) => (starts[i] as number) + position));
    const q = this.globalQkv.part(gather(x, x.device.tensor(Int32Array.from(rows))), 0, 1); // [G, heads·d]
    const [k, v] = halves(this.globalQkv.part(x, 1, 3));
    const keys = isToken && Int32Array.from(isToken.flat(), Number);
    const found = attention(q, k, v, {
      heads,
      scale,
      lengthsQ: globals.map(({ length }) => length),
      lengthsK: counts,
      mask: keys && x.device.tensor(keys, [size, 1, 1, longest]),
      dropout: this.dropout?.options,
    });
    const order = Int32Array.from({ length: total }, (_, row) => row);
    for (const [i, row] of rows.entries()) order[row] = total + i;
    return gather(concat([local, found]), x.device.tensor(order));
  }
}

/** Splits keys and values that lie side by side, [N, 2·heads·d], into two tensors [N, heads·d]. */
export function halves(kv: Tensor): [Tensor, Tensor] {
  const width = (kv.shape[1] as number) / 2;
  return [kv.columns(0, width), kv.columns(width, 2 * width)];
}

/** Consecutive queries of a sequence, and the keys that at least one of them attends to. */
export interface Block {
  readonly sequence: number;
  /** `query`: position of the first query. `queries`: their number. */
  readonly query: number;
  readonly queries: number;
  /** Positions of the keys: first the global tokens, then the keys around the queries. */
  readonly keys: readonly number[];
}

/** Cuts the queries of all sequences into blocks. */
export function blocksOf({ counts }: Sequences, globals: Globals, window: number): Block[] {
  return counts.flatMap((count, sequence) =>
    Array.from({ length: Math.ceil(count / window) }, (_, i) => {
      const query = i * window;
      const end = Math.min(count, query + window);
      const [first, last] = [Math.max(0, query - window + 1), Math.min(count, end + window - 1)];
      const nearby = Array.from({ length: last - first }, (_, key) => first + key);
      return { sequence, query, queries: end - query, keys: [...(globals[sequence] ?? []), ...nearby] };
    }),
  );
}

/**
 * Returns int32 [blocks, 1, queries, keys]: 1 if a query attends to a key. A global key counts once, even if it is in
 * the window. Global queries attend to nothing here.
 */
function maskOf(blocks: readonly Block[], { positions, isToken }: Sequences, globals: Globals, window: number): Tensor {
  const [rows, columns] = [maxOf(blocks, ({ queries }) => queries), maxOf(blocks, ({ keys }) => keys.length)];
  const mask = new Int32Array(blocks.length * rows * columns);
  for (const [i, { sequence, query, queries, keys }] of blocks.entries()) {
    const [globalKeys, tokens] = [globals[sequence] ?? [], isToken?.[sequence]];
    const isGlobal = new Set(globalKeys);
    const seen = Int32Array.from(keys, (key, column) =>
      Number((column < globalKeys.length || !isGlobal.has(key)) && (tokens?.[key] ?? true)),
    );
    const first = keys[globalKeys.length] as number;
    for (let row = 0; row < queries; row++) {
      const position = query + row;
      if (isGlobal.has(position) || tokens?.[position] === false) continue;
      const offset = (i * rows + row) * columns;
      mask.set(seen.subarray(0, globalKeys.length), offset);
      const from = globalKeys.length + Math.max(0, position - window + 1 - first);
      mask.set(seen.subarray(from, globalKeys.length + position + window - first), offset + from);
    }
  }
  return positions.device.tensor(mask, [blocks.length, 1, rows, columns]);
}

/**
 * Rearranges the probabilities of blocks, [blocks, heads, queries, keys], to [B, heads, T, G + 2·window − 1]. The first
 * G columns are the global tokens, the others are distances from query to key.
 */
export function byDistance(
  weights: Tensor,
  blocks: readonly Block[],
  batch: Sequences,
  globals: Globals,
  window: number,
): Tensor {
  const [, heads, rows, columns] = weights.shape as readonly [number, number, number, number];
  const { size, longest } = batch;
  const before = maxOf(globals, ({ length }) => length);
  const width = before + 2 * window - 1;
  const indices = new Int32Array(size * heads * longest * width).fill(weights.size); // index of an appended zero
  for (const [i, { sequence, query, queries, keys }] of blocks.entries()) {
    const globalCount = globals[sequence]?.length ?? 0;
    for (let n = 0; n < heads * queries; n++) {
      const [head, row] = [Math.floor(n / queries), n % queries];
      const from = ((i * heads + head) * rows + row) * columns;
      const to = ((sequence * heads + head) * longest + query + row) * width;
      for (const [index, key] of keys.entries()) {
        const column = index < globalCount ? index : before + key - (query + row) + window - 1;
        if (index < globalCount || (column >= before && column < width)) indices[to + column] = from + index;
      }
    }
  }
  const values = concat([weights.reshape(weights.size, 1), weights.device.zeros([1, 1])]);
  return gather(values, weights.device.tensor(indices)).reshape(size, heads, longest, width);
}

function maxOf<T>(items: readonly T[], sizeOf: (item: T) => number): number {
  return items.reduce((largest, item) => Math.max(largest, sizeOf(item)), 0);
}
