import { FormatError } from '../../core/errors.js';
import { lastOf, type Tensor } from '../../core/tensor.js';
import {
  MultiHeadAttention,
  type MultiHeadOptions,
  type ProjectedAttention,
  type RotaryContext,
} from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { type LayerContext, type LayerParts, TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { AffineNorm, LayerNorm, type Norm } from '../../nn/norm.js';
import type { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { add, greater, where } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { concat } from '../../ops/move.js';
import { activationOf, dropoutOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { PaddingUse } from '../inputs.js';
import { labelsOf } from '../labels.js';
import {
  chooseHead,
  type HeadParts,
  PredictionHead,
  vocabularyOutput,
  wordPredictionNames,
} from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { PairEncoder } from '../pretraining-head.js';
import { bert, bertLayerNames, classifierDropout, orderNames, outputName } from './bert.js';

/** Epsilon of layer norms for which transformers passes none. */
const DEFAULT_EPS = 1e-5;

/**
 * MobileBERT (Sun et al. 2020, arXiv 2004.02984): a deep and thin BERT. Between two bottlenecks, each layer has narrow
 * attention and several feed-forward networks. The input of a token combines its embedding with those of both
 * neighbours.
 */
export class MobileBert extends PairEncoder {
  readonly embeddings: TrigramEmbeddings;
  readonly encoder: Stack;
  override readonly pooler: PredictionHead | null;
  readonly head: PredictionHead | null;
  readonly order: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config, head } = context;
    const dModel = config.size('hidden_size');
    this.embeddings = new TrigramEmbeddings(context, this.#normOf(context), this.#dropout(context));
    this.encoder = new Stack(config.size('num_hidden_layers'), () => this.#layer(context), null);
    const pooled = () =>
      config.values.classifier_activation === false
        ? {}
        : ({ dense: new Linear(init, dModel, dModel), activation: 'tanh' } as const);
    this.pooler = head === 'none' ? new PredictionHead({ pick: 'first', ...pooled() }) : null;
    const dropout = () => new Dropout(classifierDropout(config), this.randomness);
    const labels = () => new Linear(init, dModel, labelsOf(config.values).length);
    const words = () => wordHead(context, this.embeddings.tokens);
    const order = () => new PredictionHead({ pick: 'first', ...pooled(), out: new Linear(init, dModel, 2) });
    this.head = chooseHead(config, head, {
      'masked-language-model': words,
      pretraining: words,
      'sequence-classification': () =>
        new PredictionHead({ pick: 'first', ...pooled(), dropout: dropout(), out: labels() }),
      'next-sentence': order,
      'token-classification': () => new PredictionHead({ pick: 'tokens', dropout: dropout(), out: labels() }),
      'question-answering': () => new PredictionHead({ pick: 'tokens', out: new Linear(init, dModel, 2) }),
    });
    this.order = head === 'pretraining' ? order() : null;
  }

  /** True if queries and keys read a narrowed input, and values the wide input of the layer. */
  get #readsValuesApart(): boolean {
    const { settings } = this;
    const isNarrow = settings.flag('use_bottleneck_attention');
    return settings.flag('use_bottleneck') && !isNarrow && settings.flag('key_query_shared_bottleneck');
  }

  #dropout({ config }: FamilyContext): Dropout {
    return new Dropout(config.number('hidden_dropout_prob'), this.randomness);
  }

  #normOf({ init, config }: FamilyContext): (features: number, eps?: number) => Norm {
    return config.oneOf('normalization_type', {
      no_norm: (features) => new AffineNorm(init, features),
      layer_norm: (features: number, eps = DEFAULT_EPS) => new LayerNorm(init, features, eps),
    });
  }

  #layer(context: FamilyContext): MobileBertLayer {
    const { init, config } = context;
    const normOf = this.#normOf(context);
    const eps = config.number('layer_norm_eps');
    const wide = config.size('hidden_size');
    const hasBottleneck = config.flag('use_bottleneck');
    const dModel = hasBottleneck ? config.size('intra_bottleneck_size') : wide;
    const norm = (subLayer: number) => normOf(dModel, subLayer === 0 ? eps : DEFAULT_EPS);
    const activation = activationOf(config.text('hidden_act'));
    const network = () => new FeedForward(init, { dModel, dFF: config.size('intermediate_size'), activation });
    const [isNarrow, isShared] = [config.flag('use_bottleneck_attention'), config.flag('key_query_shared_bottleneck')];
    if (hasBottleneck && !isNarrow && !isShared && dModel !== wide)
      throw new FormatError(
        `config.json: key_query_shared_bottleneck is false, but hidden_size, ${wide}, is not intra_bottleneck_size, ${dModel}`,
      );
    const attention = () => ({
      dModel,
      heads: config.size('num_attention_heads'),
      dropout: dropoutOf(config, 'attention_probs_dropout_prob', this.randomness),
    });
    const parts: LayerParts = {
      selfAttn: () =>
        this.#readsValuesApart
          ? new WideValueAttention(init, attention(), wide)
          : new MultiHeadAttention(init, attention()),
      feedForward: network,
      norm,
      dropout: hasBottleneck ? null : () => this.#dropout(context),
      wiring: 'post',
      randomness: this.randomness,
    };
    const networks = Array.from(
      { length: config.size('num_feedforward_networks') - 1 },
      () => new ResidualNetwork(network(), normOf(dModel, eps)),
    );
    const narrowed = () => new NormedLinear(new Linear(init, wide, dModel), normOf(dModel, eps));
    const bottleneck = hasBottleneck
      ? new Bottleneck(
          narrowed(),
          isShared ? narrowed() : null,
          isNarrow ? 'narrow' : this.#readsValuesApart ? 'apart' : 'wide',
          new NormedLinear(new Linear(init, dModel, wide), normOf(wide, eps), this.#dropout(context)),
        )
      : null;
    return new MobileBertLayer(parts, networks, bottleneck);
  }

  protected embed(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor {
    return this.embeddings.forward(ids, positions, types);
  }

  /** The last token reads the embedding of the padding after it, so padding must not be dropped. */
  protected override paddingUse(): PaddingUse {
    return 'kept';
  }

  protected override get positionLimit(): number {
    return this.settings.size('max_position_embeddings');
  }

  protected override get bodyName(): string {
    return 'mobilebert';
  }

  protected override get stateNames(): StateNames {
    const [body, layer] = ['mobilebert', 'mobilebert.encoder.layer.*'];
    const [path, self] = ['encoder.layers.*', `${layer}.attention.self`];
    return {
      'head.rest.weight': { name: 'cls.predictions.dense.weight', inOut: true },
      ...orderNames(body),
      ...(this.headKind === 'masked-language-model' || this.order
        ? wordPredictionNames(this.settings)
        : { 'head.dense': `${body}.pooler.dense`, 'head.out': outputName(this.headKind) }),
      'pooler.dense': `${body}.pooler.dense`,
      'embeddings.tokens': `${body}.embeddings.word_embeddings`,
      'embeddings.positions': `${body}.embeddings.position_embeddings`,
      'embeddings.types': `${body}.embeddings.token_type_embeddings`,
      'embeddings.transformation': `${body}.embeddings.embedding_transformation`,
      'embeddings.norm': `${body}.embeddings.LayerNorm`,
      [`${path}.self_attn.value`]: `${self}.value`,
      [`${path}.bottleneck.input.dense`]: `${layer}.bottleneck.input.dense`,
      [`${path}.bottleneck.input.norm`]: `${layer}.bottleneck.input.LayerNorm`,
      [`${path}.bottleneck.attention.dense`]: `${layer}.bottleneck.attention.dense`,
      [`${path}.bottleneck.attention.norm`]: `${layer}.bottleneck.attention.LayerNorm`,
      [`${path}.bottleneck.output.dense`]: `${layer}.output.bottleneck.dense`,
      [`${path}.bottleneck.output.norm`]: `${layer}.output.bottleneck.LayerNorm`,
      [`${path}.networks.*.network.linear1`]: `${layer}.ffn.*.intermediate.dense`,
      [`${path}.networks.*.network.linear2`]: `${layer}.ffn.*.output.dense`,
      [`${path}.networks.*.norm`]: `${layer}.ffn.*.output.LayerNorm`,
      ...bertLayerNames(layer),
      ...(this.#readsValuesApart ? { [`${path}.self_attn.qkv`]: [`${self}.query`, `${self}.key`] } : {}),
    };
  }
}

/** Attention whose values read the wide input of the layer. Queries and keys read narrowed features before it. */
class WideValueAttention extends MultiHeadAttention {
  readonly value: Linear;
  readonly #wide: number;

  constructor(init: Initializer, options: MultiHeadOptions, wide: number) {
    super(init, options);
    this.#wide = wide;
    this.value = new Linear(init, wide, options.dModel);
  }

  protected override sectionWidths(queries: number, keys: number): number[] {
    return [queries, keys];
  }

  /** `x`: float32 [N, narrow | wide]. */
  override project(x: Tensor, context: RotaryContext): ProjectedAttention {
    const all = lastOf(x.shape);
    const narrow = all - this.#wide;
    const projections = [this.qkv.forward(x.columns(0, narrow)), this.value.forward(x.columns(narrow, all))];
    return this.splitProjections(concat(projections, -1), context);
  }
}

/** Embeddings of the next, this and the previous token, projected; then positions and segments are added. */
class TrigramEmbeddings extends Module {
  readonly tokens: Embedding;
  readonly positions: Embedding;
  readonly types: Embedding;
  readonly transformation: Linear;
  readonly norm: Norm;
  readonly #isTrigram: boolean;
  readonly #paddingId: number | null;

  constructor(
    { init, config }: FamilyContext,
    normOf: (features: number) => Norm,
    readonly dropout: Dropout,
  ) {
    super();
    const [features, dModel] = [config.size('embedding_size'), config.size('hidden_size')];
    this.#isTrigram = config.flag('trigram_input');
    this.#paddingId = config.numberOrNull('pad_token_id');
    this.tokens = new Embedding(init, config.size('vocab_size'), features);
    this.positions = new Embedding(init, config.size('max_position_embeddings'), dModel);
    this.types = new Embedding(init, config.size('type_vocab_size'), dModel);
    this.transformation = new Linear(init, this.#isTrigram ? 3 * features : features, dModel);
    this.norm = normOf(dModel);
  }

  /** `ids`, `positions` (from 0 in each sequence) and `types`: int32 [N]. Returns float32 [N, dModel]. */
  forward(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor {
    const tokens = this.tokens.forward(ids, { paddingId: this.#paddingId }); // [N, features]
    const features = this.#isTrigram ? withNeighbours(tokens, positions) : tokens;
    const isUsed = this.#isTrigram || tokens.shape[1] !== this.types.weight.shape[1];
    const x = add(isUsed ? this.transformation.forward(features) : features, this.positions.forward(positions));
    const typed = add(x, this.types.forward(types ?? ids.device.zeros(ids.shape, 'int32')));
    return this.dropout.forward(this.norm.forward(typed));
  }
}

/**
 * Concatenates the next, this and the previous row of `x`, [N, d], within each sequence; zeros beyond its ends. A row
 * at position 0 begins a sequence.
 */
function withNeighbours(x: Tensor, positions: Tensor): Tensor {
  const [rows, features] = x.shape as [number, number];
  const none = x.device.zeros([1, features]);
  if (rows === 1) return concat([none, x, none], -1);
  const continues = greater(positions.rows(1, rows), 0).reshape(rows - 1, 1); // 1 if a row has a previous one
  const next = concat([where(continues, x.rows(1, rows), 0), none]);
  const previous = concat([none, where(continues, x.rows(0, rows - 1), 0)]);
  return concat([next, x, previous], -1); // [N, 3·d]
}

/** norm(dropout(dense(x)) + residual). */
class NormedLinear extends Module {
  constructor(
    readonly dense: Linear,
    readonly norm: Norm,
    readonly dropout: Dropout | null = null,
  ) {
    super();
  }

  forward(x: Tensor, residual: Tensor | null = null): Tensor {
    const y = this.dense.forward(x);
    return this.norm.forward(this.dropout?.forward(y) ?? y, residual);
  }
}

/** norm(network(x) + x). */
class ResidualNetwork extends Module {
  constructor(
    readonly network: FeedForward,
    readonly norm: Norm,
  ) {
    super();
  }

  forward(x: Tensor): Tensor {
    return this.norm.forward(this.network.forward(x), x);
  }
}

/** Projections from the wide input of a layer to its narrow part, and back. */
class Bottleneck extends Module {
  /**
   * `input` narrows the layer's input, `output` widens the result. `attention` narrows the input of queries and keys.
   * `reads` is the input of attention: `narrow` is that of `input`; `wide` is the layer's own. `apart` is that of
   * `attention` for queries and keys, and the layer's own for values.
   */
  constructor(
    readonly input: NormedLinear,
    readonly attention: NormedLinear | null,
    private readonly reads: 'narrow' | 'wide' | 'apart',
    readonly output: NormedLinear,
  ) {
    super();
  }

  /** Returns the input of attention. `x`: the layer's input, [N, wide]. `narrow`: its narrow form, [N, dModel]. */
  attended(x: Tensor, narrow: Tensor): Tensor {
    if (this.reads !== 'apart' || this.attention === null) return this.reads === 'narrow' ? narrow : x;
    return concat([this.attention.forward(x), x], -1);
  }
}

/** Attention, several feed-forward networks one after the other, and a bottleneck around them. */
class MobileBertLayer extends TransformerLayer {
  constructor(
    parts: LayerParts,
    /** Networks before the last one, `feedForward`. */
    readonly networks: readonly ResidualNetwork[],
    readonly bottleneck: Bottleneck | null,
  ) {
    super(parts);
  }

  /** `x` and the result: float32 [N, dModel]. */
  override forward(x: Tensor, batch: Sequences, _context?: LayerContext): Tensor {
    const { bottleneck, norm1, norm2, dropout1, dropout2 } = this;
    const narrow = bottleneck?.input.forward(x) ?? x;
    const attended = this.selfAttn.forward(bottleneck?.attended(x, narrow) ?? x, batch);
    const branch = dropout1?.forward(attended, batch) ?? attended;
    let y = norm1.forward(branch, narrow);
    this.observe?.(0, narrow, branch, y);
    for (const network of this.networks) y = network.forward(y);
    const hidden = (this.feedForward as FeedForward).forward(y);
    const last = dropout2?.forward(hidden, batch) ?? hidden;
    const z = norm2.forward(last, y);
    this.observe?.(1, y, last, z);
    return bottleneck?.output.forward(z, x) ?? z;
  }
}

/**
 * Predicts words. Embeddings have fewer features than tokens. The first features of a token multiply the word
 * embeddings, and the others a separate matrix.
 */
class WordHead extends PredictionHead {
  constructor(
    parts: HeadParts,
    /** Number of features of the word embeddings. */
    private readonly narrow: number,
    /** Projection of the other features to the vocabulary; null if there are none. */
    readonly rest: Linear | null,
  ) {
    super(parts);
  }

  protected override predict(x: Tensor): Tensor {
    if (this.rest === null) return super.predict(x);
    const tied = super.predict(contiguous(x.columns(0, this.narrow)));
    return add(tied, this.rest.forward(contiguous(x.columns(this.narrow, x.shape[1] as number))));
  }
}

function wordHead({ init, config }: FamilyContext, tokens: Embedding): PredictionHead {
  const [vocabulary, features] = tokens.weight.shape as [number, number];
  const dModel = config.size('hidden_size');
  const parts = {
    pick: 'tokens',
    dense: new Linear(init, dModel, dModel),
    activation: activationOf(config.text('hidden_act')),
    norm: new LayerNorm(init, dModel, config.number('layer_norm_eps')),
    out: vocabularyOutput(init, tokens, config.flag('tie_word_embeddings'), true),
  } as const;
  return new WordHead(
    parts,
    features,
    dModel > features ? new Linear(init, dModel - features, vocabulary, false) : null,
  );
}

export const mobileBert: Family = {
  model: MobileBert,
  className: 'MobileBert',
  defaults: {
    ...bert.defaults,
    hidden_size: 512,
    num_hidden_layers: 24,
    num_attention_heads: 4,
    intermediate_size: 512,
    hidden_act: 'relu',
    hidden_dropout_prob: 0,
    embedding_size: 128,
    trigram_input: true,
    use_bottleneck: true,
    intra_bottleneck_size: 128,
    use_bottleneck_attention: false,
    key_query_shared_bottleneck: true,
    num_feedforward_networks: 4,
    normalization_type: 'no_norm',
    classifier_activation: true,
  },
  vocabulary: 'bert',
};
