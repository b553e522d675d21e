// The Conformer (Gulati et al. 2020, arXiv 2005.08100): attention relates all frames, and a convolution neighbouring
// ones.

import type { Tensor } from '../core/tensor.js';
import { type Activation, activate, sigmoid } from '../ops/activation.js';
import { add, mul, scale } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { concat, slice } from '../ops/move.js';
import { CausalConv } from './causal-conv.js';
import type { Dropout } from './dropout.js';
import type { Initializer } from './init.js';
import { type FeedForwardNetwork, type LayerContext, type LayerParts, TransformerLayer } from './layer.js';
import type { Projection } from './linear.js';
import { Module } from './module.js';
import type { Norm } from './norm.js';
import { PointwiseConv } from './pointwise-conv.js';
import { Sequences } from './sequences.js';

export interface ConvolutionOptions {
  /** Features of a frame. */
  readonly dModel: number;
  /** Kernel size of the convolution, in frames. */
  readonly taps: number;
  /** Number of later frames that a result depends on: 0 for a causal convolution, (taps − 1) / 2 for a centred one. */
  readonly ahead: number;
  readonly bias: boolean;
  readonly activation: Activation;
  /** Normalizes the result of the convolution, [N, dModel]. */
  readonly norm: () => Module & { forward(x: Tensor): Tensor };
  readonly dropout?: Dropout | null | undefined;
  /** True if frames of padding are read as they are. Default: false, they count as zeros. */
  readonly readsPadding?: boolean | undefined;
}

/** The convolution module: a gated projection, a depthwise convolution over frames, a norm, and a projection. */
export class ConvolutionModule extends Module {
  /** Projection to values and their gates, side by side. */
  readonly pointwise1: Projection;
  readonly depthwise: CausalConv;
  readonly norm: Module & { forward(x: Tensor): Tensor };
  readonly pointwise2: Projection;
  readonly dropout: Dropout | null;

  constructor(
    init: Initializer,
    private readonly options: ConvolutionOptions,
  ) {
    super();
    const { dModel, taps, bias } = options;
    this.pointwise1 = new PointwiseConv(init, dModel, [dModel, dModel], bias);
    this.depthwise = new CausalConv(init, dModel, taps, bias);
    this.norm = options.norm();
    this.pointwise2 = new PointwiseConv(init, dModel, dModel, bias);
    this.dropout = options.dropout ?? null;
  }

  /** `x` and the result: float32 [N, dModel]. All sequences have the same length. */
  forward(x: Tensor, batch: Sequences): Tensor {
    const gated = mul(this.pointwise1.part(x, 0, 1), sigmoid(this.pointwise1.part(x, 1, 2)));
    const mask = this.options.readsPadding ? null : batch.tokenMask;
    const y = this.#convolve(mask ? mul(gated, mask) : gated, batch);
    const active = activate('ConvolutionModule', this.norm.forward(y), this.options.activation);
    const result = this.pointwise2.forward(active);
    return this.dropout?.forward(result) ?? result;
  }

  /**
   * Computes a causal convolution over sequences that are padded by `ahead` frames, and drops the first `ahead`
   * results.
   */
  #convolve(x: Tensor, batch: Sequences): Tensor {
    const { ahead, dModel } = this.options;
    if (ahead === 0) return this.depthwise.forward(x, { batch });
    const { size, longest } = batch;
    const { device } = x;
    const longer = concat([x.reshape(size, longest, dModel), device.zeros([size, ahead, dModel])], 1);
    const padded = Sequences.of(device, Array<number>(size).fill(longest + ahead));
    const y = this.depthwise.forward(longer.reshape(-1, dModel), { batch: padded });
    return contiguous(slice(y.reshape(size, longest + ahead, dModel), 1, ahead, longest + ahead)).reshape(-1, dModel);
  }
}

/**
 * Parts of a Conformer layer, as functions. The first and the last sub-layer are feed-forward networks, whose output is
 * halved.
 */
export interface ConformerParts extends Pick<LayerParts, 'selfAttn' | 'randomness'> {
  readonly feedForward: () => FeedForwardNetwork;
  readonly convolution: () => ConvolutionModule;
  readonly norm: () => Norm;
  /** Dropout of the results of networks and of attention, in training. Default: none. */
  readonly dropout?: ((part: 'network' | 'attention') => Dropout | null) | undefined;
}

/**
 * A Conformer layer. Sub-layers are a feed-forward network, attention, a convolution and another feed-forward network.
 * Each output is added to the sub-layer's input; those of the networks are halved first. A norm follows.
 */
export class ConformerLayer extends TransformerLayer {
  readonly firstFeedForward: FeedForwardNetwork;
  readonly firstNorm: Norm;
  readonly firstDropout: Dropout | null;
  readonly convolution: ConvolutionModule;
  readonly convolutionNorm: Norm;
  readonly endNorm: Norm;

  constructor({ convolution, dropout, norm, ...parts }: ConformerParts) {
    super({
      ...parts,
      norm,
      dropout: dropout ? (subLayer) => dropout(subLayer === 0 ? 'attention' : 'network') : null,
      wiring: 'pre',
    });
    this.firstFeedForward = parts.feedForward();
    this.firstNorm = norm();
    this.firstDropout = dropout?.('network') ?? null;
    this.convolution = convolution();
    this.convolutionNorm = norm();
    this.endNorm = norm();
  }

  override forward(x: Tensor, batch: Sequences, _context: LayerContext = {}): Tensor {
    return this.pass([x], () => {
      const dropped = (y: Tensor, dropout: Dropout | null) => dropout?.forward(y, batch) ?? y;
      const { feedForward, firstFeedForward, dropout1, dropout2, firstDropout } = this;
      const half = (y: Tensor, network: FeedForwardNetwork, norm: Norm, dropout: Dropout | null) =>
        scale(dropped(network.forward(norm.forward(y)), dropout), 1 / 2);
      const afterFirstNetwork = add(x, half(x, firstFeedForward, this.firstNorm, firstDropout));
      const attended = dropped(this.selfAttn.forward(this.norm1.forward(afterFirstNetwork), batch), dropout1);
      const afterAttention = add(afterFirstNetwork, attended);
      this.observe?.(0, afterFirstNetwork, attended, afterAttention);
      const afterConvolution = add(
        afterAttention,
        this.convolution.forward(this.convolutionNorm.forward(afterAttention), batch),
      );
      const branch = half(afterConvolution, feedForward as FeedForwardNetwork, this.norm2, dropout2);
      const y = add(afterConvolution, branch);
      this.observe?.(1, afterConvolution, branch, y);
      return this.endNorm.forward(y);
    });
  }
}
