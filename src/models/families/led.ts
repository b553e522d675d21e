import { describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import type { AttentionMaps } from '../../inspect/attention-maps.js';
import type { Memory } from '../../nn/decoder-state.js';
import { GlobalSequences, LocalGlobalAttention } from '../../nn/local-global-attention.js';
import type { Sequences } from '../../nn/sequences.js';
import { type StateNames, withBody } from '../../nn/state-names.js';
import type { TokenBatch, Tokens } from '../../nn/token-batch.js';
import { dropoutOf } from '../config-values.js';
import type { Family } from '../family.js';
import { attentionWindow, withGlobalMask } from '../global-tokens.js';
import { type ModelInputs, type ModelOutput, type PaddedBatch, unpackMaps } from '../inputs.js';
import type { BatchLayout, FamilyContext } from '../pretrained-model.js';
import { Bart, bartDefaults, bartDesign } from './bart.js';

/**
 * LED (Beltagy, Peters, Cohan 2020, arXiv 2004.05150): BART with Longformer's attention in the encoder, for long
 * sources. In `forward`, `globalAttentionMask` marks global source tokens; without it there are none, as in
 * transformers. The same applies to `attentionMaps` and `trace`. In `encode` and `generate`, `globalTokens` are global.
 */
export class Led extends Bart {
  constructor(context: FamilyContext) {
    const { config } = context;
    const layers = config.size('encoder_layers');
    super(context, {
      ...bartDesign,
      firstPosition: 0,
      maxPositions: (side) => config.size(`max_${side}_position_embeddings`),
      encoderAttention: (init, layer, randomness) =>
        new LocalGlobalAttention(init, {
          dModel: config.size('d_model'),
          heads: config.size('encoder_attention_heads'),
          window: attentionWindow(config, layer, layers),
          dropout: dropoutOf(config, 'attention_dropout', randomness),
        }),
      heads: ['none', 'language-model', 'question-answering'],
    });
  }

  override get maxLength(): number {
    return this.settings.size('max_decoder_position_embeddings');
  }

  override get maxSourceLength(): number {
    return this.settings.size('max_encoder_position_embeddings');
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return [...super.inputNames, 'globalAttentionMask'];
  }

  protected override sequencesOf(padded: PaddedBatch, { globalAttentionMask: mask }: ModelInputs): Sequences {
    return mask ? withGlobalMask(padded, mask) : super.sequencesOf(padded, {});
  }

  /** The source as `forward` without a mask reads it, for `attentionMaps` and `trace`. */
  protected override readSource(source: Tokens): Memory {
    const batch = this.toBatch('source', source, 'maxSourceLength');
    const x = this.embedSource(batch.ids, batch.positions);
    return { hidden: this.encoder.forward(x, batch), batch };
  }

  /**
   * Positions of the global tokens of each source in `encode` and `generate`. Default: none, as in transformers without
   * a `global_attention_mask`. The checkpoints were trained with [0]. Throws ArgumentError for anything but positions.
   */
  get globalTokens(): readonly number[] {
    return this.#globalTokens;
  }

  set globalTokens(positions: readonly number[]) {
    const isPosition = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
    if (!Array.isArray(positions) || !positions.every(isPosition))
      throw new ArgumentError(`globalTokens is ${describeValue(positions)}, expected positions such as [0]`);
    this.#globalTokens = [...new Set(positions)].sort((a, b) => a - b);
    this.partsChanged(); // recorded passes have the earlier tokens
  }

  #globalTokens: readonly number[] = [];

  protected override sourceOf(batch: TokenBatch): Sequences {
    const positions = this.#globalTokens;
    if (positions.length === 0) return batch;
    return new GlobalSequences(
      batch,
      batch.counts.map((count) => positions.filter((position) => position < count)),
    );
  }

  /**
   * Returns the encoder's attention maps in transformers' layout: [B, heads, T, global tokens + window + 1]. Columns
   * after the global tokens are distances.
   */
  protected override mapsOf(maps: AttentionMaps, output: ModelOutput, layout: BatchLayout): ModelOutput {
    return {
      ...super.mapsOf({ ...maps, encoder: [] }, output, layout),
      encoderAttentions: unpackMaps(maps.encoder, layout.source, null),
    };
  }

  protected override get bodyName(): string {
    return 'led';
  }

  protected override get stateNames(): StateNames {
    const attention = 'led.encoder.layers.*.self_attn';
    const projections = (suffix: string) =>
      ['query', 'key', 'value'].map((name) => `${attention}.longformer_self_attn.${name}${suffix}`);
    return {
      ...withBody(super.stateNames, 'model', 'led'),
      'encoder.layers.*.self_attn.qkv': projections(''),
      'encoder.layers.*.self_attn.global_qkv': projections('_global'),
      'encoder.layers.*.self_attn.out_proj': `${attention}.output`,
    };
  }
}

const { max_position_embeddings: _, ...defaults } = bartDefaults;

export const led: Family = {
  model: Led,
  className: 'LED',
  generationClass: 'LEDForConditionalGeneration',
  defaults: {
    ...defaults,
    forced_eos_token_id: null,
    max_encoder_position_embeddings: 16384,
    max_decoder_position_embeddings: 1024,
    attention_window: 512,
  },
  complete: (config) => {
    config.scale_embedding = false; // transformers ignores it
  },
  vocabulary: 'roberta',
};
