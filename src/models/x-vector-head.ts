import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { Initializer } from '../nn/init.js';
import { Linear } from '../nn/linear.js';
import { Module } from '../nn/module.js';
import type { Sequences } from '../nn/sequences.js';
import { add, div, mul, scale, sub } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { matmul } from '../ops/matmul.js';
import { concat, slice } from '../ops/move.js';
import { sum } from '../ops/reduce.js';
import { norm } from '../ops/statistics.js';
import { type ModelInputs, type ModelOutput, perSequence } from './inputs.js';
import { labelsOf } from './labels.js';
import { tokenLoss } from './losses.js';
import type { Json, ModelConfig } from './model-config.js';
import { PredictionHead } from './prediction-head.js';

/** transformers' defaults. */
export const xVectorDefaults: Json = {
  tdnn_dim: [512, 512, 512, 512, 1500],
  tdnn_kernel: [5, 3, 3, 1, 1],
  tdnn_dilation: [1, 2, 3, 1, 1],
  xvector_output_dim: 512,
};

/** Factor and margin of the loss. */
const [SCALE, MARGIN] = [30, 0.4];

/** A projection of several frames at a fixed distance from each other, with ReLU (a dilated convolution). */
class TimeDelayLayer extends Module {
  /** Its matrix has the features of a frame side by side, the earliest frame first. */
  readonly kernel: Linear;

  constructor(
    init: Initializer,
    inputs: number,
    outputs: number,
    readonly taps: number,
    private readonly dilation: number,
  ) {
    super();
    this.kernel = new Linear(init, taps * inputs, outputs);
  }

  /** float32 [B, frames, inputs] → [B, fewer frames, outputs]. Throws ShapeError for too few frames. */
  forward(x: Tensor): Tensor {
    const { taps, dilation } = this;
    const frames = (x.shape[1] as number) - (taps - 1) * dilation;
    if (frames < 1)
      throw new ShapeError(
        `forward: the sound has ${x.shape[1]} frames, expected ${(taps - 1) * dilation + 1} or more`,
      );
    const shifted = Array.from({ length: taps }, (_, i) => slice(x, 1, i * dilation, i * dilation + frames));
    return this.kernel.forward(contiguous(concat(shifted, -1)), 'relu');
  }
}

/**
 * One vector of a voice (x-vectors, Snyder et al. 2018): layers over frames, then the mean and the deviation of each
 * feature. The logits are a projection of the vector.
 */
export class XVectorHead extends PredictionHead {
  readonly tdnn: readonly TimeDelayLayer[];
  readonly vector: Linear;
  /** float32 `[xvector_output_dim, labels]`: directions of the speakers in training. */
  readonly objective: Tensor;

  /** `inputs`: features of a frame. */
  constructor(init: Initializer, config: ModelConfig, inputs: number) {
    const widths = config.sizes('tdnn_dim');
    const [taps, dilations] = ['tdnn_kernel', 'tdnn_dilation'].map((name) => config.sizes(name, widths.length));
    const size = config.size('xvector_output_dim');
    const [first, last] = [widths[0] as number, widths.at(-1) as number];
    super({ pick: 'tokens', dense: new Linear(init, inputs, first), out: new Linear(init, size, size) });
    this.tdnn = widths.map((width, i) => {
      const before = widths[Math.max(0, i - 1)] as number;
      return new TimeDelayLayer(init, before, width, taps?.[i] as number, dilations?.[i] as number);
    });
    this.vector = new Linear(init, 2 * last, size);
    this.objective = init.normal([size, labelsOf(config.values).length], 1);
  }

  /** `features`: float32 [B · frames, inputs], the rows of `batch`. Returns the vectors and the logits, [B, size]. */
  vectors(features: Tensor, batch: Sequences): { embeddings: Tensor; logits: Tensor } {
    const x = (this.dense as Linear).forward(features).reshape(batch.size, batch.longest, -1);
    const frames = this.tdnn.reduce((y, layer) => layer.forward(y), x); // [B, frames, last]
    const embeddings = this.vector.forward(this.#statistics(frames, batch));
    return { embeddings, logits: this.predict(embeddings) };
  }

  /** Same, with the loss for `labels`. */
  voices(features: Tensor, batch: Sequences, labels: ModelInputs['labels']): ModelOutput {
    const output = this.vectors(features, batch);
    return labels === undefined ? output : { ...output, loss: this.loss(output.logits, labels) };
  }

  override forward(features: Tensor, batch: Sequences): Tensor {
    return this.vectors(features, batch).logits;
  }

  /** Mean and deviation of the frames of each sound. As in transformers, their number leaves out the dilation. */
  #statistics(frames: Tensor, { isToken, counts }: Sequences): Tensor {
    const [size, longest] = frames.shape as [number, number, number];
    const lost = this.tdnn.reduce((total, { taps }) => total + taps - 1, 0);
    const tokenCounts = isToken?.map((row) => row.filter(Boolean).length) ?? counts;
    const lengths = tokenCounts.map((count) => Math.max(0, Math.min(longest, count - lost)));
    const marks = Float32Array.from({ length: size * longest }, (_, i) =>
      i % longest < (lengths[Math.floor(i / longest)] as number) ? 1 : 0,
    );
    const mask = frames.device.tensor(marks, [size, longest, 1]);
    const column = (of: (length: number) => number) => frames.device.tensor(Float32Array.from(lengths, of), [size, 1]);
    const mean = div(
      sum(mul(frames, mask), { axis: 1 }),
      column((length) => length),
    ); // [B, features]
    const apart = mul(sub(frames, mean.reshape(size, 1, -1)), mask);
    const deviation = div(
      norm(apart, { axis: 1 }),
      column((length) => Math.sqrt(length - 1)),
    );
    return concat([mean, deviation], -1);
  }

  /** The loss of cosines with a margin (AM-Softmax, Wang et al. 2018). `labels`: the speaker of each sound. */
  loss(logits: Tensor, labels: NonNullable<ModelInputs['labels']>): Tensor {
    const [size, classes] = [logits.shape[0] as number, this.objective.shape[1] as number];
    const ids = perSequence('labels', labels, size);
    const unit = (x: Tensor, axis: number) => div(x, norm(x, { axis, keepDims: true }));
    const cosines = matmul(unit(logits, 1), unit(this.objective, 0)); // [B, labels]
    const margins = Float32Array.from({ length: size * classes }, (_, i) =>
      ids[Math.floor(i / classes)] === i % classes ? -MARGIN : 0,
    );
    return tokenLoss(scale(add(cosines, logits.device.tensor(margins, [size, classes])), SCALE), ids);
  }
}
