import { FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import {
  MultiHeadAttention,
  type MultiHeadOptions,
  type ProjectedQueries,
  type RotaryContext,
} from '../../nn/attention.js';
import { Conv1d } from '../../nn/conv.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { type FeedForwardNetwork, TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import { PointwiseConv } from '../../nn/pointwise-conv.js';
import type { Sequences } from '../../nn/sequences.js';
import type { SharedTensors } from '../../nn/shared-tensors.js';
import { type StateNames, withBody } from '../../nn/state-names.js';
import { type Activation, activate } from '../../ops/activation.js';
import { add, mul } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { matmul } from '../../ops/matmul.js';
import { concat, pack, permute, slice, unpack } from '../../ops/move.js';
import { pad } from '../../ops/pad.js';
import { softmax } from '../../ops/softmax.js';
import { activationOf, dropoutOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { PaddingUse } from '../inputs.js';
import type { ModelConfig } from '../model-config.js';
import type { FamilyContext } from '../pretrained-model.js';
import { bert } from './bert.js';
import { Electra } from './electra.js';

/**
 * Fewer heads of attention, beside a convolution whose kernels depend on the tokens. Its features follow those of the
 * heads.
 */
class ConvolvingAttention extends MultiHeadAttention {
  /** A separable convolution, whose result and the queries give the kernels. */
  readonly depthwise: Conv1d;
  readonly pointwise: PointwiseConv;
  /** float32 [heads · headSize] */
  readonly pointwiseBias: Tensor;
  readonly kernels: Linear;
  /** Projection to the features that the kernels weigh. */
  readonly contents: Linear;
  readonly #taps: number;

  constructor(init: Initializer, options: MultiHeadOptions, taps: number) {
    super(init, options);
    const { dModel } = options;
    const width = this.heads * this.headSize;
    const centred = { padding: (taps - 1) / 2, groups: dModel, channelsLast: true };
    this.depthwise = new Conv1d(init, { inputs: dModel, outputs: dModel, kernel: taps, ...centred, bias: false });
    this.pointwise = new PointwiseConv(init, dModel, width, false);
    this.pointwiseBias = init.constant([width], 0);
    this.kernels = new Linear(init, width, this.heads * taps);
    this.contents = new Linear(init, dModel, width);
    this.#taps = taps;
  }

  protected override outputWidth(queries: number): number {
    return 2 * queries;
  }

  protected override projectAll(
    x: Tensor,
    context: RotaryContext,
    shared: SharedTensors | undefined,
    batch: Sequences,
  ) {
    const projected = super.projectAll(x, context, shared, batch);
    return { ...projected, convolved: this.#convolve(x, projected.q, batch) };
  }

  protected override projectOut(mixed: Tensor, projected?: ProjectedQueries & { readonly convolved?: Tensor }): Tensor {
    const { convolved } = projected ?? {};
    return super.projectOut(convolved ? concat([mixed, convolved], 1) : mixed);
  }

  /**
   * `x`: float32 [N, dModel]. `q`: [N, heads·d]. Returns [N, heads·d]. Places beyond the ends of a text count as zeros.
   */
  #convolve(x: Tensor, q: Tensor, { lengths, longest: time, size, total }: Sequences): Tensor {
    const { heads, headSize } = this;
    const taps = this.#taps;
    const keys = pack(this.depthwise.forward(unpack(contiguous(x), lengths, time)), lengths, total);
    const mixed = mul(add(this.pointwise.forward(keys), this.pointwiseBias), contiguous(q));
    const kernels = softmax(this.kernels.forward(mixed).reshape(-1, taps)).reshape(-1, heads, taps); // [N, heads, taps]
    const spread = unpack(kernels, lengths, time); // [B, T, heads, taps]
    const before = (taps - 1) / 2;
    const contents = unpack(this.contents.forward(x), lengths, time); // [B, T, heads·d]
    const padded = pad(contents, [0, 0, before, before]);
    const terms = Array.from({ length: taps }, (_, tap) => {
      const shifted = contiguous(slice(padded, 1, tap, tap + time)).reshape(size, time, heads, headSize);
      return mul(shifted, slice(spread, 3, tap, tap + 1));
    });
    return pack(terms.reduce(add).reshape(size, time, heads * headSize), lengths, total);
  }
}

/** A projection of groups of features, each to its own share of the outputs. */
class GroupedLinear extends Module {
  /** float32 [groups, in / groups, out / groups] */
  readonly weight: Tensor;
  /** float32 [out] */
  readonly bias: Tensor;

  constructor(init: Initializer, inputs: number, outputs: number, groups: number) {
    super();
    this.weight = init.normal([groups, inputs / groups, outputs / groups], (inputs / groups) ** -0.5);
    this.bias = init.constant([outputs], 0);
  }

  /** float32 [N, in] → [N, out]. */
  forward(x: Tensor): Tensor {
    const groups = this.weight.shape[0] as number;
    const byGroup = permute(x.reshape(x.shape[0] as number, groups, -1), [1, 0, 2]); // [groups, N, in / groups]
    const y = permute(matmul(byGroup, this.weight), [1, 0, 2]); // [N, groups, out / groups]
    return add(contiguous(y).reshape(x.shape[0] as number, -1), this.bias);
  }
}

/** A feed-forward network of grouped projections. */
class GroupedFeedForward extends Module implements FeedForwardNetwork {
  readonly linear1: GroupedLinear;
  readonly linear2: GroupedLinear;

  constructor(
    init: Initializer,
    dModel: number,
    dFF: number,
    groups: number,
    private readonly activation: Activation,
  ) {
    super();
    this.linear1 = new GroupedLinear(init, dModel, dFF, groups);
    this.linear2 = new GroupedLinear(init, dFF, dModel, groups);
  }

  forward(x: Tensor): Tensor {
    return this.linear2.forward(activate('GroupedFeedForward', this.linear1.forward(x), this.activation));
  }
}

/** ConvBERT (Jiang et al. 2020, arXiv 2008.02496): ELECTRA with convolutions beside its attention. */
export class ConvBert extends Electra {
  protected override layerOf({ init, config }: FamilyContext): TransformerLayer {
    const dModel = config.size('hidden_size');
    const heads = Math.max(1, Math.floor(config.size('num_attention_heads') / config.size('head_ratio')));
    const taps = config.size('conv_kernel_size');
    if (taps % 2 === 0) throw new FormatError(`config.json: conv_kernel_size is ${taps}, expected an odd number`);
    if (dModel % (2 * heads) !== 0)
      throw new FormatError(`config.json: hidden_size is ${dModel}, expected a multiple of ${2 * heads}`);
    const dropout = (name: string) => dropoutOf(config, name, this.randomness);
    const sizes = { dModel, heads, headSize: dModel / heads / 2 };
    return new TransformerLayer({
      selfAttn: () =>
        new ConvolvingAttention(init, { ...sizes, dropout: dropout('attention_probs_dropout_prob') }, taps),
      feedForward: () => networkOf(init, config),
      norm: () => new LayerNorm(init, dModel, config.number('layer_norm_eps')),
      dropout: () => dropout('hidden_dropout_prob'),
      wiring: 'post',
      randomness: this.randomness,
    });
  }

  protected override classifierActivation(config: ModelConfig): Activation {
    return activationOf(config.text('hidden_act'));
  }

  /** Convolutions read padding, as in transformers. */
  protected override paddingUse(): PaddingUse {
    return 'kept';
  }

  protected override get bodyName(): string {
    return 'convbert';
  }

  protected override get stateNames(): StateNames {
    const [path, stored] = ['encoder.layers.*.self_attn', 'convbert.encoder.layer.*.attention.self'];
    return {
      ...withBody(super.stateNames, 'electra', this.bodyName),
      [`${path}.depthwise`]: `${stored}.key_conv_attn_layer.depthwise`,
      [`${path}.pointwise`]: `${stored}.key_conv_attn_layer.pointwise`,
      [`${path}.pointwise_bias`]: { name: `${stored}.key_conv_attn_layer.bias`, trailing: 1 },
      [`${path}.kernels`]: `${stored}.conv_kernel_layer`,
      [`${path}.contents`]: `${stored}.conv_out_layer`,
    };
  }
}

function networkOf(init: Initializer, config: ModelConfig): FeedForwardNetwork {
  const [dModel, dFF, groups] = [
    config.size('hidden_size'),
    config.size('intermediate_size'),
    config.size('num_groups'),
  ];
  const activation = activationOf(config.text('hidden_act'));
  if (groups === 1) return new FeedForward(init, { dModel, dFF, activation });
  if (dModel % groups !== 0 || dFF % groups !== 0)
    throw new FormatError(`config.json: num_groups is ${groups}, expected a divisor of ${dModel} and ${dFF}`);
  return new GroupedFeedForward(init, dModel, dFF, groups, activation);
}

const { gguf: _, ...plain } = bert;

export const convBert: Family = {
  ...plain,
  model: ConvBert,
  className: 'ConvBert',
  defaults: {
    ...bert.defaults,
    pad_token_id: 1,
    bos_token_id: 0,
    eos_token_id: 2,
    embedding_size: 768,
    head_ratio: 2,
    conv_kernel_size: 9,
    num_groups: 1,
  },
};
