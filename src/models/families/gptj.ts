import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { TransformerLayer } from '../../nn/layer.js';
import { LayerNorm } from '../../nn/norm.js';
import { RotaryEmbedding } from '../../nn/rotary-embedding.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { causalHead, headName } from '../causal-head.js';
import { CausalModel } from '../causal-model.js';
import { activationOf, dropoutOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';

/**
 * GPT-J (Wang and Komatsuzaki 2021): both sub-layers read one norm; neighbouring features at each head's start rotate.
 */
export class GptJ extends CausalModel {
  readonly tokens: Embedding;
  readonly dropout: Dropout;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const [dModel, heads] = [config.size('n_embd'), config.size('n_head')];
    const dFF = config.sizeOrNull('n_inner') ?? 4 * dModel;
    const activation = activationOf(config.text('activation_function'));
    const headSize = dModel / heads;
    const rotary = new RotaryEmbedding(init, {
      headSize,
      rotaryDim: config.sizeOrNull('rotary_dim') ?? headSize,
      maxLength: config.size('n_positions'),
    });
    const dropout = () => new Dropout(config.number('resid_pdrop'), this.randomness);
    const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_epsilon'));
    const attention = () => dropoutOf(config, 'attn_pdrop', this.randomness);
    this.tokens = new Embedding(init, config.size('vocab_size'), dModel);
    this.dropout = new Dropout(config.number('embd_pdrop'), this.randomness);
    const layer = () => {
      const shared = norm();
      return new TransformerLayer({
        selfAttn: () =>
          new MultiHeadAttention(init, { dModel, heads, causal: true, bias: false, rotary, dropout: attention() }),
        feedForward: () => new FeedForward(init, { dModel, dFF, activation }),
        norm: () => shared,
        dropout,
        wiring: 'parallel',
        randomness: this.randomness,
      });
    };
    this.decoder = new Stack(config.size('n_layer'), layer, norm);
    this.head = causalHead(context, this.tokens, this.randomness, { outputBias: true });
  }

  protected embedTarget(ids: Tensor): Tensor {
    return this.dropout.forward(this.tokens.forward(ids));
  }

  override get maxLength(): number {
    return this.settings.size('n_positions');
  }

  protected override get bodyName(): string {
    return 'transformer';
  }

  protected override get stateNames(): StateNames {
    const layer = 'transformer.h.*';
    return {
      tokens: 'transformer.wte',
      'decoder.layers.*.self_attn.qkv': ['q', 'k', 'v'].map((name) => `${layer}.attn.${name}_proj`),
      'decoder.layers.*.self_attn.out_proj': `${layer}.attn.out_proj`,
      'decoder.layers.*.norm1': `${layer}.ln_1`,
      'decoder.layers.*.feed_forward.linear1': `${layer}.mlp.fc_in`,
      'decoder.layers.*.feed_forward.linear2': `${layer}.mlp.fc_out`,
      'decoder.norm': 'transformer.ln_f',
      'head.out': headName(this.headKind),
    };
  }
}

export const gptJ: Family = {
  model: GptJ,
  className: 'GPTJ',
  defaults: {
    n_embd: 4096,
    n_layer: 28,
    n_head: 16,
    n_inner: null,
    n_positions: 2048,
    rotary_dim: 64,
    activation_function: 'gelu_new',
    resid_pdrop: 0,
    embd_pdrop: 0,
    attn_pdrop: 0,
    layer_norm_epsilon: 1e-5,
    bos_token_id: 50256,
    eos_token_id: 50256,
    pad_token_id: null,
    tie_word_embeddings: false,
  },
  vocabulary: 'gpt2',
};
