import { lastOf, type Tensor } from '../../core/tensor.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import { Dropout, type Randomness } from '../../nn/dropout.js';
import type { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { LayerNorm } from '../../nn/norm.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import type { Activation } from '../../ops/activation.js';
import { CausalModel } from '../causal-model.js';
import { activationOf, dropoutOf } from '../config-values.js';
import type { Family, GgufSettings } from '../family.js';
import { labelsOf } from '../labels.js';
import type { Json, ModelConfig } from '../model-config.js';
import { checkHead, chooseHead, PredictionHead, vocabularyOutput, wordPredictionNames } from '../prediction-head.js';
import type { FamilyContext, HeadKind } from '../pretrained-model.js';
import { PairEncoder } from '../pretraining-head.js';
import { embeddingNames, TextEmbeddings } from '../text-embeddings.js';

/** BERT (Devlin et al. 2018, arXiv 1810.04805): post-norm layers, learned positions, segments. */
export class Bert extends PairEncoder {
  readonly embeddings: TextEmbeddings;
  readonly encoder: Stack;
  override readonly pooler: PredictionHead | null;
  readonly head: PredictionHead | null;
  readonly order: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config, head } = context;
    config.expect('is_decoder', false);
    config.expect('position_embedding_type', 'absolute');
    this.embeddings = bertEmbeddings(init, config, this.randomness);
    const layer = () => bertLayer(init, config, this.randomness);
    this.encoder = new Stack(config.size('num_hidden_layers'), layer, null);
    this.pooler = bertPooler(context);
    const dModel = config.size('hidden_size');
    const linear = (outputs: number) => new Linear(init, dModel, outputs);
    const heads = bertHeads(context, this.embeddings.tokens, this.randomness);
    const order = () =>
      new PredictionHead({ pick: 'first', dense: linear(dModel), activation: 'tanh', out: linear(2) });
    this.head = chooseHead(config, head, {
      ...heads,
      'next-sentence': order,
      pretraining: heads['masked-language-model'],
    });
    this.order = head === 'pretraining' ? order() : null;
  }

  protected embed(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor {
    return this.embeddings.forward(ids, positions, types);
  }

  protected override get bodyName(): string {
    return 'bert';
  }

  protected override get stateNames(): StateNames {
    const head =
      this.headKind === 'masked-language-model' || this.order
        ? wordPredictionNames(this.settings)
        : { 'head.dense': 'bert.pooler.dense', 'head.out': outputName(this.headKind) };
    return {
      ...head,
      ...orderNames('bert'),
      'pooler.dense': 'bert.pooler.dense',
      ...embeddingNames('bert.embeddings'),
      ...bertLayerNames('bert.encoder.layer.*'),
    };
  }
}

/** Differences of a family's decoder from that of BERT. */
interface DecoderOptions {
  /** Position of the first token. Default: 0. */
  readonly firstPosition?: number | undefined;
  /** Activation of the head. Default: that of the config's `hidden_act`. */
  readonly wordActivation?: Activation | undefined;
}

/**
 * BERT as a decoder (BertLMHeadModel): causal layers, which can also attend to the output of an encoder of another
 * family.
 */
export class BertDecoder extends CausalModel {
  readonly embeddings: TextEmbeddings;
  readonly decoder: Stack;
  readonly head: PredictionHead;

  constructor(context: FamilyContext, { firstPosition, wordActivation }: DecoderOptions = {}) {
    super(context);
    checkHead(context, ['language-model']);
    const { init, config } = context;
    config.expect('position_embedding_type', 'absolute');
    this.embeddings = bertEmbeddings(init, config, this.randomness, { firstPosition });
    const causal = (options: MultiHeadOptions) => new MultiHeadAttention(init, { ...options, causal: true });
    const layer = () => bertLayer(init, config, this.randomness, causal);
    this.decoder = new Stack(config.size('num_hidden_layers'), layer, null);
    const heads = bertHeads(context, this.embeddings.tokens, this.randomness, { wordActivation });
    this.head = heads['masked-language-model']();
  }

  protected embedTarget(ids: Tensor, positions: Tensor): Tensor {
    return this.embeddings.forward(ids, positions, null);
  }

  override get maxLength(): number {
    return Math.min(super.maxLength, this.embeddings.positionLimit);
  }

  protected override get stateNames(): StateNames {
    const layer = 'bert.encoder.layer.*';
    const cross = `${layer}.crossattention`;
    const names = {
      ...wordPredictionNames(this.settings),
      ...embeddingNames('bert.embeddings'),
      ...bertLayerNames(layer, 'decoder'),
    };
    if (!this.settings.flag('add_cross_attention')) return names;
    return {
      ...names,
      'decoder.layers.*.multihead_attn.qkv': ['query', 'key', 'value'].map((name) => `${cross}.self.${name}`),
      'decoder.layers.*.multihead_attn.out_proj': `${cross}.output.dense`,
      'decoder.layers.*.norm2': `${cross}.output.LayerNorm`,
      'decoder.layers.*.norm3': `${layer}.output.LayerNorm`,
    };
  }
}

/**
 * Returns the pooler, which makes one vector of a sequence from its first token. Returns null if the model has a head,
 * and for files without one.
 */
export function bertPooler({ init, config, head }: FamilyContext): PredictionHead | null {
  if (head !== 'none' || (config.values.add_pooling_layer ?? true) !== true) return null;
  const dModel = config.size('hidden_size');
  return new PredictionHead({ pick: 'first', dense: new Linear(init, dModel, dModel), activation: 'tanh' });
}

/** Differences of a family's heads from those of BERT. */
export interface BertHeadOptions {
  /** Activation of the head that predicts words. Default: that of the config's `hidden_act`. */
  readonly wordActivation?: Activation | undefined;
  /** Activation of the sequence classifier. Default: 'tanh'. */
  readonly classifierActivation?: Activation | undefined;
  /** True for dropout before the dense layer of the sequence classifier, too. Default: false. */
  readonly dropsInput?: boolean | undefined;
  /** Dropout probability before classes. Default: that of the config's `classifier_dropout`. */
  readonly dropout?: number | undefined;
}

/**
 * The heads of BERT and similar encoders, by kind. `tokens`: the token embedding, whose width may differ from that of
 * the layers.
 */
export function bertHeads(
  { init, config }: FamilyContext,
  tokens: Embedding,
  randomness: Randomness,
  options: BertHeadOptions = {},
) {
  const {
    wordActivation = activationOf(config.text('hidden_act')),
    classifierActivation = 'tanh',
    dropsInput = false,
    dropout: rate = classifierDropout(config),
  } = options;
  const dModel = config.size('hidden_size');
  const width = lastOf(tokens.weight.shape);
  const dropout = () => new Dropout(rate, randomness);
  const linear = (outputs: number) => new Linear(init, dModel, outputs);
  const classes = () => linear(labelsOf(config.values).length);
  return {
    'masked-language-model': () =>
      new PredictionHead({
        pick: 'tokens',
        dense: linear(width),
        activation: wordActivation,
        norm: new LayerNorm(init, width, config.number('layer_norm_eps')),
        out: vocabularyOutput(init, tokens, config.flag('tie_word_embeddings'), true),
      }),
    'sequence-classification': () =>
      new PredictionHead({
        pick: 'first',
        inputDropout: dropsInput ? dropout() : null,
        dense: linear(dModel),
        activation: classifierActivation,
        dropout: dropout(),
        out: classes(),
      }),
    'token-classification': () => new PredictionHead({ pick: 'tokens', dropout: dropout(), out: classes() }),
    'question-answering': () => new PredictionHead({ pick: 'tokens', out: linear(2) }),
  };
}

/** Names of the head for the order of two texts, beside that for words. */
export const orderNames = (body: string): StateNames => ({
  'order.dense': `${body}.pooler.dense`,
  'order.out': 'cls.seq_relationship',
});

/** The name of the last projection in BERT's heads that do not predict words. */
export function outputName(kind: HeadKind): string {
  if (kind === 'question-answering') return 'qa_outputs';
  return kind === 'next-sentence' ? 'cls.seq_relationship' : 'classifier';
}

/** Names of heads for classes and answers, if the dense layer of the sequence classifier is not the pooler. */
export function classifierNames(kind: HeadKind): StateNames {
  switch (kind) {
    case 'sequence-classification':
      return { 'head.dense': 'classifier.dense', 'head.out': 'classifier.out_proj' };
    case 'question-answering':
      return { 'head.out': 'qa_outputs' };
    default:
      return { 'head.out': 'classifier' };
  }
}

/** Embeddings of tokens, positions and segments, with `embedding_size` features if the config has it. */
export function bertEmbeddings(
  init: Initializer,
  config: ModelConfig,
  randomness: Randomness,
  {
    firstPosition = 0,
    positions = config.size('max_position_embeddings'),
    paddingId = config.numberOrNull('pad_token_id'),
    types = config.numberOrNull('type_vocab_size') ?? 0,
  } = {},
): TextEmbeddings {
  return new TextEmbeddings(init, {
    vocabulary: config.size('vocab_size'),
    features: config.size(config.values.embedding_size == null ? 'hidden_size' : 'embedding_size'),
    positions,
    types,
    firstPosition,
    paddingId,
    eps: config.number('layer_norm_eps'),
    dropout: new Dropout(config.number('hidden_dropout_prob'), randomness),
  });
}

/**
 * A post-norm layer, as in most encoders. `selfAttention` makes its attention from the usual options. `dropsNetwork` is
 * true if dropout follows the feed-forward network, too.
 */
export function bertLayer(
  init: Initializer,
  config: ModelConfig,
  randomness: Randomness,
  selfAttention = (options: MultiHeadOptions) => new MultiHeadAttention(init, options),
  dropsNetwork = true,
): TransformerLayer {
  const dModel = config.size('hidden_size');
  const activation = activationOf(config.text('hidden_act'));
  const attentionOptions = () => ({
    dModel,
    heads: config.size('num_attention_heads'),
    dropout: dropoutOf(config, 'attention_probs_dropout_prob', randomness),
  });
  const crosses = config.flag('add_cross_attention');
  return new TransformerLayer({
    selfAttn: () => selfAttention(attentionOptions()),
    multiheadAttn: crosses ? () => new MultiHeadAttention(init, attentionOptions()) : null,
    feedForward: () => new FeedForward(init, { dModel, dFF: config.size('intermediate_size'), activation }),
    norm: () => new LayerNorm(init, dModel, config.number('layer_norm_eps')),
    dropout: (subLayer) =>
      subLayer === 0 || dropsNetwork ? new Dropout(config.number('hidden_dropout_prob'), randomness) : null,
    wiring: 'post',
    randomness,
  });
}

/** Dropout before a classifier, in training. */
export function classifierDropout(config: ModelConfig): number {
  return config.numberOrNull('classifier_dropout') ?? config.number('hidden_dropout_prob');
}

/** Names of the layers of `stack`. `layer` has a star for the index. */
export function bertLayerNames(layer: string, stack = 'encoder'): StateNames {
  const path = `${stack}.layers.*`;
  return {
    [`${path}.self_attn.qkv`]: ['query', 'key', 'value'].map((name) => `${layer}.attention.self.${name}`),
    [`${path}.self_attn.out_proj`]: `${layer}.attention.output.dense`,
    [`${path}.norm1`]: `${layer}.attention.output.LayerNorm`,
    [`${path}.feed_forward.linear1`]: `${layer}.intermediate.dense`,
    [`${path}.feed_forward.linear2`]: `${layer}.output.dense`,
    [`${path}.norm2`]: `${layer}.output.LayerNorm`,
  };
}

const LAYER = 'bert.encoder.layer.*';

export const bert: Family = {
  model: Bert,
  decoder: BertDecoder,
  className: 'Bert',
  defaults: {
    hidden_size: 768,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    intermediate_size: 3072,
    hidden_act: 'gelu',
    hidden_dropout_prob: 0.1,
    attention_probs_dropout_prob: 0.1,
    max_position_embeddings: 512,
    type_vocab_size: 2,
    layer_norm_eps: 1e-12,
    pad_token_id: 0,
    classifier_dropout: null,
    bos_token_id: null,
    eos_token_id: null,
    tie_word_embeddings: true,
  },
  vocabulary: 'bert',
  gguf: {
    isEncoder: true,
    names: {
      token_embd: 'bert.embeddings.word_embeddings',
      position_embd: 'bert.embeddings.position_embeddings',
      token_types: 'bert.embeddings.token_type_embeddings',
      token_embd_norm: 'bert.embeddings.LayerNorm',
      'blk.*.attn_q': `${LAYER}.attention.self.query`,
      'blk.*.attn_k': `${LAYER}.attention.self.key`,
      'blk.*.attn_v': `${LAYER}.attention.self.value`,
      'blk.*.attn_output': `${LAYER}.attention.output.dense`,
      'blk.*.attn_output_norm': `${LAYER}.attention.output.LayerNorm`,
      'blk.*.ffn_up': `${LAYER}.intermediate.dense`,
      'blk.*.ffn_down': `${LAYER}.output.dense`,
      'blk.*.layer_output_norm': `${LAYER}.output.LayerNorm`,
      cls: 'bert.pooler.dense',
      'cls.output': 'classifier',
    },
    config: (file) => ({
      ...bertSizes(file),
      max_position_embeddings: file.rows('position_embd.weight'),
      ...labelsIn(file),
    }),
  },
};

/** The labels of a classifier in a GGUF file. */
export function labelsIn(file: GgufSettings): Json {
  const labels = file.texts(`${file.architecture}.classifier.output_labels`);
  return labels === undefined ? {} : { id2label: Object.fromEntries(labels.map((label, id) => [String(id), label])) };
}

/** Settings of BERT and similar families in GGUF files. */
export function bertSizes(file: GgufSettings): Json {
  return {
    hidden_size: file.needed('embedding_length'),
    intermediate_size: file.needed('feed_forward_length'),
    num_hidden_layers: file.needed('block_count'),
    num_attention_heads: file.needed('attention.head_count'),
    type_vocab_size: file.rows('token_types.weight'),
    layer_norm_eps: file.needed('attention.layer_norm_epsilon'),
    add_pooling_layer: file.tensors.has('cls.weight'),
  };
}
