import type { Tensor } from '../../core/tensor.js';
import type { AttentionMaps } from '../../inspect/attention-maps.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import type { Randomness } from '../../nn/dropout.js';
import type { Initializer } from '../../nn/init.js';
import { type Block, blocksOf, byDistance, type Globals, halves } from '../../nn/local-global-attention.js';
import { type Norm, RMSNorm } from '../../nn/norm.js';
import { BucketBias, bucketOf } from '../../nn/position-bias.js';
import { Sequences } from '../../nn/sequences.js';
import type { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { attention } from '../../ops/attention.js';
import { attentionWeights } from '../../ops/attention-weights.js';
import { concat, gather, permute } from '../../ops/move.js';
import { sum } from '../../ops/reduce.js';
import type { Family } from '../family.js';
import { type ModelOutput, type PaddedBatch, unpackMaps } from '../inputs.js';
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

  protected override sequencesOf(padded: PaddedBatch): Sequences {
    return new SequencesInRows(padded);
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

  protected override sequencesOf(padded: PaddedBatch): Sequences {
    return new SequencesInRows(padded);
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

/** Sequences that may begin after padding. Blocks of tokens are counted from the start of a row, as in transformers. */
class SequencesInRows extends Sequences {
  /** Column in its row at which each sequence begins. */
  readonly firstColumns: readonly number[];

  constructor({ sequences, starts }: PaddedBatch) {
    super(sequences.positions, sequences.lengths, sequences.counts, sequences.isToken);
    this.firstColumns = starts;
  }
}

/**
 * Attention to the tokens within a window and to normalized sums of blocks of tokens, which are projected like tokens.
 * Tokens after the last whole block belong to it. A block that is padding has the sum 0, to which tokens attend.
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

/** The sum of each token of each sequence. It is −1 for padding, and for all tokens of a sequence without sums. */
function sumsOfTokens(batch: Sequences, block: number): Int32Array[] {
  const firstColumns = batch instanceof SequencesInRows ? batch.firstColumns : [];
  return batch.counts.map((count, i) => {
    const first = firstColumns[i] ?? 0;
    const isToken = batch.isToken?.[i] ?? Array<boolean>(count).fill(true);
    const ends = isToken.filter((isReal, position) => isReal && (first + position) % block === block - 1);
    return Int32Array.from(isToken, (isReal, position) =>
      isReal ? Math.min(Math.floor((first + position) / block), ends.length - 1) : -1,
    );
  });
}

function sideIndicesOf(batch: Sequences, sizes: SideSizes): SideIndices {
  const { counts, starts, total } = batch;
  const tokenSums = sumsOfTokens(batch, sizes.block);
  const globals = tokenSums.map((ofTokens) =>
    Array.from({ length: ofTokens.reduce((max, sum) => Math.max(max, sum), -1) + 1 }, (_, i) => i),
  );
  const firsts: number[] = [];
  const tokensOfSums: number[][] = []; // rows of the tokens of each sum of all sequences
  for (const [sequence, { length }] of globals.entries()) {
    firsts.push(total + tokensOfSums.length);
    const rows = Array.from({ length }, (): number[] => []);
    for (let token = 0; token < (counts[sequence] as number); token++)
      rows[tokenSums[sequence]?.[token] as number]?.push((starts[sequence] as number) + token);
    tokensOfSums.push(...rows);
  }
  const width = tokensOfSums.reduce((max, { length }) => Math.max(max, length), 0);
  const members = new Int32Array(tokensOfSums.length * width).fill(total);
  for (const [i, rows] of tokensOfSums.entries()) members.set(rows, i * width);
  const blocks = blocksOf(batch, globals, sizes.window);
  const keys = blocks.flatMap(({ sequence, keys: blockKeys }) =>
    blockKeys.map((key, column) => {
      const isSum = column < (globals[sequence]?.length ?? 0);
      return ((isSum ? firsts : starts)[sequence] as number) + key;
    }),
  );
  const pairs = pairsOf(blocks, batch, globals, tokenSums, sizes);
  return { blocks, globals, members, width, keys: Int32Array.from(keys), ...pairs };
}

/** Which queries of the blocks attend to which keys, and the rows of their biases. */
function pairsOf(
  blocks: readonly Block[],
  { isToken }: Sequences,
  globals: Globals,
  tokenSums: readonly Int32Array[],
  { window, buckets, maxDistance }: SideSizes,
): Pick<SideIndices, 'mask' | 'biasRows' | 'shape'> {
  const [queries, columns] = [0, 1].map((side) =>
    blocks.reduce((max, entry) => Math.max(max, side === 0 ? entry.queries : entry.keys.length), 0),
  ) as [number, number];
  const mask = new Int32Array(blocks.length * queries * columns);
  const biasRows = new Int32Array(mask.length);
  const bucket = (distance: number) => bucketOf(distance, buckets, maxDistance, true);
  for (const [i, { sequence, query, queries: queryCount, keys }] of blocks.entries()) {
    const count = globals[sequence]?.length ?? 0;
    const isReal = (position: number) => isToken?.[sequence]?.[position] ?? true;
    for (let row = 0; row < queryCount; row++) {
      const [offset, position] = [(i * queries + row) * columns, query + row];
      const ownSum = tokenSums[sequence]?.[position] as number;
      for (const [column, key] of keys.entries()) {
        const isSum = column < count;
        const isNear = Math.abs(key - position) < window && isReal(key);
        mask[offset + column] = Number(isReal(position) && (isSum || isNear));
        biasRows[offset + column] = isSum ? buckets + bucket(key - ownSum) : bucket(key - position);
      }
    }
  }
  return { mask, biasRows, shape: [blocks.length, queries, columns] };
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
