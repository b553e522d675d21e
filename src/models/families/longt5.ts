import type { Tensor } from '../../core/tensor.js';
import type { AttentionMaps } from '../../inspect/attention-maps.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import type { Randomness } from '../../nn/dropout.js';
import type { Initializer } from '../../nn/init.js';
import { type Block, blocksOf, byDistance, type Globals, halves } from '../../nn/local-global-attention.js';
import { type Norm, RMSNorm } from '../../nn/norm.js';
import { BucketBias, bucketOf } from '../../nn/position-bias.js';
import type { Sequences } from '../../nn/sequences.js';
import type { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { attention } from '../../ops/attention.js';
import { attentionWeights } from '../../ops/attention-weights.js';
import { concat, gather, permute } from '../../ops/move.js';
import { sum } from '../../ops/reduce.js';
import type { Family } from '../family.js';
import { type ModelOutput, type PaddingUse, unpackMaps } from '../inputs.js';
import type { ModelConfig } from '../model-config.js';
import type { BatchLayout, FamilyContext } from '../pretrained-model.js';
import { T5, T5Encoder, t5, t5Stack } from './t5.js';

/**
 * LongT5 (Guo et al. 2021, arXiv 2112.07916): T5 for long sources. A source token attends to those within a radius, and
 * with `transient-global` also to the sums of blocks of tokens.
 */
export class LongT5 extends T5 {
  constructor(context: FamilyContext) {
    super(context, ['none', 'language-model']);
  }

  protected override makeEncoder(context: FamilyContext): Stack {
    return longStack(context, this.randomness);
  }

  /** Graphs have the projections of the sums a second time. */
  override ignores(name: string): boolean {
    return isCopy(name);
  }

  /**
   * Attention maps of an encoder with sums are [B, heads, T, sums + 2·radius + 1]: columns after the sums are
   * distances.
   */
  protected override mapsOf(maps: AttentionMaps, output: ModelOutput, layout: BatchLayout): ModelOutput {
    if (!hasSums(this.settings)) return super.mapsOf(maps, output, layout);
    return {
      ...super.mapsOf({ ...maps, encoder: [] }, output, layout),
      encoderAttentions: unpackMaps(maps.encoder, layout.source, null),
    };
  }

  protected override get stateNames(): StateNames {
    return longNames(super.stateNames, this.settings, 'encoder');
  }
}

/** LongT5's encoder alone. */
export class LongT5Encoder extends T5Encoder {
  protected override makeEncoder(context: FamilyContext): Stack {
    return longStack(context, this.randomness);
  }

  /** Graphs have the projections of the sums a second time. */
  override ignores(name: string): boolean {
    return isCopy(name);
  }

  /** Blocks of tokens begin with the first token of a text. */
  protected override paddingUse(): PaddingUse {
    return 'dropped';
  }

  protected override mapsOf(maps: AttentionMaps, output: ModelOutput, layout: BatchLayout): ModelOutput {
    if (!hasSums(this.settings)) return super.mapsOf(maps, output, layout);
    return { attentions: unpackMaps(maps.encoder, layout.source, null) };
  }

  protected override get stateNames(): StateNames {
    return longNames(super.stateNames, this.settings, 'transformer.encoder');
  }
}

/** True for attention to sums of blocks of tokens, too. Throws FormatError for an unknown kind of attention. */
function hasSums(config: ModelConfig): boolean {
  return config.oneOf('encoder_attention_type', { local: false, 'transient-global': true });
}

function longStack({ init, config }: FamilyContext, randomness: Randomness): Stack {
  const window = config.size('local_radius') + 1;
  if (!hasSums(config))
    return t5Stack(init, config, randomness, false, (options) => new MultiHeadAttention(init, { ...options, window }));
  const buckets = config.size('relative_attention_num_buckets');
  const maxDistance = config.size('relative_attention_max_distance');
  const sizes = { window, block: config.size('global_block_size'), buckets, maxDistance };
  const sideBias = new BucketBias(init, { heads: config.size('num_heads'), buckets, maxDistance, bidirectional: true });
  const sideCache: SideCache = new WeakMap();
  const norm = () => new RMSNorm(init, config.size('d_model'), config.number('layer_norm_epsilon'));
  return t5Stack(
    init,
    config,
    randomness,
    false,
    (options) => new TransientGlobalAttention(init, options, sizes, { sideBias, sideCache, norm }),
  );
}

/** Names of the encoder's attention instead of T5's. `name`: the encoder in checkpoints. */
function longNames(names: StateNames, config: ModelConfig, name: string): StateNames {
  const attentionName = hasSums(config) ? 'TransientGlobalSelfAttention' : 'LocalSelfAttention';
  const renamed = (storedName: string | null) =>
    storedName?.startsWith(`${name}.`) ? storedName.replace('.SelfAttention.', `.${attentionName}.`) : storedName;
  const entries = Object.entries(names).map(([path, target]) => [
    path,
    Array.isArray(target) ? target.map(renamed) : renamed(target as string),
  ]);
  const attention = `${name}.block.*.layer.0.${attentionName}`;
  return {
    ...Object.fromEntries(entries),
    'encoder.layers.*.self_attn.global_norm': `${attention}.global_input_layer_norm`,
    'encoder.layers.0.self_attn.side_bias': `${attention.replace('*', '0')}.global_relative_attention_bias`,
    'encoder.layers.*.self_attn.side_bias': [null],
  };
}

const isCopy = (name: string) => /\.TransientGlobalSelfAttention\.[kv]_1\.weight$/.test(name);

interface SideSizes {
  /** Number of keys to one side of a query, including its own. */
  readonly window: number;
  /** Tokens of a sum. */
  readonly block: number;
  readonly buckets: number;
  readonly maxDistance: number;
}

/** Parts that all layers share, and a function that makes the norm of one. */
interface SideParts {
  readonly sideBias: BucketBias;
  readonly sideCache: SideCache;
  readonly norm: () => Norm;
}

/** The keys of each query, which are the same in all layers. */
interface SideIndices {
  readonly blocks: readonly Block[];
  /** The sums of each sequence. */
  readonly globals: Globals;
  /** Rows of the tokens of each sum, [sums, width]. The row after the last token stands for nothing. */
  readonly members: Int32Array;
  readonly width: number;
  /** Rows of the keys of all blocks: tokens, and the sums after them. */
  readonly keys: Int32Array;
  /** Shape [blocks, queries, keys]: 1 if a query attends to a key; the row of its bias in the two tables. */
  readonly mask: Int32Array;
  readonly biasRows: Int32Array;
  readonly shape: readonly [blocks: number, queries: number, keys: number];
}

type SideCache = WeakMap<Sequences, SideIndices>;

/**
 * Attention to the tokens within a window and to normalized sums of blocks of tokens, which are projected like tokens.
 * Tokens after the last whole block belong to it.
 */
class TransientGlobalAttention extends MultiHeadAttention {
  readonly globalNorm: Norm;
  /** Biases of the distances, in blocks, from a token's sum to another. */
  readonly sideBias: BucketBias;
  readonly #sideCache: SideCache;

  constructor(
    init: Initializer,
    options: MultiHeadOptions,
    private readonly sizes: SideSizes,
    { sideBias, sideCache, norm }: SideParts,
  ) {
    super(init, options);
    this.sideBias = sideBias;
    this.globalNorm = norm();
    this.#sideCache = sideCache;
  }

  /** `x` and the result: float32 [N, dModel]. */
  override forward(x: Tensor, batch: Sequences): Tensor {
    const { device } = x;
    const { heads, scale, sizes } = this;
    const side = this.#sideCache.get(batch) ?? sideIndicesOf(batch, sizes);
    this.#sideCache.set(batch, side);
    const { blocks, globals, members, width, keys, mask, biasRows, shape } = side;
    const { q, kv } = this.project(x, { positions: batch.positions, length: batch.longest });
    let all = kv; // [N + sums, keys | values]
    if (members.length > 0) {
      const padded = concat([x, device.zeros([1, x.shape[1] as number])]);
      const tokens = gather(padded, device.tensor(members, [members.length / width, width]));
      const sums = this.globalNorm.forward(sum(tokens, { axis: 1 })); // [sums, dModel]
      all = concat([kv, this.qkv.part(sums, 1, 3)]);
    }
    const [k, v] = halves(gather(all, device.tensor(keys))); // each [keys of all blocks, heads·d]
    const tables = concat([(this.positionBias as BucketBias).weight, this.sideBias.weight]); // [2·buckets, heads]
    const [count, queries, columns] = shape;
    const options = {
      heads,
      scale,
      mask: device.tensor(mask, [count, 1, queries, columns]),
      bias: permute(gather(tables, device.tensor(biasRows, shape)), [0, 3, 1, 2]), // [blocks, heads, queries, keys]
      lengthsQ: blocks.map((block) => block.queries),
      lengthsK: blocks.map((block) => block.keys.length),
    };
    const outputs = attention(q, k, v, { ...options, dropout: this.dropout?.options }); // [N, heads·d]
    this.observe?.({
      outputs,
      weights: () => byDistance(attentionWeights(q, k, options), blocks, batch, globals, sizes.window),
      parts: null,
    });
    return this.outProj.forward(outputs);
  }
}

function sideIndicesOf(batch: Sequences, { window, block, buckets, maxDistance }: SideSizes): SideIndices {
  const { counts, starts, total } = batch;
  const globals = counts.map((count) => Array.from({ length: Math.floor(count / block) }, (_, i) => i));
  const firsts: number[] = [];
  let sums = 0;
  for (const { length } of globals) {
    firsts.push(total + sums);
    sums += length;
  }
  const width = 2 * block - 1; // the last sum has the tokens of an incomplete block, too
  const members = new Int32Array(sums * width).fill(total);
  for (const [sequence, sequenceSums] of globals.entries())
    for (const sum of sequenceSums) {
      const end = sum === sequenceSums.length - 1 ? (counts[sequence] as number) : (sum + 1) * block;
      const start = ((firsts[sequence] as number) - total + sum) * width;
      for (let token = sum * block; token < end; token++)
        members[start + token - sum * block] = (starts[sequence] as number) + token;
    }
  const blocks = blocksOf(batch, globals, window);
  const [queries, columns] = [0, 1].map((side) =>
    blocks.reduce((max, entry) => Math.max(max, side === 0 ? entry.queries : entry.keys.length), 0),
  ) as [number, number];
  const shape = [blocks.length, queries, columns] as const;
  const mask = new Int32Array(blocks.length * queries * columns);
  const biasRows = new Int32Array(mask.length);
  const bucket = (distance: number) => bucketOf(distance, buckets, maxDistance, true);
  for (const [i, { sequence, query, queries: queryCount, keys }] of blocks.entries()) {
    const count = globals[sequence]?.length ?? 0;
    for (let row = 0; row < queryCount; row++) {
      const [offset, position] = [(i * queries + row) * columns, query + row];
      const ownSum = Math.min(Math.floor(position / block), count - 1);
      for (const [column, key] of keys.entries()) {
        const isSum = column < count;
        mask[offset + column] = Number(isSum || Math.abs(key - position) < window);
        biasRows[offset + column] = isSum ? buckets + bucket(key - ownSum) : bucket(key - position);
      }
    }
  }
  const keys = blocks.flatMap(({ sequence, keys: blockKeys }) =>
    blockKeys.map((key, column) => {
      const isSum = column < (globals[sequence]?.length ?? 0);
      return ((isSum ? firsts : starts)[sequence] as number) + key;
    }),
  );
  return { blocks, globals, members, width, keys: Int32Array.from(keys), mask, biasRows, shape };
}

const { gguf: _, encoderOnly: __, ...plain } = t5;

export const longT5: Family = {
  ...plain,
  model: LongT5,
  encoder: LongT5Encoder,
  className: 'LongT5',
  generationClass: 'LongT5ForConditionalGeneration',
  defaults: {
    ...t5.defaults,
    local_radius: 127,
    global_block_size: 16,
    encoder_attention_type: 'local',
    decoder_start_token_id: 0,
  },
};
