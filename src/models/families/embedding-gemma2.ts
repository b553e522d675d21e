import type { Tensor } from '../../core/tensor.js';
import { Embedding } from '../../nn/embedding.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { RMSNorm } from '../../nn/norm.js';
import { PerLayerGate, PerLayerInputs, PerLayerWiring } from '../../nn/per-layer-inputs.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { windowOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import { chooseHead, type PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { sandwichNames } from './gemma.js';
import {
  attentionNames,
  completeLayers,
  gemma4Attentions,
  gemmaActivation,
  perLayerNames,
  perLayerOptions,
} from './gemma4.js';
import { decoderDefaults, llamaFeedForward, llamaNames } from './llama.js';

/**
 * EmbeddingGemma 2 (Google 2026), text only: an encoder of Gemma 4's layers. Per-layer inputs are projections of the
 * embeddings alone. Windows extend to both sides. Token vectors are projected to the size of sentence vectors.
 */
export class EmbeddingGemma2 extends EncoderModel {
  protected override readonly readsTypes = false;
  readonly tokens: Embedding;
  readonly encoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const [layers, dModel] = [config.size('num_hidden_layers'), config.size('hidden_size')];
    const norm = () => new RMSNorm(init, dModel, config.number('rms_norm_eps'));
    const activation = gemmaActivation(config);
    const window = (i: number) => {
      const radius = windowOf(config, i);
      return radius === null ? null : radius + 1;
    };
    const attention = gemma4Attentions(init, config, this.randomness, { causal: false, window });
    const gateOptions = perLayerOptions(init, config);
    const layer = (i: number) =>
      new TransformerLayer({
        selfAttn: () => attention(i),
        feedForward: () => llamaFeedForward(init, config, { activation }),
        norm,
        postNorm: norm,
        wiring: () => new PerLayerWiring(init, () => new PerLayerGate(init, { ...gateOptions, layer: i, activation })),
        randomness: this.randomness,
      });
    this.tokens = new Embedding(init, config.size('vocab_size'), dModel);
    this.encoder = new Stack(layers, layer, norm, {
      entry: () => new PerLayerInputs(init, layers, gateOptions),
      projection: () => new Linear(init, dModel, config.size('embedding_dim'), false),
    });
    this.head = chooseHead(config, context.head, {});
  }

  protected embed(ids: Tensor): Tensor {
    const scale = Math.sqrt(this.settings.size('hidden_size'));
    return this.tokens.forward(ids, { scale, paddingId: this.settings.numberOrNull('pad_token_id') });
  }

  protected override get stateNames(): StateNames {
    return {
      ...attentionNames(this.settings, 'encoder'),
      'encoder.entry.projection': 'model.ple.per_layer_model_projection',
      'encoder.entry.norm': 'model.ple.per_layer_projection_norm',
      'encoder.projection': 'model.embedding_projection',
      ...perLayerNames('encoder', 'model.layers.*.ple_block'),
      ...llamaNames('model', 'encoder'),
      ...sandwichNames('encoder'),
    };
  }
}

export const embeddingGemma2: Family = {
  model: EmbeddingGemma2,
  className: 'EmbeddingGemma2Text',
  generationClass: null,
  defaults: {
    ...decoderDefaults,
    vocab_size: 262144,
    hidden_size: 512,
    intermediate_size: 2048,
    num_hidden_layers: 24,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 256,
    hidden_activation: 'gelu_pytorch_tanh',
    max_position_embeddings: 262144,
    pad_token_id: 0,
    eos_token_id: 1,
    bos_token_id: 2,
    attention_bias: false,
    sliding_window: 512,
    layer_types: null,
    hidden_size_per_layer_input: 512,
    embedding_dim: 768,
  },
  complete: (config) =>
    completeLayers(config, config.num_global_key_value_heads ?? 1, { rope_type: 'default', rope_theta: 1000000 }),
  rope: { theta: 1000000, sliding: { theta: 10000, thetaName: 'rope_local_base_freq', isScaled: false } },
};
