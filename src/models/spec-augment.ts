import { ArgumentError, FormatError, ShapeError } from '../core/errors.js';
import { Scalar } from '../core/operand.js';
import { Random } from '../core/random.js';
import type { Tensor } from '../core/tensor.js';
import { Dropout, type Randomness } from '../nn/dropout.js';
import type { Initializer } from '../nn/init.js';
import type { Sequences } from '../nn/sequences.js';
import { add, mul } from '../ops/binary.js';
import type { ModelConfig } from './model-config.js';

/** Spans that are hidden along an axis. */
export interface Spans {
  /** Share of the axis that spans would cover if they did not overlap. */
  readonly share: number;
  readonly length: number;
  /** Minimum number of spans. */
  readonly min: number;
}

interface SpecAugmentOptions {
  readonly dModel: number;
  readonly frames: Spans;
  readonly features: Spans;
  readonly randomness: Randomness;
  /** False if nothing is hidden, in training, too. */
  readonly isOn: boolean;
}

/**
 * SpecAugment (Park et al. 2019, arXiv 1904.08779) as wav2vec 2.0 applies it in training: a trained vector replaces
 * spans of frames, and spans of features become zero. In evaluation it does nothing.
 */
export class SpecAugment extends Dropout {
  /** The vector in place of hidden frames, [dModel]. */
  readonly vector: Tensor;

  readonly #frames: Spans;
  readonly #features: Spans;
  readonly #isOn: boolean;

  constructor(init: Initializer, { dModel, frames, features, randomness, isOn }: SpecAugmentOptions) {
    super(Math.max(frames.share, features.share), randomness);
    this.vector = init.normal([dModel], 1);
    this.#frames = frames;
    this.#features = features;
    this.#isOn = isOn;
  }

  /**
   * Reads the settings of a config; null if they hide nothing, unless the family always `keeps` the vector. Throws
   * FormatError for settings that make no sense.
   */
  static of(
    init: Initializer,
    config: ModelConfig,
    dModel: number,
    randomness: Randomness,
    keeps = false,
  ): SpecAugment | null {
    const [frames, features] = ['time', 'feature'].map((axis) => spansOf(config, axis)) as [Spans, Spans];
    if (frames.share === 0 && features.share === 0 && !keeps) return null;
    const isOn = config.values.apply_spec_augment !== false;
    return new SpecAugment(init, { dModel, frames, features, randomness, isOn });
  }

  /**
   * `x` and the result: float32 [B · frames, dModel]. Throws ShapeError for sounds shorter than a span, and
   * ArgumentError while a program is recorded, because each of its runs would hide the same spans.
   */
  override forward(x: Tensor, batch?: Sequences): Tensor {
    const { options } = this;
    if (options === null || !this.#isOn || batch === undefined) return x;
    const { device } = x;
    if (device.recording)
      throw new ArgumentError(
        'SpecAugment: a recorded program would hide the same frames in each run: train without recording, or with apply_spec_augment false',
      );
    const { seed, stream = 0 } = options;
    const random = new Random(seed instanceof Scalar ? seed.value : seed, stream);
    const { size, longest, isToken } = batch;
    const counts = isToken?.map((row) => row.filter(Boolean).length) ?? batch.counts;
    const width = x.shape[1] as number;
    let y = x;
    if (this.#frames.share > 0) {
      const hidden = hiddenSpans(random, longest, counts, this.#frames);
      const shown = device.tensor(
        hidden.map((mark) => 1 - mark),
        [size * longest, 1],
      );
      y = add(mul(y, shown), mul(device.tensor(hidden, [size * longest, 1]), this.vector));
    }
    if (this.#features.share === 0) return y;
    const all = Array<number>(size).fill(width);
    const hidden = hiddenSpans(random, width, all, this.#features).map((mark) => 1 - mark);
    return mul(y.reshape(size, longest, width), device.tensor(hidden, [size, 1, width])).reshape(x.shape);
  }
}

function spansOf(config: ModelConfig, axis: string): Spans {
  const share = config.numberOrNull(`mask_${axis}_prob`) ?? 0;
  if (!(share >= 0 && share <= 1))
    throw new FormatError(`config.json: mask_${axis}_prob is ${share}, expected a share from 0 to 1`);
  const length = config.sizeOrNull(`mask_${axis}_length`) ?? 10;
  return { share, length, min: config.numberOrNull(`mask_${axis}_min_masks`) ?? (axis === 'time' ? 2 : 0) };
}

/**
 * Marks, [rows, size]: 1 in spans that begin at random positions within the first `counts` elements of each row. The
 * number of spans is rounded up or down at random, alike for all rows.
 */
export function hiddenSpans(
  random: Random,
  size: number,
  counts: readonly number[],
  { share, length, min }: Spans,
): Float32Array {
  if (length > size)
    throw new ShapeError(`SpecAugment: spans of ${length} are longer than the ${size} elements that there are`);
  const rounding = random.uniform();
  const marks = new Float32Array(counts.length * size);
  for (const [row, count] of counts.entries()) {
    const wanted = Math.max(min, Math.floor((share * count) / length + rounding));
    const positions = Math.max(0, count - (length - 1));
    const spans = Math.min(wanted, Math.floor(size / length), positions);
    for (const start of chosen(random, positions, spans))
      marks.fill(1, row * size + start, row * size + Math.min(size, start + length));
  }
  return marks;
}

/** Returns `count` distinct integers below `limit` (Floyd's algorithm). */
function chosen(random: Random, limit: number, count: number): Set<number> {
  const found = new Set<number>();
  for (let last = limit - count; last < limit; last++) {
    const candidate = random.below(last + 1);
    found.add(found.has(candidate) ? last : candidate);
  }
  return found;
}
