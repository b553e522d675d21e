import type { Tensor } from '../core/tensor.js';
import { mul, sub } from '../ops/binary.js';
import { concat } from '../ops/move.js';
import { columns, flipped } from './columns.js';
import type { Dropout } from './dropout.js';
import type { Initializer } from './init.js';
import { Module } from './module.js';
import { PointwiseConv } from './pointwise-conv.js';
import { WaveNet, type WaveNetOptions } from './wavenet.js';

/**
 * An affine coupling flow. A WaveNet computes a shift of one half of the channels from the other half. Only the inverse
 * is implemented.
 */
class CouplingLayer extends Module {
  readonly convPre: PointwiseConv;
  readonly wavenet: WaveNet;
  readonly convPost: PointwiseConv;

  constructor(init: Initializer, half: number, options: WaveNetOptions, dropout: Dropout) {
    super();
    this.convPre = new PointwiseConv(init, half, options.width);
    this.wavenet = new WaveNet(init, options, dropout);
    this.convPost = new PointwiseConv(init, options.width, half);
  }

  /** `x` and the result: float32 [B, T, channels]. */
  backwards(x: Tensor, mask: Tensor, speaker: Tensor | null): Tensor {
    const channels = x.shape[2] as number;
    const first = columns(x, 0, channels / 2);
    const features = this.wavenet.forward(mul(this.convPre.forward(first), mask), mask, speaker);
    const mean = mul(this.convPost.forward(features), mask);
    return concat([first, mul(sub(columns(x, channels / 2, channels), mean), mask)], 2);
  }
}

/** A sequence of coupling flows. The channels are reversed between them. */
export class CouplingBlock extends Module {
  readonly flows: readonly CouplingLayer[];

  /** `channels`: of the values that flow. `wavenet` describes the network of each of `flows` couplings. */
  constructor(
    init: Initializer,
    {
      flows,
      channels,
      wavenet,
    }: { readonly flows: number; readonly channels: number; readonly wavenet: WaveNetOptions },
    dropout: () => Dropout,
  ) {
    super();
    const half = Math.floor(channels / 2);
    this.flows = Array.from({ length: flows }, () => new CouplingLayer(init, half, wavenet, dropout()));
  }

  /** `x` and the result: float32 [B, T, channels]. Yields after each flow. */
  *backwardsInParts(x: Tensor, mask: Tensor, speaker: Tensor | null): Generator<undefined, Tensor> {
    let y = x;
    for (const flow of this.flows.toReversed()) {
      y = flow.backwards(flipped(y), mask, speaker);
      yield;
    }
    return y;
  }
}
