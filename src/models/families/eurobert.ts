import type { Tensor } from '../../core/tensor.js';
import { Embedding } from '../../nn/embedding.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { RMSNorm } from '../../nn/norm.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { rotaryOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import { labelsOf } from '../labels.js';
import { chooseHead, PredictionHead, vocabularyOutput } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { decoderDefaults, llamaAttention, llamaFeedForward, llamaNames } from './llama.js';

/** EuroBERT (Boizard et al. 2025, arXiv 2503.05500): Llama's layers without a causal mask. */
export class EuroBert extends EncoderModel {
  protected override readonly readsTypes = false;
  readonly tokens: Embedding;
  readonly encoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const norm = () => new RMSNorm(init, config.size('hidden_size'), config.number('rms_norm_eps'));
    const rotary = rotaryOf(init, config);
    const [bias, networkBias] = [config.flag('attention_bias'), config.flag('mlp_bias')];
    this.tokens = new Embedding(init, config.size('vocab_size'), config.size('hidden_size'));
    const layer = () =>
      new TransformerLayer({
        selfAttn: () => llamaAttention(init, config, this.randomness, { rotary, bias, causal: false }),
        feedForward: () => llamaFeedForward(init, config, { bias: networkBias }),
        norm,
        wiring: 'pre',
        randomness: this.randomness,
      });
    this.encoder = new Stack(config.size('num_hidden_layers'), layer, norm);
    this.head = this.#headOf(context);
  }

  #headOf({ init, config, head }: FamilyContext): PredictionHead | null {
    const features = config.size('hidden_size');
    const labels = () => new Linear(init, features, labelsOf(config.values).length);
    const pick = config.oneOf('classifier_pooling', POOLING);
    return chooseHead(config, head, {
      'masked-language-model': () =>
        new PredictionHead({
          pick: 'tokens',
          out: vocabularyOutput(init, this.tokens, config.flag('tie_word_embeddings'), config.flag('mlp_bias')),
        }),
      'sequence-classification': () =>
        new PredictionHead({ pick, dense: new Linear(init, features, features), activation: 'gelu', out: labels() }),
      'token-classification': () => new PredictionHead({ pick: 'tokens', out: labels() }),
    });
  }

  protected embed(ids: Tensor): Tensor {
    return this.tokens.forward(ids, { paddingId: this.settings.numberOrNull('pad_token_id') });
  }

  protected override get stateNames(): StateNames {
    return {
      ...llamaNames('model', 'encoder'),
      'head.dense': 'dense',
      'head.out': this.headKind === 'masked-language-model' ? 'lm_head' : 'classifier',
    };
  }
}

/** Pooling before a label is predicted: the first token, the mean of all tokens, or the mean of all predictions. */
const POOLING = { bos: 'first', mean: 'mean', late: 'meanOfOutputs' } as const;

export const euroBert: Family = {
  model: EuroBert,
  className: 'EuroBert',
  defaults: {
    ...decoderDefaults,
    hidden_size: 768,
    intermediate_size: 3072,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    bos_token_id: 128000,
    eos_token_id: 128001,
    pad_token_id: 128001,
    mask_token_id: 128002,
    attention_bias: false,
    mlp_bias: false,
    classifier_pooling: 'late',
  },
  rope: { theta: 10000 },
};
