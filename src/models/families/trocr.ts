import type { Tensor } from '../../core/tensor.js';
import { Dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { LayerNorm } from '../../nn/norm.js';
import { sinusoids } from '../../nn/positions.js';
import type { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { notEqual, where } from '../../ops/binary.js';
import { type BartStackOptions, bartStack, bartStackNames } from '../bart-stack.js';
import { CausalModel } from '../causal-model.js';
import type { Family } from '../family.js';
import type { PaddedBatch } from '../inputs.js';
import type { ModelConfig } from '../model-config.js';
import { checkHead, PredictionHead, vocabularyOutput } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';

/**
 * The decoder of BART, mBART or TrOCR (Li et al. 2021, arXiv 2109.10282), which attends to the output of an encoder of
 * another family.
 */
export class BartDecoder extends CausalModel {
  readonly tokens: Embedding;
  /** Learned positions. Their first two rows are unused. */
  readonly positions: Embedding | null;
  /** float32 [positions + 1, dModel]: computed positions. The last row is for padding and consists of zeros. */
  readonly sinusoids: Tensor | null;
  readonly norm: LayerNorm | null;
  readonly dropout: Dropout;
  readonly decoder: Stack;
  readonly head: PredictionHead;
  readonly #scale: number;

  constructor(context: FamilyContext) {
    super(context);
    checkHead(context, ['language-model']);
    const { init, config } = context;
    const dModel = config.size('d_model');
    const isLearned = config.type !== 'trocr' || config.flag('use_learned_position_embeddings');
    this.#scale = config.flag('scale_embedding') ? Math.sqrt(dModel) : 1;
    this.tokens = new Embedding(init, config.size('vocab_size'), dModel);
    this.positions = isLearned ? new Embedding(init, this.maxLength + 2, dModel) : null;
    this.sinusoids = isLearned ? null : init.table(this.maxLength + 1, dModel, () => waves(config));
    this.norm = config.type !== 'trocr' || config.flag('layernorm_embedding') ? new LayerNorm(init, dModel) : null;
    this.dropout = new Dropout(config.number('dropout'), this.randomness);
    this.decoder = bartStack(init, config, 'decoder', this.randomness, this.#design(config));
    const isTied = config.flag('tie_word_embeddings');
    this.head = new PredictionHead({ pick: 'tokens', out: vocabularyOutput(init, this.tokens, isTied, false) });
  }

  #design(config: ModelConfig): BartStackOptions {
    const memorySize = config.sizeOrNull('cross_attention_hidden_size') ?? config.size('d_model');
    return config.type === 'mbart'
      ? { wiring: 'pre', finalNorm: true, memorySize }
      : { wiring: 'post', finalNorm: false, memorySize };
  }

  protected embedTarget(ids: Tensor, tokenPositions: Tensor): Tensor {
    const paddingId = this.settings.numberOrNull('pad_token_id');
    const { positions: learned, sinusoids: computed } = this;
    const positions = learned?.weight.rows(2, learned.weight.shape[0] as number) ?? computed;
    const positionIds = computed
      ? where(notEqual(ids, paddingId ?? -1), tokenPositions, this.maxLength)
      : tokenPositions;
    const x = this.tokens.forward(ids, { scale: this.#scale, positions, positionIds, paddingId });
    return this.dropout.forward(this.norm?.forward(x) ?? x);
  }

  /** Computed positions count tokens other than padding. */
  protected override positionsOf(padded: PaddedBatch): Tensor {
    return this.sinusoids ? padded.positionsWithout(this.settings.number('pad_token_id')) : super.positionsOf(padded);
  }

  protected override get stateNames(): StateNames {
    const layer = 'model.decoder.layers.*.encoder_attn';
    return {
      tokens: 'model.decoder.embed_tokens',
      positions: 'model.decoder.embed_positions',
      sinusoids: [null],
      norm: 'model.decoder.layernorm_embedding',
      ...bartStackNames,
      'decoder.layers.*.multihead_attn.qkv': `${layer}.q_proj`,
      'decoder.layers.*.multihead_attn.kv': [`${layer}.k_proj`, `${layer}.v_proj`],
      'head.out': this.settings.type === 'trocr' ? 'output_projection' : 'lm_head',
    };
  }
}

/** Returns sinusoids. The first position is the padding id + 1. */
function waves(config: ModelConfig): Float32Array {
  const [length, dModel] = [config.size('max_position_embeddings'), config.size('d_model')];
  const firstPosition = config.number('pad_token_id') + 1;
  const table = new Float32Array((length + 1) * dModel);
  table.set(sinusoids(length, dModel, { layout: 'halves', frequencies: 'tensor2tensor', firstPosition }));
  return table;
}

export const trocr: Family = {
  model: BartDecoder,
  className: 'TrOCR',
  defaults: {
    vocab_size: 50265,
    d_model: 1024,
    decoder_layers: 12,
    decoder_attention_heads: 16,
    decoder_ffn_dim: 4096,
    activation_function: 'gelu',
    max_position_embeddings: 512,
    dropout: 0.1,
    attention_dropout: 0,
    activation_dropout: 0,
    decoder_layerdrop: 0,
    scale_embedding: false,
    use_learned_position_embeddings: true,
    layernorm_embedding: true,
    pad_token_id: 1,
    bos_token_id: 0,
    eos_token_id: 2,
    decoder_start_token_id: 2,
    cross_attention_hidden_size: null,
    tie_word_embeddings: true,
  },
};
