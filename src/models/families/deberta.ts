import { ArgumentError, FormatError } from '../../core/errors.js';
import { Tensor } from '../../core/tensor.js';
import type { MultiHeadAttention } from '../../nn/attention.js';
import { Conv1d } from '../../nn/conv.js';
import {
  DisentangledAttention,
  Distances,
  DistanceVectors,
  FoldedDistanceAttention,
  PaddingBlindAttention,
} from '../../nn/disentangled-attention.js';
import { Dropout, type Randomness } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { type LayerContext, type LayerParts, TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import type { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { type Activation, activate } from '../../ops/activation.js';
import { mul, scale } from '../../ops/binary.js';
import { pack, unpack } from '../../ops/move.js';
import { sum } from '../../ops/reduce.js';
import { logSoftmax } from '../../ops/softmax.js';
import { activationOf, dropoutOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import { type ForwardOptions, type ModelInputs, type ModelOutput, perSequence } from '../inputs.js';
import { labelsOf } from '../labels.js';
import { IGNORED, tokenLoss } from '../losses.js';
import type { ModelConfig } from '../model-config.js';
import { chooseHead, PredictionHead, vocabularyOutput, wordPredictionNames } from '../prediction-head.js';
import type { BatchLayout, FamilyContext, HeadKind } from '../pretrained-model.js';
import type { SaveOptions } from '../saved.js';
import { embeddingNames, TextEmbeddings } from '../text-embeddings.js';
import { bert, bertLayerNames } from './bert.js';

/**
 * DeBERTa-v2 and v3 (He et al. 2020 and 2021, arXiv 2006.03654, 2111.09543): separate attention by content and
 * distance.
 */
export class DebertaV2 extends EncoderModel {
  readonly embeddings: TextEmbeddings;
  readonly distances: Distances | null;
  readonly encoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const dModel = config.size('hidden_size');
    const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_eps'));
    const dropout = (name = 'hidden_dropout_prob') => new Dropout(config.number(name), this.randomness);
    const embedding = config.numberOrNull('embedding_size') ?? dModel;
    this.embeddings = new TextEmbeddings(
      init,
      {
        vocabulary: config.size('vocab_size'),
        features: embedding,
        positions: config.flag('position_biased_input') ? config.size('max_position_embeddings') : 0,
        types: config.number('type_vocab_size'),
        paddingId: config.numberOrNull('pad_token_id'),
        eps: config.number('layer_norm_eps'),
        dropout: dropout(),
      },
      dModel,
    );
    this.distances = config.flag('relative_attention') ? this.distancesOf(context, norm) : null;
    const parts: LayerParts = {
      selfAttn: () => this.attention(context),
      feedForward: () =>
        new FeedForward(init, {
          dModel,
          dFF: config.size('intermediate_size'),
          activation: activationOf(config.text('hidden_act')),
        }),
      norm,
      dropout: () => dropout(),
      wiring: 'post',
      randomness: this.randomness,
    };
    const beside = () => this.convolution(context, norm(), dropout());
    const layer = (i: number) => (i === 0 ? new FirstLayer(parts, beside()) : new TransformerLayer(parts));
    this.encoder = new Stack(config.size('num_hidden_layers'), layer, null);
    this.head = this.#headOf(context);
  }

  #headOf({ init, config, head }: FamilyContext): PredictionHead | null {
    const dModel = config.size('hidden_size');
    const dropout = (name = 'hidden_dropout_prob') => new Dropout(config.number(name), this.randomness);
    const labels = () => new Linear(init, dModel, labelsOf(config.values).length);
    const legacy = config.values.legacy !== false;
    const narrow = legacy ? (this.embeddings.tokens.weight.shape[1] as number) : dModel;
    return chooseHead(config, head, {
      'masked-language-model': () =>
        new PredictionHead({
          pick: 'tokens',
          dense: new Linear(init, dModel, narrow),
          activation: activationOf(config.text('hidden_act')),
          norm: new LayerNorm(init, narrow, config.number('layer_norm_eps')),
          out: vocabularyOutput(init, this.embeddings.tokens, !legacy || config.flag('tie_word_embeddings'), true),
        }),
      'sequence-classification': () =>
        new PredictionHead({
          pick: 'first',
          inputDropout: dropout('pooler_dropout'),
          dense: new Linear(init, dModel, dModel),
          activation: activationOf(config.text('pooler_hidden_act')),
          dropout: dropout(config.values.cls_dropout == null ? undefined : 'cls_dropout'),
          out: labels(),
        }),
      'token-classification': () => new PredictionHead({ pick: 'tokens', dropout: dropout(), out: labels() }),
      'question-answering': () => new PredictionHead({ pick: 'tokens', out: new Linear(init, dModel, 2) }),
    });
  }

  protected distancesOf({ init, config }: FamilyContext, norm: () => LayerNorm): Distances {
    const maxDistance = longestDistance(config);
    const buckets = config.number('position_buckets');
    const isNormed = config
      .text('norm_rel_ebd')
      .toLowerCase()
      .split('|')
      .map((part) => part.trim())
      .includes('layer_norm');
    const span = buckets > 0 ? buckets : maxDistance;
    const dModel = config.size('hidden_size');
    const bucketed = buckets > 0 ? maxDistance : null;
    if (config.flag(FOLDED)) return new Distances(span, bucketed);
    return new DistanceVectors(init, dModel, span, bucketed, isNormed ? norm() : null);
  }

  protected attention({ init, config }: FamilyContext): MultiHeadAttention {
    const { distances } = this;
    const options = attentionOptions(config, this.randomness);
    if (distances === null) return new PaddingBlindAttention(init, options.plain);
    if (!(distances instanceof DistanceVectors))
      return new FoldedDistanceAttention(init, { ...options.plain, ...options.terms, distances });
    const shared = config.flag('share_att_key');
    return new DisentangledAttention(init, {
      ...options.plain,
      ...options.terms,
      distances,
      distanceDropout: options.distanceDropout,
      shared,
      positionKeyBias: true,
    });
  }

  /** The convolution beside the first layer. */
  protected convolution({ init, config }: FamilyContext, norm: LayerNorm, dropout: Dropout): Convolution | null {
    const kernel = config.number('conv_kernel_size');
    if (kernel === 0) return null;
    if (kernel % 2 === 0) throw new FormatError(`config.json: conv_kernel_size is ${kernel}, expected an odd number`);
    const groups = config.numberOrNull('conv_groups') ?? 1;
    const options = { padding: (kernel - 1) / 2, groups, channelsLast: true };
    const dModel = config.size('hidden_size');
    const conv = new Conv1d(init, { inputs: dModel, outputs: dModel, kernel, ...options });
    return new Convolution(conv, norm, dropout, activationOf(config.text('conv_act')));
  }

  protected embed(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor {
    return this.embeddings.forward(ids, positions, types);
  }

  /**
   * If labels are rows, they are probabilities of the classes, unless the config has a `problem_type`. Labels below 0
   * do not count.
   */
  protected override sequenceLoss(logits: Tensor, labels: NonNullable<ModelInputs['labels']>): Tensor {
    const [batch, classes] = logits.shape as [number, number];
    if (this.config.problem_type != null || classes === 1) return super.sequenceLoss(logits, labels);
    const isMatrix = labels instanceof Tensor ? labels.shape.length === 2 : Array.isArray(labels[0]);
    if (!isMatrix)
      return tokenLoss(
        logits,
        perSequence('labels', labels, batch).map((label) => (label < 0 ? IGNORED : label)),
      );
    const shares = labels instanceof Tensor ? labels : logits.device.tensor(labels as readonly number[][]);
    return scale(sum(mul(logSoftmax(logits), shares)), -1 / batch);
  }

  /**
   * If there is one class, and labels are given without a `problem_type`, logits are [B] instead of [B, 1], as in
   * transformers.
   */
  protected override *runInParts(
    inputs: ModelInputs,
    options: ForwardOptions,
    layout: BatchLayout,
  ): Generator<unknown, ModelOutput> {
    const output = yield* super.runInParts(inputs, options, layout);
    const { logits, loss } = output;
    const isFlat = this.headKind === 'sequence-classification' && loss && this.config.problem_type == null;
    return isFlat && logits?.shape[1] === 1 ? { ...output, logits: logits.reshape(-1) } : output;
  }

  protected override get bodyName(): string {
    return 'deberta';
  }

  protected override get stateNames(): StateNames {
    const rows = 'deberta.encoder.rel_embeddings';
    const layer = 'deberta.encoder.layer.*';
    const { 'encoder.layers.*.self_attn.qkv': _, ...otherNames } = bertLayerNames(layer);
    return {
      ...headNames(this.headKind, this.settings),
      ...embeddingNames('deberta.embeddings'),
      'distances.norm': 'deberta.encoder.LayerNorm',
      distances: rows,
      'encoder.layers.*.self_attn.distances.norm': 'deberta.encoder.LayerNorm',
      'encoder.layers.*.self_attn.distances': rows,
      'encoder.layers.0.convolution.conv': 'deberta.encoder.conv.conv',
      'encoder.layers.0.convolution.norm': 'deberta.encoder.conv.LayerNorm',
      ...otherNames,
      ...this.attentionNames(`${layer}.attention.self`),
    };
  }

  protected attentionNames(attention: string): StateNames {
    return {
      'encoder.layers.*.self_attn.qkv': ['query', 'key', 'value'].map((name) => `${attention}.${name}_proj`),
      ...this.#distanceNames(attention),
    };
  }

  #distanceNames(attention: string): StateNames {
    const isFolded = this.settings.flag(FOLDED);
    const names = isFolded ? ['distance_keys', 'distance_queries'] : ['pos_key_proj', 'pos_query_proj'];
    return {
      'encoder.layers.*.self_attn.position_key': `${attention}.${names[0]}`,
      'encoder.layers.*.self_attn.position_query': `${attention}.${names[1]}`,
    };
  }

  /** Throws ArgumentError if an optimizer has folded the distance vectors, which a checkpoint needs. */
  override async save(folder: string | URL, options: SaveOptions = {}): Promise<void> {
    if (this.settings.flag(FOLDED))
      throw new ArgumentError(
        'save: the optimizer of the ONNX file has replaced rel_embeddings by products that checkpoints do not have: load the file without optimization, onnx/model.onnx, or model.safetensors',
      );
    return super.save(folder, options);
  }
}

/** DeBERTa (He et al. 2020, arXiv 2006.03654): every distance has its own row, and keys have no bias. */
export class Deberta extends DebertaV2 {
  /** Distance vectors have no norm, as in transformers, whatever `norm_rel_ebd` says. */
  protected override distancesOf({ init, config }: FamilyContext): DistanceVectors {
    config.expect('talking_head', false);
    return new DistanceVectors(init, config.size('hidden_size'), longestDistance(config), null);
  }

  protected override attention({ init, config }: FamilyContext): MultiHeadAttention {
    const { distances } = this;
    const { plain, terms, distanceDropout } = attentionOptions(config, this.randomness);
    const biased = { ...plain, bias: [true, false, true] } as const; // keys have none
    if (!(distances instanceof DistanceVectors)) return new PaddingBlindAttention(init, biased);
    const own = { distances, distanceDropout, shared: false, positionKeyBias: false };
    return new DisentangledAttention(init, { ...biased, ...terms, ...own });
  }

  protected override convolution(): null {
    return null;
  }

  protected override attentionNames(attention: string): StateNames {
    return {
      'encoder.layers.*.self_attn.qkv.weight': {
        name: `${attention}.in_proj.weight`,
        perHead: this.settings.size('num_attention_heads'),
      },
      'encoder.layers.*.self_attn.qkv.bias': [`${attention}.q_bias`, null, `${attention}.v_bias`],
      'encoder.layers.*.self_attn.position_key': `${attention}.pos_proj`,
      'encoder.layers.*.self_attn.position_query': `${attention}.pos_q_proj`,
    };
  }
}

/**
 * True if the file has the keys and queries of distances, which the optimizer of ONNX Runtime computes from the vectors
 * of distances. No config.json has this setting.
 */
const FOLDED = 'folded_distances';

function distanceTerms(config: ModelConfig) {
  const kinds = config.values.pos_att_type == null ? [] : config.list('pos_att_type');
  return { contentToPosition: kinds.includes('c2p'), positionToContent: kinds.includes('p2c') };
}

function longestDistance(config: ModelConfig): number {
  const maxDistance = config.number('max_relative_positions');
  return maxDistance < 1 ? config.size('max_position_embeddings') : maxDistance;
}

function attentionOptions(config: ModelConfig, randomness: Randomness) {
  const terms = distanceTerms(config);
  const [dModel, heads] = [config.size('hidden_size'), config.size('num_attention_heads')];
  const kinds = 1 + Number(terms.contentToPosition) + Number(terms.positionToContent);
  return {
    plain: {
      dModel,
      heads,
      scale: 1 / Math.sqrt((dModel / heads) * kinds),
      dropout: dropoutOf(config, 'attention_probs_dropout_prob', randomness),
    },
    terms,
    distanceDropout: dropoutOf(config, 'hidden_dropout_prob', randomness),
  };
}

function headNames(kind: HeadKind, config: ModelConfig): StateNames {
  switch (kind) {
    case 'masked-language-model': {
      if (config.values.legacy === false) {
        const head = 'lm_predictions.lm_head';
        return { 'head.dense': `${head}.dense`, 'head.norm': `${head}.LayerNorm`, 'head.out.bias': `${head}.bias` };
      }
      return wordPredictionNames(config);
    }
    case 'question-answering':
      return { 'head.out': 'qa_outputs' };
    default:
      return { 'head.dense': 'pooler.dense', 'head.out': 'classifier' };
  }
}

/** norm(y + activation(convolution of x)), where the convolution's output is zero at padding. */
class Convolution extends Module {
  constructor(
    readonly conv: Conv1d,
    readonly norm: LayerNorm,
    readonly dropout: Dropout,
    private readonly activation: Activation,
  ) {
    super();
  }

  forward(x: Tensor, y: Tensor, batch: Sequences): Tensor {
    const { lengths, longest, total } = batch;
    const convolved = pack(this.conv.forward(unpack(x, lengths, longest)), lengths, total);
    const branch = activate('Convolution', this.dropout.forward(tokensOf(convolved, batch)), this.activation);
    return tokensOf(this.norm.forward(branch, y), batch);
  }
}

/** The first layer. A convolution of its input, which is zero at padding, may be added to its output. */
class FirstLayer extends TransformerLayer {
  constructor(
    parts: LayerParts,
    readonly convolution: Convolution | null,
  ) {
    super(parts);
  }

  override forward(x: Tensor, batch: Sequences, context?: LayerContext): Tensor {
    const input = tokensOf(x, batch);
    const y = super.forward(input, batch, context);
    return this.convolution?.forward(input, y, batch) ?? y;
  }
}

/** Sets the rows of padding to zero. */
function tokensOf(x: Tensor, { tokenMask }: Sequences): Tensor {
  return tokenMask ? mul(x, tokenMask) : x;
}

/** Old configs have the string 'p2c|c2p' instead of a list. */
function completeDeberta(config: Record<string, unknown>): void {
  if (typeof config.pos_att_type === 'string') config.pos_att_type = config.pos_att_type.toLowerCase().split('|');
  config.pooler_hidden_size ??= config.hidden_size;
}

export const deberta: Family = {
  model: Deberta,
  className: 'Deberta',
  defaults: {
    ...bert.defaults,
    type_vocab_size: 0,
    layer_norm_eps: 1e-7,
    relative_attention: false,
    max_relative_positions: -1, // -1: max_position_embeddings
    position_buckets: -1, // -1: each distance has its own row
    position_biased_input: true,
    pos_att_type: null,
    pooler_dropout: 0,
    pooler_hidden_act: 'gelu',
    pooler_hidden_size: null,
  },
  complete: completeDeberta,
};

export const debertaV2: Family = {
  model: DebertaV2,
  className: 'DebertaV2',
  defaults: {
    ...deberta.defaults,
    hidden_size: 1536,
    num_hidden_layers: 24,
    num_attention_heads: 24,
    intermediate_size: 6144,
    share_att_key: false,
    norm_rel_ebd: 'none',
    conv_kernel_size: 0, // DeBERTa-v2's xlarge has a convolution beside its first layer
    conv_act: 'tanh',
  },
  complete: completeDeberta,
  impliedBy: (names) => ({ [FOLDED]: names.some((name) => /\.attention\.self\.distance_(keys|queries)$/.test(name)) }),
};
