import type { Tensor } from '../../core/tensor.js';
import type { AttentionMaps } from '../../inspect/attention-maps.js';
import { CrossAttention } from '../../nn/cross-attention.js';
import { Dropout, type Randomness } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import type { Initializer } from '../../nn/init.js';
import { type LayerParts, TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { gather } from '../../ops/move.js';
import { activationOf, dropoutOf, rotaryOf, windowOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import type { ForwardOptions, ModelInputs, ModelOutput, PaddedBatch } from '../inputs.js';
import { labelsOf } from '../labels.js';
import { type Json, ModelConfig } from '../model-config.js';
import { chooseHead, PredictionHead, vocabularyOutput } from '../prediction-head.js';
import type { BatchLayout, FamilyContext, HeadKind } from '../pretrained-model.js';
import { rowsGiven, Seq2SeqModel } from '../seq2seq-model.js';
import { capped, gemma2, gemmaNorm } from './gemma.js';
import { llamaAttention, llamaAttentionOptions, llamaFeedForward, llamaNames } from './llama.js';

/** T5Gemma and T5Gemma 2: their heads, which read the decoder's output. */
export abstract class GemmaSeq2Seq extends Seq2SeqModel {
  /** The settings of the decoder. */
  protected abstract readonly target: ModelConfig;

  constructor(context: FamilyContext) {
    super(context, ['none', 'language-model', 'sequence-classification', 'token-classification']);
  }

  /** `tokens`: the embedding of targets. */
  protected headOf({ init, config, head }: FamilyContext, tokens: Embedding): PredictionHead | null {
    const out = () => vocabularyOutput(init, tokens, config.flag('tie_word_embeddings'), false);
    const labels = labelHeads(init, config, this.randomness, tokens.weight.shape[1] as number);
    return chooseHead(config, head, {
      'language-model': () => new PredictionHead({ pick: 'tokens', out: out() }),
      ...labels,
      'sequence-classification': labels['token-classification'], // `representing` picks the row
    });
  }

  override logitsOf(features: Tensor): Tensor {
    const cap = this.headKind === 'language-model' ? this.target.numberOrNull('final_logit_softcapping') : null;
    return capped(super.logitsOf(features), cap);
  }

  /** The features of the token after the last one that is not padding. The decoder reads the source, shifted by one. */
  protected override representing(features: Tensor, { batch }: PaddedBatch, { inputIds }: ModelInputs): Tensor {
    const pad = this.settings.numberOrNull('pad_token_id');
    const { rows } = rowsGiven('inputIds', inputIds);
    const indices = rows.map((row, i) => {
      const last = Array.from(row).findLastIndex((id) => id !== pad);
      return (batch.starts[i] as number) + Math.min(last + 1, (batch.counts[i] as number) - 1);
    });
    return gather(features, this.device.tensor(Int32Array.from(indices)));
  }

  /** In classifiers, transformers names only the decoder's hidden states and attention maps. */
  protected override *runInParts(
    inputs: ModelInputs,
    options: ForwardOptions,
    layout: BatchLayout,
  ): Generator<unknown, ModelOutput> {
    const output = yield* super.runInParts(inputs, options, layout);
    const { decoderHiddenStates: states } = output;
    return this.#isClassifier && states ? { ...output, hiddenStates: states } : output;
  }

  protected override mapsOf(maps: AttentionMaps, output: ModelOutput, layout: BatchLayout): ModelOutput {
    const all = super.mapsOf(maps, output, layout);
    const { decoderAttentions: decoderMaps } = all;
    return this.#isClassifier && decoderMaps ? { ...all, attentions: decoderMaps } : all;
  }

  get #isClassifier(): boolean {
    return this.headKind.endsWith('-classification');
  }
}

/** Heads that give a label to each token, or to a sequence by its last token. */
function labelHeads(init: Initializer, config: ModelConfig, randomness: Randomness, features: number) {
  const head = (pick: 'tokens' | 'last') => () =>
    new PredictionHead({
      pick,
      dropout: dropoutOf(config, 'classifier_dropout_rate', randomness),
      out: new Linear(init, features, labelsOf(config.values).length),
    });
  return { 'token-classification': head('tokens'), 'sequence-classification': head('last') };
}

/** Returns the name of the output projection of a head. */
export function gemmaHeadName(head: HeadKind): string {
  return head === 'language-model' ? 'lm_head.out_proj' : 'score.out_proj';
}

/**
 * T5Gemma (Zhang et al. 2025, arXiv 2504.06225): an encoder and a decoder of Gemma 2's layers, which may differ in
 * size. Windows of the encoder extend to both sides.
 */
export class T5Gemma extends GemmaSeq2Seq {
  readonly sourceTokens: Embedding;
  readonly targetTokens: Embedding;
  readonly sourceDropout: Dropout;
  readonly targetDropout: Dropout;
  readonly encoder: Stack;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;
  protected readonly target: ModelConfig;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const [source, target] = [sideOf(config, 'encoder'), sideOf(config, 'decoder')];
    this.target = target;
    this.sourceTokens = tokensOf(init, source);
    this.targetTokens = tokensOf(init, target);
    this.sourceDropout = new Dropout(source.number('dropout_rate'), this.randomness);
    this.targetDropout = new Dropout(target.number('dropout_rate'), this.randomness);
    this.encoder = t5GemmaStack(init, source, this.randomness, null);
    this.decoder = t5GemmaStack(init, target, this.randomness, source.size('hidden_size'));
    this.head = this.headOf(context, this.targetTokens);
  }

  protected embedSource(ids: Tensor): Tensor {
    return this.sourceDropout.forward(embedded(this.sourceTokens, ids, this.settings));
  }

  protected embedTarget(ids: Tensor): Tensor {
    return this.targetDropout.forward(embedded(this.targetTokens, ids, this.settings));
  }

  protected override get stateNames(): StateNames {
    return { ...t5GemmaNames('encoder'), ...t5GemmaNames('decoder'), 'head.out': gemmaHeadName(this.headKind) };
  }
}

/** T5Gemma's encoder alone: vectors of tokens, or labels. */
export class T5GemmaEncoder extends EncoderModel {
  protected override readonly readsTypes = false;
  readonly sourceTokens: Embedding;
  readonly sourceDropout: Dropout;
  readonly encoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config, head } = context;
    const source = sideOf(config, 'encoder');
    this.sourceTokens = tokensOf(init, source);
    this.sourceDropout = new Dropout(source.number('dropout_rate'), this.randomness);
    this.encoder = t5GemmaStack(init, source, this.randomness, null);
    this.head = chooseHead(config, head, labelHeads(init, config, this.randomness, source.size('hidden_size')));
  }

  protected embed(ids: Tensor): Tensor {
    return this.sourceDropout.forward(embedded(this.sourceTokens, ids, this.settings));
  }

  protected override get stateNames(): StateNames {
    return { ...t5GemmaNames('encoder'), 'head.out': gemmaHeadName(this.headKind) };
  }
}

/** Returns the settings of the encoder or of the decoder. One dropout rate applies to both. */
function sideOf(config: ModelConfig, side: 'encoder' | 'decoder'): ModelConfig {
  const { dropout_rate, attention_dropout } = config.values;
  return new ModelConfig({ vocab_size: 256000, ...config.object(side), dropout_rate, attention_dropout });
}

function tokensOf(init: Initializer, config: ModelConfig): Embedding {
  return new Embedding(init, config.size('vocab_size'), config.size('hidden_size'));
}

function embedded(tokens: Embedding, ids: Tensor, config: ModelConfig): Tensor {
  const scale = Math.sqrt(tokens.weight.shape[1] as number);
  return tokens.forward(ids, { scale, paddingId: config.numberOrNull('pad_token_id') });
}

/** Returns the encoder, or the decoder, which attends to vectors of `memorySize` features. */
function t5GemmaStack(
  init: Initializer,
  config: ModelConfig,
  randomness: Randomness,
  memorySize: number | null,
): Stack {
  const causal = memorySize !== null;
  const attention = {
    scale: config.number('query_pre_attn_scalar') ** -0.5,
    softcap: config.numberOrNull('attn_logit_softcapping'),
    bias: config.flag('attention_bias'),
  };
  const crossing = { ...attention, causal: false };
  const rotary = rotaryOf(init, config);
  return gemmaSideStack(init, config, randomness, (i) => {
    const before = windowOf(config, i);
    const window = before === null || causal ? before : before + 1;
    return {
      selfAttn: () => llamaAttention(init, config, randomness, { ...attention, rotary, causal, window }),
      multiheadAttn:
        memorySize === null
          ? null
          : () => new CrossAttention(init, { ...llamaAttentionOptions(config, randomness, crossing), memorySize }),
    };
  });
}

/**
 * Returns a stack of Gemma's layers, with norms before and after each sub-layer. `attentions` makes the attention parts
 * of layer i.
 */
export function gemmaSideStack(
  init: Initializer,
  config: ModelConfig,
  randomness: Randomness,
  attentions: (i: number) => Pick<LayerParts, 'selfAttn' | 'multiheadAttn'>,
): Stack {
  const norm = () => gemmaNorm(init, config, config.size('hidden_size'));
  const dropout = () => dropoutOf(config, 'dropout_rate', randomness);
  const activation = activationOf(config.text('hidden_activation'));
  const layer = (i: number) =>
    new TransformerLayer({
      ...attentions(i),
      feedForward: () => llamaFeedForward(init, config, { activation, dropout: dropout() }),
      norm,
      postNorm: norm,
      dropout,
      wiring: 'pre',
      randomness,
    });
  return new Stack(config.size('num_hidden_layers'), layer, norm, { dropout });
}

/** Returns the names of a stack. `crosses`: true if layers have a separate sub-layer for cross-attention. */
export function t5GemmaNames(stack: 'encoder' | 'decoder', crosses = stack === 'decoder'): StateNames {
  const [path, layer] = [`${stack}.layers.*`, `model.${stack}.layers.*`];
  const last = crosses ? 2 : 1;
  return {
    ...llamaNames(`model.${stack}`, stack),
    [stack === 'decoder' ? 'target_tokens' : 'source_tokens']: `model.${stack}.embed_tokens`,
    [`${path}.norm1`]: `${layer}.pre_self_attn_layernorm`,
    [`${path}.post_norms.0`]: `${layer}.post_self_attn_layernorm`,
    ...(crosses && {
      [`${path}.multihead_attn.qkv`]: `${layer}.cross_attn.q_proj`,
      [`${path}.multihead_attn.kv`]: ['k', 'v'].map((name) => `${layer}.cross_attn.${name}_proj`),
      [`${path}.multihead_attn.out_proj`]: `${layer}.cross_attn.o_proj`,
      [`${path}.norm2`]: `${layer}.pre_cross_attn_layernorm`,
      [`${path}.post_norms.1`]: `${layer}.post_cross_attn_layernorm`,
    }),
    [`${path}.norm${last + 1}`]: `${layer}.pre_feedforward_layernorm`,
    [`${path}.post_norms.${last}`]: `${layer}.post_feedforward_layernorm`,
  };
}

/** Copies settings of the decoder that transformers also uses for the whole model. */
export function completeFromDecoder(config: Record<string, unknown>, fileConfig: Json, usual: Json = {}): void {
  const decoder: Json = { ...gemma2.defaults, ...usual, ...(fileConfig.decoder as Json | undefined) };
  for (const name of ['bos_token_id', 'pad_token_id', 'eos_token_id']) config[name] = fileConfig[name] ?? decoder[name];
  config.vocab_size = decoder.vocab_size ?? 256000;
  config.max_position_embeddings = decoder.max_position_embeddings;
  config.decoder_start_token_id ??= decoder.bos_token_id;
}

export const t5Gemma: Family = {
  model: T5Gemma,
  encoder: T5GemmaEncoder,
  className: 'T5Gemma',
  generationClass: 'T5GemmaForConditionalGeneration',
  defaults: {
    is_encoder_decoder: true,
    dropout_rate: 0,
    classifier_dropout_rate: 0,
    attention_dropout: 0,
    tie_word_embeddings: true,
    vocab_size: 256000,
  },
  complete: (config, fileConfig) => completeFromDecoder(config, fileConfig),
  parts: { encoder: 'gemma2', decoder: 'gemma2' },
};
