import type { Tensor } from '../core/tensor.js';
import { sigmoid, tanh } from '../ops/activation.js';
import { add, mul } from '../ops/binary.js';
import { columns } from './columns.js';
import type { Dropout } from './dropout.js';
import type { Initializer } from './init.js';
import { Module } from './module.js';
import { WeightNormConv1d } from './weight-norm.js';

export interface WaveNetOptions {
  readonly layers: number;
  /** Number of channels. */
  readonly width: number;
  /** Kernel size of the convolutions. */
  readonly taps: number;
  /** Factor of the dilation from layer to layer. */
  readonly rate: number;
  /** Number of features of a speaker; 0 if the model has one speaker. */
  readonly speaker: number;
}

/** Gated dilated convolutions (WaveNet, van den Oord et al. 2016). The skip outputs of all layers are added up. */
export class WaveNet extends Module {
  readonly inLayers: readonly WeightNormConv1d[];
  readonly resSkipLayers: readonly WeightNormConv1d[];
  /** Projects the speaker's vector to the gates of all layers. Null if the model has one speaker. */
  readonly condLayer: WeightNormConv1d | null;
  readonly dropout: Dropout;

  constructor(init: Initializer, { layers, width, taps, rate, speaker }: WaveNetOptions, dropout: Dropout) {
    super();
    const last = { channelsLast: true };
    this.dropout = dropout;
    this.condLayer =
      speaker === 0
        ? null
        : new WeightNormConv1d(init, { inputs: speaker, outputs: 2 * width * layers, kernel: 1, ...last });
    this.inLayers = Array.from({ length: layers }, (_, i) => {
      const dilation = rate ** i;
      const padding = Math.floor((taps * dilation - dilation) / 2);
      return new WeightNormConv1d(init, {
        inputs: width,
        outputs: 2 * width,
        kernel: taps,
        ...last,
        dilation,
        padding,
      });
    });
    const outputs = (i: number) => (i < layers - 1 ? 2 * width : width);
    this.resSkipLayers = this.inLayers.map(
      (_, i) => new WeightNormConv1d(init, { inputs: width, outputs: outputs(i), kernel: 1, ...last }),
    );
  }

  /** `x` and the result: float32 [B, T, width]. `speaker`: [1, 1, features], or null. */
  forward(x: Tensor, mask: Tensor, speaker: Tensor | null): Tensor {
    const width = x.shape[2] as number;
    const conditions = speaker && this.condLayer ? this.condLayer.forward(speaker) : null;
    let outputs: Tensor | null = null;
    let y = x;
    for (const [i, conv] of this.inLayers.entries()) {
      const raw = conv.forward(y);
      const gates = conditions ? add(raw, columns(conditions, 2 * width * i, 2 * width * (i + 1))) : raw;
      const acts = mul(tanh(columns(gates, 0, width)), sigmoid(columns(gates, width, 2 * width)));
      const both = (this.resSkipLayers[i] as WeightNormConv1d).forward(this.dropout.forward(acts));
      const isLast = i === this.inLayers.length - 1;
      const skipped = isLast ? both : columns(both, width, 2 * width);
      outputs = outputs ? add(outputs, skipped) : skipped;
      if (!isLast) y = mul(add(y, columns(both, 0, width)), mask);
    }
    return mul(outputs as Tensor, mask);
  }
}
