import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { TransformerLayer } from '../../nn/layer.js';
import { LayerNorm } from '../../nn/norm.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { activationOf, dropoutOf, rotaryOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import { chooseHead, type PredictionHead, wordPredictionNames } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { TextEmbeddings } from '../text-embeddings.js';
import { bert, bertHeads, bertSizes } from './bert.js';

/** Nomic's BERT (Nussbaum et al. 2024, arXiv 2402.01613): post-norm layers with rotary positions and SwiGLU, without biases. */
export class NomicBert extends EncoderModel {
  readonly embeddings: TextEmbeddings;
  readonly encoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const dModel = config.size('hidden_size');
    const activation = activationOf(config.text('hidden_act'));
    const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_eps'));
    const dropout = () => new Dropout(config.number('hidden_dropout_prob'), this.randomness);
    this.embeddings = new TextEmbeddings(init, {
      vocabulary: config.size('vocab_size'),
      features: dModel,
      types: config.numberOrNull('type_vocab_size') ?? 0,
      paddingId: config.numberOrNull('pad_token_id'),
      eps: config.number('layer_norm_eps'),
      dropout: dropout(),
    });
    const rotary = rotaryOf(init, config);
    const layer = () =>
      new TransformerLayer({
        selfAttn: () =>
          new MultiHeadAttention(init, {
            dModel,
            heads: config.size('num_attention_heads'),
            headSize: config.size('head_dim'),
            bias: false,
            rotary,
            dropout: dropoutOf(config, 'attention_probs_dropout_prob', this.randomness),
          }),
        feedForward: () =>
          new FeedForward(init, {
            dModel,
            dFF: config.size('intermediate_size'),
            activation,
            gated: true,
            bias: false,
          }),
        norm,
        dropout,
        wiring: 'post',
        randomness: this.randomness,
      });
    this.encoder = new Stack(config.size('num_hidden_layers'), layer, null);
    const { 'question-answering': _, ...heads } = bertHeads(context, this.embeddings.tokens, this.randomness);
    this.head = chooseHead(config, context.head, heads);
  }

  protected embed(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor {
    return this.embeddings.forward(ids, positions, types);
  }

  protected override get bodyName(): string {
    return 'nomic_bert';
  }

  /** Names in checkpoints. transformers uses the same names when it saves. */
  protected override get stateNames(): StateNames {
    const [body, layer] = ['nomic_bert', 'nomic_bert.encoder.layers.*'];
    const head =
      this.headKind === 'masked-language-model'
        ? wordPredictionNames(this.settings, 'layer_norm')
        : { 'head.dense': `${body}.pooler.dense`, 'head.out': 'classifier' };
    return {
      ...head,
      'embeddings.tokens': `${body}.embeddings.word_embeddings`,
      'embeddings.types': `${body}.embeddings.token_type_embeddings`,
      'embeddings.norm': `${body}.emb_ln`,
      'encoder.layers.*.self_attn.qkv': `${layer}.attn.Wqkv`,
      'encoder.layers.*.self_attn.out_proj': `${layer}.attn.out_proj`,
      'encoder.layers.*.norm1': `${layer}.norm1`,
      'encoder.layers.*.feed_forward.linear1': `${layer}.mlp.fc12`,
      'encoder.layers.*.feed_forward.linear2': `${layer}.mlp.fc2`,
      'encoder.layers.*.feed_forward.linear3': `${layer}.mlp.fc11`,
      'encoder.layers.*.norm2': `${layer}.norm2`,
    };
  }
}

const BLOCK = 'nomic_bert.encoder.layers.*';

export const nomicBert: Family = {
  model: NomicBert,
  className: 'NomicBert',
  defaults: {
    ...bert.defaults,
    vocab_size: 30528,
    hidden_act: 'silu',
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    max_position_embeddings: 2048,
    head_dim: null,
  },
  rope: { theta: 1000 },
  vocabulary: 'bert',
  gguf: {
    isEncoder: true,
    names: {
      token_embd: 'nomic_bert.embeddings.word_embeddings',
      token_types: 'nomic_bert.embeddings.token_type_embeddings',
      token_embd_norm: 'nomic_bert.emb_ln',
      'blk.*.attn_qkv': `${BLOCK}.attn.Wqkv`,
      'blk.*.attn_output': `${BLOCK}.attn.out_proj`,
      'blk.*.attn_output_norm': `${BLOCK}.norm1`,
      'blk.*.ffn_gate': `${BLOCK}.mlp.fc12`,
      'blk.*.ffn_up': `${BLOCK}.mlp.fc11`,
      'blk.*.ffn_down': `${BLOCK}.mlp.fc2`,
      'blk.*.layer_output_norm': `${BLOCK}.norm2`,
    },
    config: (file) => ({
      ...bertSizes(file),
      max_position_embeddings: file.needed('context_length'),
      ...file.rope(file.needed('embedding_length') / file.needed('attention.head_count')),
    }),
  },
};
