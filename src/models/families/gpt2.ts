import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { CrossAttention } from '../../nn/cross-attention.js';
import { Dropout, type Randomness } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { LayerNorm } from '../../nn/norm.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { causalHead, headName } from '../causal-head.js';
import { CausalModel } from '../causal-model.js';
import { activationOf } from '../config-values.js';
import type { Family } from '../family.js';
import { expectForGguf } from '../gguf-mixtures.js';
import type { PaddedBatch } from '../inputs.js';
import { type ModelConfig, numberIn } from '../model-config.js';
import type { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';

/** GPT-2 (Radford et al. 2019): pre-norm layers, learned positions, matrices stored [in, out]. */
export class Gpt2 extends CausalModel {
  readonly tokens: Embedding;
  readonly positions: Embedding;
  readonly dropout: Dropout;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const dModel = config.size('n_embd');
    this.tokens = new Embedding(init, config.size('vocab_size'), dModel);
    this.positions = new Embedding(init, this.maxLength, dModel);
    this.dropout = new Dropout(config.number('embd_pdrop'), this.randomness);
    this.decoder = gpt2Stack(init, config, this.randomness);
    this.head = causalHead(context, this.tokens, this.randomness);
  }

  protected embedTarget(ids: Tensor, positions: Tensor): Tensor {
    const positionOptions = { positions: this.positions.weight, positionIds: positions };
    return this.dropout.forward(this.tokens.forward(ids, positionOptions));
  }

  /** Padding before tokens counts, as in transformers. */
  protected override positionsOf(padded: PaddedBatch): Tensor {
    return padded.columns;
  }

  override get maxLength(): number {
    return this.settings.size('n_positions');
  }

  protected override get bodyName(): string {
    return 'transformer';
  }

  protected override get stateNames(): StateNames {
    const layer = 'transformer.h.*';
    const stored = (name: string) => ({ name: `${layer}.${name}`, inOut: true });
    const crosses = this.settings.flag('add_cross_attention');
    return {
      tokens: 'transformer.wte',
      positions: 'transformer.wpe',
      'decoder.layers.*.self_attn.qkv': stored('attn.c_attn'),
      'decoder.layers.*.self_attn.out_proj': stored('attn.c_proj'),
      'decoder.layers.*.norm1': `${layer}.ln_1`,
      'decoder.layers.*.multihead_attn.qkv': stored('crossattention.q_attn'),
      'decoder.layers.*.multihead_attn.kv': stored('crossattention.c_attn'),
      'decoder.layers.*.multihead_attn.out_proj': stored('crossattention.c_proj'),
      'decoder.layers.*.feed_forward.linear1': stored('mlp.c_fc'),
      'decoder.layers.*.feed_forward.linear2': stored('mlp.c_proj'),
      'decoder.layers.*.norm2': `${layer}.${crosses ? 'ln_cross_attn' : 'ln_2'}`,
      'decoder.layers.*.norm3': `${layer}.ln_2`,
      'decoder.norm': 'transformer.ln_f',
      'head.out': headName(this.headKind, 'classifier'),
    };
  }
}

/** The layers. With `add_cross_attention`, each also attends to an encoder's output. */
function gpt2Stack(init: Initializer, config: ModelConfig, randomness: Randomness): Stack {
  const [dModel, heads] = [config.size('n_embd'), config.size('n_head')];
  const activation = activationOf(config.text('activation_function'));
  const dropout = (name: string) => new Dropout(config.number(name), randomness);
  const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_epsilon'));
  const base = config.flag('scale_attn_weights') ? (dModel / heads) ** -0.5 : 1;
  const crosses = config.flag('add_cross_attention');
  const layer = (i: number) => {
    const scale = config.flag('scale_attn_by_inverse_layer_idx') ? base / (i + 1) : base;
    const attention = () => ({ dModel, heads, scale, dropout: dropout('attn_pdrop') });
    return new TransformerLayer({
      selfAttn: () => new MultiHeadAttention(init, { ...attention(), causal: true }),
      multiheadAttn: crosses ? () => new CrossAttention(init, { ...attention(), memorySize: dModel }) : null,
      feedForward: () => new FeedForward(init, { dModel, dFF: config.size('n_inner'), activation }),
      norm,
      dropout: () => dropout('resid_pdrop'),
      wiring: 'pre',
      randomness,
    });
  };
  return new Stack(config.size('n_layer'), layer, norm);
}

const BLOCK = 'transformer.h.*';

export const gpt2: Family = {
  model: Gpt2,
  className: 'GPT2',
  generationClass: 'GPT2LMHeadModel',
  defaults: {
    n_positions: 1024,
    n_embd: 768,
    n_layer: 12,
    n_head: 12,
    n_inner: null,
    activation_function: 'gelu_new',
    resid_pdrop: 0.1,
    embd_pdrop: 0.1,
    attn_pdrop: 0.1,
    layer_norm_epsilon: 1e-5,
    scale_attn_weights: true,
    scale_attn_by_inverse_layer_idx: false,
    bos_token_id: 50256,
    eos_token_id: 50256,
    pad_token_id: null,
    tie_word_embeddings: true,
  },
  complete: (config) => {
    config.n_inner ??= 4 * numberIn(config, 'n_embd');
  },
  vocabulary: 'gpt2',
  gguf: {
    names: {
      token_embd: 'transformer.wte',
      position_embd: 'transformer.wpe',
      output_norm: 'transformer.ln_f',
      output: 'lm_head',
      'blk.*.attn_norm': `${BLOCK}.ln_1`,
      'blk.*.attn_qkv': `${BLOCK}.attn.c_attn`,
      'blk.*.attn_output': `${BLOCK}.attn.c_proj`,
      'blk.*.ffn_norm': `${BLOCK}.ln_2`,
      'blk.*.ffn_up': `${BLOCK}.mlp.c_fc`,
      'blk.*.ffn_down': `${BLOCK}.mlp.c_proj`,
    },
    inOut: ['attn_qkv', 'attn_output', 'ffn_up', 'ffn_down'],
    config: (file) => ({
      n_embd: file.needed('embedding_length'),
      n_inner: file.number('feed_forward_length') ?? 4 * file.needed('embedding_length'),
      n_layer: file.needed('block_count'),
      n_head: file.needed('attention.head_count'),
      n_positions: file.needed('context_length'),
      layer_norm_epsilon: file.needed('attention.layer_norm_epsilon'),
      tie_word_embeddings: !file.tensors.has('output.weight'),
    }),
    saved: (config) => {
      expectForGguf(config, { scale_attn_weights: true, scale_attn_by_inverse_layer_idx: false });
      return {
        context_length: { uint32: config.size('n_positions') },
        embedding_length: { uint32: config.size('n_embd') },
        block_count: { uint32: config.size('n_layer') },
        feed_forward_length: { uint32: config.size('n_inner') },
        'attention.head_count': { uint32: config.size('n_head') },
        'attention.layer_norm_epsilon': { float32: config.number('layer_norm_epsilon') },
      };
    },
  },
};
