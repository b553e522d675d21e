import type { Tensor } from '../core/tensor.js';
import type { DecodingOptions } from '../generate/generative.js';
import { MultiHeadAttention } from '../nn/attention.js';
import type { DecoderState } from '../nn/decoder-state.js';
import { Dropout } from '../nn/dropout.js';
import { Embedding } from '../nn/embedding.js';
import { FeedForward } from '../nn/feed-forward.js';
import { TransformerLayer } from '../nn/layer.js';
import { Linear } from '../nn/linear.js';
import { RMSNorm } from '../nn/norm.js';
import { BucketBias } from '../nn/position-bias.js';
import { Stack } from '../nn/stack.js';
import type { StateNames } from '../nn/state-names.js';
import { scale } from '../ops/binary.js';
import { activationOf, dropoutOf, labelsOf } from './config-values.js';
import { PredictionHead, vocabularyOutput } from './prediction-head.js';
import type { FamilyContext } from './pretrained-model.js';
import { Seq2SeqModel } from './seq2seq-model.js';

/** Distances have no limit; some number must be the longest sequence. */
const LONGEST = 2 ** 20;
/** Tokens of the texts that the published models were trained on. */
const TRAINED = 512;

/**
 * T5 (Raffel et al. 2020, arXiv 1910.10683), its version 1.1 with gated layers, Flan-T5 and mT5: pre-norm by root mean
 * squares, no biases, scores that are not scaled and to which a number for each bucket of distances is added.
 */
export class T5 extends Seq2SeqModel {
  readonly tokens: Embedding;
  readonly sourceTokens: Embedding;
  readonly targetTokens: Embedding;
  readonly sourceDropout: Dropout;
  readonly targetDropout: Dropout;
  readonly encoder: Stack;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context, ['none', 'language-model', 'sequence-classification', 'question-answering']);
    const { init, config } = context;
    this.tokens = new Embedding(init, config.size('vocab_size'), config.size('d_model'));
    this.sourceTokens = this.tokens;
    this.targetTokens = this.tokens;
    this.sourceDropout = this.#newDropout();
    this.targetDropout = this.#newDropout();
    this.encoder = this.#stackOf(context, false);
    this.decoder = this.#stackOf(context, true);
    this.head = this.#headOf(context);
  }

  #newDropout(): Dropout {
    return new Dropout(this.settings.number('dropout_rate'), this.randomness);
  }

  #stackOf({ init, config }: FamilyContext, isDecoder: boolean): Stack {
    const [dModel, heads, headSize] = [config.size('d_model'), config.size('num_heads'), config.size('d_kv')];
    const [buckets, distance] = ['num_buckets', 'max_distance'].map((name) =>
      config.size(`relative_attention_${name}`),
    );
    const bias = new BucketBias(init, heads, buckets as number, distance as number, !isDecoder);
    const norm = () => new RMSNorm(init, dModel, config.number('layer_norm_epsilon'));
    const attention = { dModel, heads, headSize, bias: false, scale: 1 };
    const layer = () =>
      new TransformerLayer({
        selfAttn: () =>
          new MultiHeadAttention(init, {
            ...attention,
            causal: isDecoder,
            positionBias: bias,
            dropout: this.#newDropout(),
          }),
        multiheadAttn: isDecoder
          ? () => new MultiHeadAttention(init, { ...attention, dropout: this.#newDropout() })
          : null,
        feedForward: () =>
          new FeedForward(init, {
            dModel,
            dFF: config.size('d_ff'),
            activation: activationOf(config.text('dense_act_fn')),
            gated: config.flag('is_gated_act'),
            bias: false,
            dropout: this.#newDropout(),
          }),
        norm,
        dropout: () => this.#newDropout(),
        wiring: 'pre',
        randomness: this.randomness,
      });
    return new Stack(config.size(isDecoder ? 'num_decoder_layers' : 'num_layers'), layer, norm, {
      dropout: () => this.#newDropout(),
    });
  }

  #headOf({ init, config, head }: FamilyContext): PredictionHead | null {
    const features = config.size('d_model');
    switch (head) {
      case 'language-model': {
        const isTied = config.flag('tie_word_embeddings');
        return new PredictionHead({ pick: 'tokens', out: vocabularyOutput(init, this.tokens, isTied, false) });
      }
      case 'sequence-classification': {
        const [dense, out] = [
          new Linear(init, features, features),
          new Linear(init, features, labelsOf(config).length),
        ];
        const [inputDropout, dropout] = [0, 1].map(() => dropoutOf(config, 'classifier_dropout', this.randomness));
        return new PredictionHead({ pick: 'tokens', inputDropout, dense, activation: 'tanh', dropout, out });
      }
      case 'question-answering':
        return new PredictionHead({ pick: 'tokens', out: new Linear(init, features, 2) });
      default:
        return null;
    }
  }

  protected embedSource(ids: Tensor): Tensor {
    return this.sourceDropout.forward(this.tokens.forward(ids));
  }

  protected embedTarget(ids: Tensor): Tensor {
    return this.targetDropout.forward(this.tokens.forward(ids));
  }

  /** As an embedding is large and an output projection small, version 1.0, where one is both, scales. */
  override logitsOf(features: Tensor): Tensor {
    const isScaled = this.settings.type === 't5' && this.settings.flag('scale_decoder_outputs');
    return super.logitsOf(isScaled ? scale(features, this.settings.size('d_model') ** -0.5) : features);
  }

  override get maxLength(): number {
    return LONGEST;
  }

  /** As of all models, but that without a `maxLength` there is room for as many tokens as T5 was trained on. */
  override startDecoding(options: DecodingOptions = {}): DecoderState {
    return super.startDecoding({ ...options, maxLength: options.maxLength ?? TRAINED });
  }

  protected override get stateNames(): StateNames {
    const body = this.headKind === 'sequence-classification' ? 'transformer.' : '';
    const [encoder, decoder] = [`${body}encoder`, `${body}decoder`];
    const classifier = this.headKind === 'sequence-classification' ? 'classification_head.out_proj' : 'qa_outputs';
    return {
      tokens: `${body}shared`,
      source_tokens: `${encoder}.embed_tokens`,
      target_tokens: `${decoder}.embed_tokens`,
      ...this.#layerNames('encoder', encoder, 1),
      ...this.#layerNames('decoder', decoder, 2),
      'head.dense': 'classification_head.dense',
      'head.out': this.headKind === 'language-model' ? 'lm_head' : classifier,
    };
  }

  #layerNames(stack: string, name: string, last: number): StateNames {
    const [layers, block] = [`${stack}.layers.*`, `${name}.block.*.layer`];
    const [attention, network] = [`${block}.0.SelfAttention`, `${block}.${last}.DenseReluDense`];
    const projections = (of: string) => ['q', 'k', 'v'].map((each) => `${of}.${each}`);
    const cross = `${block}.1.EncDecAttention`;
    return {
      [`${stack}.layers.0.self_attn.position_bias`]: `${name}.block.0.layer.0.SelfAttention.relative_attention_bias`,
      [`${layers}.self_attn.position_bias`]: [null], // that of the first layer
      [`${layers}.self_attn.qkv`]: projections(attention),
      [`${layers}.self_attn.out_proj`]: `${attention}.o`,
      [`${layers}.norm1`]: `${block}.0.layer_norm`,
      [`${layers}.multihead_attn.qkv`]: projections(cross),
      [`${layers}.multihead_attn.out_proj`]: `${cross}.o`,
      [`${layers}.norm2`]: `${block}.1.layer_norm`,
      [`${layers}.norm3`]: `${block}.2.layer_norm`,
      [`${layers}.feed_forward.linear1`]: `${network}.${this.settings.flag('is_gated_act') ? 'wi_0' : 'wi'}`,
      [`${layers}.feed_forward.linear2`]: `${network}.wo`,
      [`${layers}.feed_forward.linear3`]: `${network}.wi_1`,
      [`${stack}.norm`]: `${name}.final_layer_norm`,
    };
  }
}
