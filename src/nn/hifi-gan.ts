// HiFi-GAN (Kong, Kim, Bae 2020, arXiv 2010.05646): frames of a spectrogram or of latents → samples of sound.

import type { Tensor } from '../core/tensor.js';
import { tanh } from '../ops/activation.js';
import { add, scale } from '../ops/binary.js';
import { leakyRelu } from '../ops/unary.js';
import { Conv1d, ConvTranspose1d } from './conv.js';
import type { Initializer } from './init.js';
import { Module } from './module.js';

export interface HifiGanOptions {
  /** Number of features of a frame. */
  readonly inputs: number;
  /** Channels before the first step; each step halves them. */
  readonly channels: number;
  /**
   * `rates`: factors by which the steps multiply the number of frames. `kernels`: kernel sizes of their transposed
   * convolutions.
   */
  readonly rates: readonly number[];
  readonly kernels: readonly number[];
  /**
   * `blockKernels`: kernel sizes of the residual blocks after each step. `dilations`: dilations of each block's
   * convolutions.
   */
  readonly blockKernels: readonly number[];
  readonly blockDilations: readonly (readonly number[])[];
  /** Slope of the leaky ReLUs. */
  readonly slope: number;
  /** True if the last convolution adds a bias. */
  readonly outBias: boolean;
}

/**
 * Pairs of convolutions, each pair with a residual connection. The outputs of blocks with different kernel sizes are
 * averaged.
 */
class ResidualBlock extends Module {
  readonly convs1: readonly Conv1d[];
  readonly convs2: readonly Conv1d[];

  constructor(
    init: Initializer,
    channels: number,
    kernel: number,
    dilations: readonly number[],
    private readonly slope: number,
  ) {
    super();
    const conv = (dilation: number) =>
      new Conv1d(init, {
        inputs: channels,
        outputs: channels,
        kernel,
        dilation,
        padding: Math.floor((kernel * dilation - dilation) / 2),
        channelsLast: true,
      });
    this.convs1 = dilations.map(conv);
    this.convs2 = dilations.map(() => conv(1));
  }

  /** `x` and the result: float32 [B, T, channels]. */
  forward(x: Tensor): Tensor {
    const { slope: negativeSlope } = this;
    return this.convs1.reduce((y, conv, i) => {
      const first = conv.forward(leakyRelu(y, { negativeSlope }));
      return add((this.convs2[i] as Conv1d).forward(leakyRelu(first, { negativeSlope })), y);
    }, x);
  }
}

/** The generator of HiFi-GAN. Names are those of transformers' checkpoints. */
export class HifiGan extends Module {
  readonly convPre: Conv1d;
  readonly upsampler: readonly ConvTranspose1d[];
  readonly resblocks: readonly ResidualBlock[];
  readonly convPost: Conv1d;

  constructor(
    init: Initializer,
    private readonly options: HifiGanOptions,
  ) {
    super();
    const { inputs, channels, rates, kernels, blockKernels, blockDilations, slope, outBias } = options;
    const wide = { padding: 3, channelsLast: true };
    this.convPre = new Conv1d(init, { inputs, outputs: channels, kernel: 7, ...wide });
    const width = (step: number) => Math.floor(channels / 2 ** step);
    this.upsampler = rates.map((stride, i) => {
      const kernel = kernels[i] as number;
      const options = { stride, padding: Math.floor((kernel - stride) / 2), channelsLast: true };
      return new ConvTranspose1d(init, { inputs: width(i), outputs: width(i + 1), kernel, ...options });
    });
    this.resblocks = rates.flatMap((_, i) =>
      blockKernels.map(
        (kernel, j) => new ResidualBlock(init, width(i + 1), kernel, blockDilations[j] as readonly number[], slope),
      ),
    );
    this.convPost = new Conv1d(init, { inputs: width(rates.length), outputs: 1, kernel: 7, ...wide, bias: outBias });
  }

  /**
   * `x`: float32 [B, frames, inputs]. `condition`: added after the first convolution, [B | 1, 1, channels]. Returns
   * samples from −1 to 1, [B, frames · product of rates]. Yields after each block.
   */
  *forwardInParts(x: Tensor, condition: Tensor | null = null): Generator<undefined, Tensor> {
    const { slope: negativeSlope, blockKernels } = this.options;
    const kinds = blockKernels.length;
    const first = this.convPre.forward(x);
    let y = condition ? add(first, condition) : first;
    for (const [i, upsample] of this.upsampler.entries()) {
      const wider = upsample.forward(leakyRelu(y, { negativeSlope }));
      const results: Tensor[] = [];
      for (const block of this.resblocks.slice(i * kinds, (i + 1) * kinds)) {
        results.push(block.forward(wider));
        yield;
      }
      y = scale(results.reduce(add), 1 / kinds);
    }
    const samples = tanh(this.convPost.forward(leakyRelu(y))); // [B, T, 1], with the default slope
    return samples.reshape(samples.shape[0] as number, -1);
  }

  /** Number of samples per frame: the product of the rates. */
  get samplesPerFrame(): number {
    return this.options.rates.reduce((product, rate) => product * rate, 1);
  }
}
