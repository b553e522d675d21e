import { FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { SinusoidalDistances } from '../../nn/distance-waves.js';
import { Dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { LayerNorm } from '../../nn/norm.js';
import { RelativeAttention, SegmentSequences } from '../../nn/relative-attention.js';
import { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { activationOf, dropoutOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import type { ModelInputs, PaddedBatch, PaddingUse } from '../inputs.js';
import { labelsOf } from '../labels.js';
import { numberIn } from '../model-config.js';
import { chooseHead, PredictionHead, vocabularyOutput } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';

/**
 * XLNet (Yang et al. 2019, arXiv 1906.08237): attention by content, distance and segment. As in fine-tuning, there is
 * one stream. Permutations (`perm_mask`, `target_mapping`) and memories of earlier texts (`mems`) are not supported.
 */
export class XLNet extends EncoderModel {
  readonly tokens: Embedding;
  /**
   * float32 [1, 1, dModel]: initial value of the second stream in pre-training. It is loaded and saved, but not used.
   */
  readonly maskVector: Tensor;
  readonly dropout: Dropout;
  readonly waves: SinusoidalDistances;
  readonly encoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    config.expect('bi_data', false);
    const causal = config.oneOf('attn_type', { bi: false, uni: true });
    if (causal) config.expect('same_length', false);
    const [name] = [config.values.architectures ?? []].flat();
    if (name === 'XLNetForQuestionAnswering')
      throw new FormatError(`config.json: ${name} searches answers by beams, expected XLNetForQuestionAnsweringSimple`);
    const dModel = config.size('d_model');
    const dropout = () => new Dropout(config.number('dropout'), this.randomness);
    const clamp = config.number('clamp_len');
    this.tokens = new Embedding(init, config.size('vocab_size'), dModel);
    this.maskVector = init.normal([1, 1, dModel], 0.02);
    this.dropout = dropout();
    this.waves = new SinusoidalDistances(init, dModel, clamp > 0 ? clamp : null);
    const layer = () =>
      new TransformerLayer({
        selfAttn: () =>
          new RelativeAttention(init, {
            dModel,
            heads: config.size('n_head'),
            headSize: config.size('d_head'),
            causal,
            waves: this.waves,
            distanceDropout: dropout(),
            dropout: dropout(),
          }),
        feedForward: () =>
          new FeedForward(init, {
            dModel,
            dFF: config.size('d_inner'),
            activation: activationOf(config.text('ff_activation')),
            dropout: dropout(),
          }),
        norm: () => new LayerNorm(init, dModel, config.number('layer_norm_eps')),
        dropout,
        wiring: 'post',
        randomness: this.randomness,
      });
    this.encoder = new Stack(config.size('n_layer'), layer, null, { dropout });
    this.head = this.#headOf(context);
  }

  #headOf({ init, config, head }: FamilyContext): PredictionHead | null {
    const dModel = config.size('d_model');
    const labels = () => new Linear(init, dModel, labelsOf(config.values).length);
    return chooseHead(config, head, {
      'language-model': () => {
        const isTied = config.flag('tie_word_embeddings');
        return new PredictionHead({ pick: 'tokens', out: vocabularyOutput(init, this.tokens, isTied, true) });
      },
      'sequence-classification': () => {
        config.expect('summary_proj_to_labels', false);
        return new SummaryHead({
          pick: config.oneOf('summary_type', { last: 'last', cls_index: 'last', first: 'first', mean: 'mean' }),
          inputDropout: dropoutOf(config, 'summary_first_dropout', this.randomness),
          dense: config.flag('summary_use_proj') ? new Linear(init, dModel, dModel) : null,
          activation: config.values.summary_activation ? activationOf(config.text('summary_activation')) : 'none',
          dropout: dropoutOf(config, 'summary_last_dropout', this.randomness),
          out: labels(),
        });
      },
      'token-classification': () => new PredictionHead({ pick: 'tokens', out: labels() }),
      'question-answering': () => new PredictionHead({ pick: 'tokens', out: new Linear(init, dModel, 2) }),
    });
  }

  protected embed(ids: Tensor): Tensor {
    return this.dropout.forward(this.tokens.forward(ids));
  }

  /** Graphs that were exported without segments compute without them. */
  override isOptional(name: string): boolean {
    return /\.(r_s_bias|seg_embed)$/.test(name) || super.isOptional(name);
  }

  /** The last row of a text is read even if it is padding. */
  protected override paddingUse(): PaddingUse {
    return 'kept';
  }

  protected override sequencesOf(padded: PaddedBatch, { tokenTypeIds }: ModelInputs): Sequences {
    const { sequences } = padded;
    const hasSegments = ![...this.absent].some((name) => name.endsWith('.seg_embed'));
    if (!tokenTypeIds || !hasSegments) return sequences;
    const types = padded.pack('tokenTypeIds', tokenTypeIds);
    const { starts, counts } = sequences;
    return new SegmentSequences(
      sequences,
      counts.map((count, i) => types.slice(starts[i], (starts[i] as number) + count)),
    );
  }

  /** Relative positions have no limit. */
  override get maxLength(): number {
    return Number.POSITIVE_INFINITY;
  }

  protected override get bodyName(): string {
    return 'transformer';
  }

  protected override get stateNames(): StateNames {
    const [path, layer] = ['encoder.layers.*', 'transformer.layer.*'];
    const [attention, network] = [`${layer}.rel_attn`, `${layer}.ff`];
    const split = [this.settings.size('n_head'), this.settings.size('d_head')];
    const heads: Partial<Record<typeof this.headKind, string>> = {
      'language-model': 'lm_loss',
      'sequence-classification': 'logits_proj',
      'token-classification': 'classifier',
    };
    return {
      'head.dense': 'sequence_summary.summary',
      'head.out': heads[this.headKind] ?? 'qa_outputs',
      tokens: 'transformer.word_embedding',
      mask_vector: 'transformer.mask_emb',
      [`${path}.self_attn.qkv.weight`]: {
        name: ['q', 'k', 'v'].map((name) => `${attention}.${name}`),
        inOut: true,
        split,
      },
      [`${path}.self_attn.out_proj.weight`]: { name: `${attention}.o`, split },
      [`${path}.self_attn.position_key.weight`]: { name: `${attention}.r`, inOut: true, split },
      [`${path}.self_attn.key_bias`]: `${attention}.r_w_bias`,
      [`${path}.self_attn.distance_bias`]: `${attention}.r_r_bias`,
      [`${path}.self_attn.segment_bias`]: `${attention}.r_s_bias`,
      [`${path}.self_attn.segment_keys`]: `${attention}.seg_embed`,
      [`${path}.norm1`]: `${attention}.layer_norm`,
      [`${path}.feed_forward.linear1`]: `${network}.layer_1`,
      [`${path}.feed_forward.linear2`]: `${network}.layer_2`,
      [`${path}.norm2`]: `${network}.layer_norm`,
    };
  }
}

/** Summarizes a text by one of its rows, which may be padding. */
class SummaryHead extends PredictionHead {
  override forward(features: Tensor, { positions, lengths, counts }: Sequences): Tensor {
    return super.forward(features, new Sequences(positions, lengths, counts));
  }
}

export const xlnet: Family = {
  model: XLNet,
  className: 'XLNet',
  generationClass: 'XLNetLMHeadModel',
  questionAnsweringClass: 'XLNetForQuestionAnsweringSimple',
  defaults: {
    d_model: 1024,
    n_layer: 24,
    n_head: 16,
    d_inner: 4096,
    d_head: null,
    ff_activation: 'gelu',
    attn_type: 'bi',
    layer_norm_eps: 1e-12,
    dropout: 0.1,
    bi_data: false,
    clamp_len: -1,
    same_length: false,
    summary_type: 'last',
    summary_use_proj: true,
    summary_activation: 'tanh',
    summary_last_dropout: 0.1,
    pad_token_id: 5,
    bos_token_id: 1,
    eos_token_id: 2,
    tie_word_embeddings: true,
  },
  complete: (config) => {
    config.d_head ||= Math.floor(numberIn(config, 'd_model') / numberIn(config, 'n_head'));
    config.hidden_size = config.d_model;
  },
};
