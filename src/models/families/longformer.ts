import { ArgumentError } from '../../core/errors.js';
import { atOnce } from '../../core/slices.js';
import type { Tensor } from '../../core/tensor.js';
import type { AttentionMaps } from '../../inspect/attention-maps.js';
import type { Memory } from '../../nn/decoder-state.js';
import { Dropout } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { TransformerLayer } from '../../nn/layer.js';
import { LocalGlobalAttention } from '../../nn/local-global-attention.js';
import { LayerNorm } from '../../nn/norm.js';
import type { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import type { Tokens } from '../../nn/token-batch.js';
import { activationOf, dropoutOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import { attentionWindow, withGlobalMask, withGlobals } from '../global-tokens.js';
import { type ModelInputs, type ModelOutput, type PaddedBatch, unpackMaps } from '../inputs.js';
import type { PredictionHead } from '../prediction-head.js';
import type { BatchLayout, FamilyContext } from '../pretrained-model.js';
import { embeddingNames, type TextEmbeddings } from '../text-embeddings.js';
import { bertEmbeddings, bertLayerNames, bertPooler } from './bert.js';
import { roberta, robertaHead, robertaHeadNames } from './roberta.js';

/**
 * Longformer (Beltagy, Peters, Cohan 2020, arXiv 2004.05150): RoBERTa for long texts. Tokens attend to a window around
 * them and to global tokens. Global tokens attend to all tokens. `globalAttentionMask` marks them.
 */
export class Longformer extends EncoderModel {
  readonly embeddings: TextEmbeddings;
  readonly encoder: Stack;
  override readonly pooler: PredictionHead | null;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const { randomness } = this;
    const dModel = config.size('hidden_size');
    const heads = config.size('num_attention_heads');
    const activation = activationOf(config.text('hidden_act'));
    const dropout = () => new Dropout(config.number('hidden_dropout_prob'), randomness);
    const layers = config.size('num_hidden_layers');
    this.embeddings = bertEmbeddings(init, config, randomness, { firstPosition: config.number('pad_token_id') + 1 });
    const layer = (i: number) =>
      new TransformerLayer({
        selfAttn: () =>
          new LocalGlobalAttention(init, {
            dModel,
            heads,
            window: attentionWindow(config, i, layers),
            dropout: dropoutOf(config, 'attention_probs_dropout_prob', randomness),
          }),
        feedForward: () => new FeedForward(init, { dModel, dFF: config.size('intermediate_size'), activation }),
        norm: () => new LayerNorm(init, dModel, config.number('layer_norm_eps')),
        dropout,
        wiring: 'post',
        randomness,
      });
    this.encoder = new Stack(layers, layer, null);
    this.pooler = bertPooler(context);
    this.head = robertaHead(context, this.embeddings.tokens, randomness, config.number('hidden_dropout_prob'));
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return [...super.inputNames, 'globalAttentionMask'];
  }

  /**
   * Chooses global tokens as transformers does if no mask is given: the first token for sequence classification, and
   * the question for question answering.
   */
  protected override sequencesOf(padded: PaddedBatch, { globalAttentionMask: mask }: ModelInputs): Sequences {
    const isNeeded = mask || this.headKind === 'sequence-classification' || this.headKind === 'question-answering';
    if (isNeeded && [...this.absent].some((name) => name.includes('_global.')))
      throw new ArgumentError('forward: global tokens need query_global, which the ONNX file lacks: load safetensors');
    if (mask) return withGlobalMask(padded, mask);
    switch (this.headKind) {
      case 'sequence-classification':
        return withGlobals(padded, (_, __, column) => column === 0);
      case 'question-answering': {
        const ends = this.#questionEnds(padded);
        return withGlobals(padded, (sequence, position) => position < (ends[sequence] as number));
      }
      default:
        return padded.sequences;
    }
  }

  /** The source as `forward` without a mask reads it, for `attentionMaps` and `trace`. */
  protected override readSource(source: Tokens): Memory {
    const inputs = { inputIds: source };
    return { hidden: atOnce(this.passFeaturesInParts(inputs)), batch: this.toBatch('source', source) };
  }

  /** Graphs that were exported without global tokens lack their projections. */
  override isOptional(name: string): boolean {
    return /\.(query|key|value)_global\./.test(name) || super.isOptional(name);
  }

  /** Returns the position of the first of three separators in each sequence. */
  #questionEnds({ batch, rows }: PaddedBatch): number[] {
    const separator = this.settings.number('sep_token_id');
    return batch.counts.map((_, i) => {
      const separators = Array.from(rows?.[i] ?? []).flatMap((id, position) => (id === separator ? [position] : []));
      if (separators.length === 3) return separators[0] as number;
      const found = `sequence ${i} of inputIds has ${separators.length} separators (${separator})`;
      throw new ArgumentError(`forward: ${found}, expected 3: pass globalAttentionMask`);
    });
  }

  protected embed(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor {
    return this.embeddings.forward(ids, positions, types);
  }

  protected override positionsOf(padded: PaddedBatch): Tensor {
    return padded.positionsWithout(this.settings.number('pad_token_id'));
  }

  /**
   * Returns attention maps in transformers' layout: [B, heads, T, global tokens + window + 1]. Columns after the global
   * tokens are distances.
   */
  protected override mapsOf({ encoder }: AttentionMaps, _: ModelOutput, { source }: BatchLayout): ModelOutput {
    return { attentions: unpackMaps(encoder, source, null) };
  }

  protected override get bodyName(): string {
    return 'longformer';
  }

  protected override get stateNames(): StateNames {
    const layer = 'longformer.encoder.layer.*';
    return {
      ...robertaHeadNames(this.headKind, this.settings),
      'pooler.dense': 'longformer.pooler.dense',
      ...embeddingNames('longformer.embeddings'),
      ...bertLayerNames(layer),
      'encoder.layers.*.self_attn.global_qkv': ['query', 'key', 'value'].map(
        (name) => `${layer}.attention.self.${name}_global`,
      ),
    };
  }
}

export const longformer: Family = {
  model: Longformer,
  className: 'Longformer',
  defaults: { ...roberta.defaults, attention_window: 512, sep_token_id: 2 },
  vocabulary: 'roberta',
};
