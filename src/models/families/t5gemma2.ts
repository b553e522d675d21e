import { FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import type { AttentionMaps } from '../../inspect/attention-maps.js';
import type { MultiHeadOptions } from '../../nn/attention.js';
import { Dropout, type Randomness } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import type { Initializer } from '../../nn/init.js';
import { MergedAttention } from '../../nn/merged-attention.js';
import type { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { equal, where } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { concat } from '../../ops/move.js';
import { rotaryOf, windowOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { ModelOutput } from '../inputs.js';
import { type Json, ModelConfig } from '../model-config.js';
import { t5Gemma2Module } from '../module-names.js';
import type { PredictionHead } from '../prediction-head.js';
import type { BatchLayout, FamilyContext } from '../pretrained-model.js';
import { gemmaNorm } from './gemma.js';
import { llamaAttention, llamaAttentionOptions } from './llama.js';
import { completeFromDecoder, GemmaSeq2Seq, gemmaHeadName, gemmaSideStack, t5GemmaNames } from './t5gemma.js';

/**
 * T5Gemma 2 (Zhang et al. 2025, arXiv 2512.14856), text only: an encoder and a decoder of Gemma 3's layers. One softmax
 * covers the decoder's self-attention and cross-attention. If embeddings are tied, encoder and decoder share one table
 * of tokens.
 */
export class T5Gemma2 extends GemmaSeq2Seq {
  readonly sourceTokens: Embedding;
  readonly targetTokens: Embedding;
  /** float32 [hidden]: vector of the token that ends an image. It replaces the token's row in the table. */
  readonly sourceImageEnd: Tensor;
  readonly targetImageEnd: Tensor;
  readonly sourceDropout: Dropout;
  readonly targetDropout: Dropout;
  readonly encoder: Stack;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;
  protected readonly target: ModelConfig;
  /** The image encoder is not read, but saved again. */
  override readonly keptNames = /\b(vision_tower|multi_modal_projector)\./;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const { dropout_rate, attention_dropout } = config.values;
    const [source, target] = ['encoder_text_config', 'decoder'].map(
      (name) => new ModelConfig({ ...config.object(name), dropout_rate, attention_dropout }),
    ) as [ModelConfig, ModelConfig];
    for (const name of ['hidden_size', 'vocab_size'])
      if (source.size(name) !== target.size(name))
        throw new FormatError(
          `config.json: ${name} is ${target.size(name)}, expected ${source.size(name)} as in encoder`,
        );
    this.target = target;
    const isTied = config.flag('tie_word_embeddings');
    const [rows, features] = [target.size('vocab_size'), target.size('hidden_size')];
    this.sourceTokens = new Embedding(init, rows, features);
    this.targetTokens = isTied ? this.sourceTokens : new Embedding(init, rows, features);
    this.sourceImageEnd = init.constant([features], 0);
    this.targetImageEnd = isTied ? this.sourceImageEnd : init.constant([features], 0);
    this.sourceDropout = new Dropout(config.number('dropout_rate'), this.randomness);
    this.targetDropout = new Dropout(config.number('dropout_rate'), this.randomness);
    this.encoder = stackOf(init, source, this.randomness, false);
    this.decoder = stackOf(init, target, this.randomness, true);
    this.head = this.headOf(context, this.sourceTokens);
  }

  #embedded(ids: Tensor, tokens: Embedding, imageEnd: Tensor): Tensor {
    const scale = Math.sqrt(this.target.size('hidden_size'));
    const x = tokens.forward(ids, { scale, paddingId: this.target.numberOrNull('pad_token_id') });
    const end = ids.device.tensor(Int32Array.of(this.settings.number('eoi_token_index')));
    return where(equal(ids, end).reshape(-1, 1), imageEnd, x);
  }

  protected embedSource(ids: Tensor): Tensor {
    return this.sourceDropout.forward(this.#embedded(ids, this.sourceTokens, this.sourceImageEnd));
  }

  protected embedTarget(ids: Tensor): Tensor {
    return this.targetDropout.forward(this.#embedded(ids, this.targetTokens, this.targetImageEnd));
  }

  /** Splits the decoder's attention maps into self-attention and cross-attention. */
  protected override mapsOf(maps: AttentionMaps, output: ModelOutput, layout: BatchLayout): ModelOutput {
    const [sources, targets] = [layout.source, layout.target].map((side) => side?.batch.counts ?? []) as [
      readonly number[],
      readonly number[],
    ];
    const starts = { cross: sources.map(() => 0), decoder: sources };
    const part = (map: Tensor, kind: 'cross' | 'decoder') =>
      columnsOf(map, starts[kind], kind === 'cross' ? sources : targets);
    const [cross, decoder] = (['cross', 'decoder'] as const).map((kind) => maps.decoder.map((map) => part(map, kind)));
    return super.mapsOf({ ...maps, cross: cross as Tensor[], decoder: decoder as Tensor[] }, output, layout);
  }

  override ignores(name: string): boolean {
    return this.keptNames.test(name);
  }

  override moduleName(name: string): string {
    return t5Gemma2Module(name);
  }

  protected override get stateNames(): StateNames {
    return {
      ...t5GemmaNames('encoder', false),
      ...t5GemmaNames('decoder', false),
      source_image_end: 'model.encoder.embed_tokens.eoi_embedding',
      target_image_end: 'model.decoder.embed_tokens.eoi_embedding',
      'head.out': gemmaHeadName(this.headKind),
    };
  }
}

/**
 * Selects columns start … start + count − 1 of each item's map. Returns [B, heads, T, S], where S is the largest count;
 * shorter items end with zeros.
 */
function columnsOf(map: Tensor, starts: readonly number[], counts: readonly number[]): Tensor {
  const longest = Math.max(...counts);
  const [, heads, time] = map.shape as [number, number, number];
  return concat(
    counts.map((count, b) => {
      const start = starts[b] as number;
      const part = contiguous(map.rows(b, b + 1).columns(start, start + count));
      return count === longest ? part : concat([part, map.device.zeros([1, heads, time, longest - count])], -1);
    }),
  );
}

/**
 * Returns the encoder, or the decoder, which also attends to the encoder's output. As in Gemma 3, scores have no soft
 * cap.
 */
function stackOf(init: Initializer, config: ModelConfig, randomness: Randomness, isDecoder: boolean): Stack {
  const headNorm = () => gemmaNorm(init, config, config.size('head_dim'));
  const rotary = (kind: string) => rotaryOf(init, config, { kind });
  const [everywhere, nearby] = [rotary('full_attention'), rotary('sliding_attention')];
  const attention = {
    scale: config.number('query_pre_attn_scalar') ** -0.5,
    bias: config.flag('attention_bias'),
    qNorm: headNorm,
    kNorm: headNorm,
  };
  return gemmaSideStack(init, config, randomness, (i) => {
    const size = windowOf(config, i);
    const options: Partial<MultiHeadOptions> = { ...attention, rotary: size === null ? everywhere : nearby };
    const parts = { ...options, window: isDecoder || size === null ? size : aroundOf(size) };
    return {
      selfAttn: () =>
        isDecoder
          ? new MergedAttention(init, llamaAttentionOptions(config, randomness, parts))
          : llamaAttention(init, config, randomness, { ...parts, causal: false }),
    };
  });
}

/** Returns a window of the encoder: half of it lies before a token, half after. */
function aroundOf(size: number): readonly [before: number, after: number] {
  return [Math.floor((size + 1) / 2), Math.floor(size / 2) + 1];
}

export const t5Gemma2: Family = {
  model: T5Gemma2,
  className: 'T5Gemma2',
  generationClass: 'T5Gemma2ForConditionalGeneration',
  defaults: {
    is_encoder_decoder: true,
    dropout_rate: 0,
    classifier_dropout_rate: 0,
    attention_dropout: 0,
    tie_word_embeddings: true,
  },
  complete: (config, fileConfig) => {
    completeFromDecoder(config, fileConfig, { vocab_size: 262208, max_position_embeddings: 131072 });
    const { text_config, eoi_token_index } = (fileConfig.encoder ?? {}) as Json;
    config.encoder_text_config = text_config;
    config.eoi_token_index = eoi_token_index ?? 256000;
  },
  parts: { encoder_text_config: 'gemma3_text', decoder: 'gemma3_text' },
};
