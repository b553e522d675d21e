// Rotary positions: queries and keys rotate by angles proportional to the position, so that their products depend on
// the distance alone.

import { checkNumber, checkOneOf, checkOptions, describeValue, isCount, isPositive, orNull } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { atOnce } from '../core/slices.js';
import type { Tensor } from '../core/tensor.js';
import { add, mul } from '../ops/binary.js';
import { gather } from '../ops/move.js';
import { rotary } from '../ops/rotary.js';
import { checkInitializer, type Initializer } from './init.js';
import { Module } from './module.js';
import { FREQUENCIES, type Positions, rotaryAngles } from './positions.js';

/** Context extension: slower rotation for texts that are longer than those of the training. */
export type RotaryScaling =
  /** Position interpolation: all angles are divided by `factor` (Chen et al. 2023, arXiv 2306.15595). */
  | { readonly type: 'linear'; readonly factor: number }
  /** Llama 3.1: slow pairs are divided by `factor`, fast ones stay, and those between are interpolated. */
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      /** Length of the original training texts, in tokens. */
      readonly originalMaxLength: number;
    }
  /** YaRN (Peng et al. 2023, arXiv 2309.00071), whose tables are also multiplied by `attentionFactor`. */
  | {
      readonly type: 'yarn';
      readonly factor: number;
      readonly originalMaxLength: number;
      /** Pairs with at least this many rotations within the original length stay unchanged. Default: 32. */
      readonly betaFast?: number | undefined;
      /** Pairs with at most this many rotations are divided by `factor`. Default: 1. */
      readonly betaSlow?: number | undefined;
      /** Factor of cosines and sines. Default: 0.1 · ln(factor) + 1. */
      readonly attentionFactor?: number | undefined;
      /** True if the two limits are rounded to whole pairs. Default: true. */
      readonly truncate?: boolean | undefined;
    }
  /**
   * Dynamic NTK: for a text longer than `maxLength`, theta grows with the length, so that the slowest pair rotates as
   * far as with `linear`. A generated token rotates like the last token of a text that ends there.
   */
  | { readonly type: 'dynamic'; readonly factor: number; readonly maxLength: number }
  /**
   * Longrope (Ding et al. 2024, arXiv 2402.13753): a divisor for each pair, with one list for texts up to
   * `originalMaxLength` and one for longer ones. Tables are multiplied by `attentionFactor`. The length of a batch is
   * that of its longest text. A generated token rotates like the last token of a text that ends there. With `rereads`
   * (default: false), all tokens of a text that is being generated rotate alike, by its maximum length.
   */
  | {
      readonly type: 'longrope';
      readonly shortDivisors: readonly number[];
      readonly longDivisors: readonly number[];
      readonly originalMaxLength: number;
      readonly attentionFactor: number;
      readonly rereads?: boolean | undefined;
    };

export interface RotaryEmbeddingOptions {
  /** Number of features of a head. */
  readonly headSize: number;
  /**
   * Number of leading features of each head that rotate; the others stay. An odd number rotates one more feature, with
   * the frequencies of the odd number, as in transformers. Default: all.
   */
  readonly rotaryDim?: number | undefined;
  /** Number of positions. The table of angles grows as they are used. */
  readonly maxLength: number;
  /** Pairs are neighbours (`interleaved`), or features of the two halves. Default: `interleaved`. */
  readonly layout?: Positions['layout'];
  /** Number of the first position. Default: 0. */
  readonly firstPosition?: number | undefined;
  /** The i-th pair rotates by theta^(-2i/rotaryDim) radians per position. Default: 10000. */
  readonly theta?: number | undefined;
  /** Radians per position in place of `theta`, as in `Positions`. */
  readonly frequencies?: Positions['frequencies'];
  /** Extension to longer texts. Default: null, none. */
  readonly scaling?: RotaryScaling | null | undefined;
  /** The axis of each pair, if tokens have positions on several axes; see `anglesAt`. Default: null, one axis. */
  readonly axes?: readonly number[] | null | undefined;
}

const kinds = {
  headSize: 'count',
  rotaryDim: 'any',
  maxLength: 'count',
  theta: 'positive',
  layout: 'any',
  firstPosition: 'number',
  frequencies: FREQUENCIES, // `rotaryAngles` checks further
  scaling: orNull('object'),
  axes: orNull('integers'),
} as const;

/** Rotates queries and keys by their positions. Layers with the same rotation share one instance. */
export interface Rotation extends Module {
  /** See `RotaryEmbedding.forward`. */
  forward(x: Tensor, positions: Tensor, length: number, options?: RotateOptions): Tensor;
  /** See `RotaryEmbedding.lengthOf`. */
  lengthOf(longest: number, room: number): number;
}

/**
 * Rotary position embedding of queries and keys. Layers with the same rotation share one instance. It has no
 * parameters.
 */
export class RotaryEmbedding extends Module implements Rotation {
  /** Tables by `#keyOf`, each list ordered by the number of rows. */
  readonly #tables = new Map<number, Tensor[]>();
  /** Number of features that rotate: an even number. */
  readonly #rotaryDim: number;
  /** Number of features from which the frequencies derive. It may be odd. */
  readonly #speedDim: number;

  /** Throws ArgumentError for invalid options. */
  constructor(
    private readonly init: Initializer,
    private readonly options: RotaryEmbeddingOptions,
  ) {
    super();
    checkInitializer('RotaryEmbedding', init);
    const { headSize, rotaryDim = headSize, maxLength } = checkOptions('RotaryEmbedding', options, kinds);
    checkNumber('RotaryEmbedding', 'headSize', headSize, isCount, 'a positive integer');
    checkNumber('RotaryEmbedding', 'maxLength', maxLength, isCount, 'a positive integer');
    const isPart = (n: number) => isCount(n) && n + (n % 2) <= headSize;
    checkNumber('RotaryEmbedding', 'rotaryDim', rotaryDim, isPart, `whole pairs of headSize, ${headSize}`);
    this.#speedDim = rotaryDim;
    this.#rotaryDim = rotaryDim + (rotaryDim % 2);
    const { axes } = options;
    if (axes && axes.length !== this.#rotaryDim / 2)
      throw new ArgumentError(
        `RotaryEmbedding: axes is ${describeValue(axes)}, expected an array of ${this.#rotaryDim / 2} integers`,
      );
    this.#rotations(1, 1); // refuses invalid frequencies before memory is taken
  }

  /**
   * Rotates the heads in the first `columns` features of `x`, float32 [N, n], at `positions`, int32 [N]. Further
   * features are unchanged. All positions are below `length`, the length of the text. With `incremental`, tokens are
   * generated one by one. Returns float32 [N, n]. Throws ShapeError, DTypeError.
   */
  forward(
    x: Tensor,
    positions: Tensor,
    length: number,
    { columns = x.shape.at(-1) as number, incremental = false, angles = null }: RotateOptions = {},
  ): Tensor {
    const { headSize, layout } = this.options;
    return rotary(x, angles ? null : positions, angles ?? this.#table(length, incremental), {
      columns,
      layout,
      ...(this.#rotaryDim < headSize ? { headSize } : {}),
    });
  }

  /**
   * Returns rows of the table for tokens with a position on each axis, float32 [N, 2·rotaryDim]. `axisPositions` has
   * int32 [N] for each axis, with positions below `length`. Pair i rotates by the position on axis `axes[i]`.
   */
  anglesAt(axisPositions: readonly Tensor[], length: number, incremental = false): Tensor {
    const { axes, layout } = this.options;
    if (!axes) throw new ArgumentError('RotaryEmbedding: axes is missing, expected an axis for each pair');
    const table = this.#table(length, incremental);
    const pairOf = (feature: number) => (layout === 'halves' ? feature % axes.length : Math.floor(feature / 2));
    const parts = axisPositions.map((rows, axis) => {
      const scales = Float32Array.from({ length: 2 * this.#rotaryDim }, (_, i) =>
        Number(axes[pairOf(i % this.#rotaryDim)] === axis),
      );
      return mul(gather(table, rows), table.device.tensor(scales));
    });
    return parts.reduce((sum, part) => add(sum, part));
  }

  /** True if tokens have positions on several axes; see `anglesAt`. */
  get hasAxes(): boolean {
    return Boolean(this.options.axes);
  }

  /** Computes the angles for generation up to `length` in advance. */
  reserve(length: number): void {
    this.#table(length, true);
  }

  /** Same as `reserve`, but yields after each part of the table. */
  *reserveInParts(length: number): Generator<undefined, void> {
    if (this.#known(length, true) === undefined) yield* this.#makeTable(length, true);
  }

  /** Returns the `length` to pass to `forward` for a text of `longest` tokens that may grow to `room` tokens. */
  lengthOf(longest: number, room: number): number {
    const { scaling } = this.options;
    return scaling?.type === 'longrope' && scaling.rereads ? room : longest;
  }

  /**
   * Returns a table of at least `length` rows, [rows, 2 · rotaryDim]. Longer tables are made on demand. Shorter ones
   * are kept, because they may be in use.
   */
  #table(length: number, incremental: boolean): Tensor {
    return this.#known(length, incremental) ?? atOnce(this.#makeTable(length, incremental));
  }

  /**
   * Returns the same number for lengths of prompts that rotate alike. A generated token rotates like a prompt that ends
   * with it.
   */
  tableKey(promptLength: number): number {
    const { scaling = null } = this.options;
    return growthFrom(scaling) === null ? 0 : kindOfLength(scaling, promptLength);
  }

  #keyOf(length: number, incremental: boolean): number {
    const { scaling = null } = this.options;
    return incremental && growthFrom(scaling) !== null ? GROWING : kindOfLength(scaling, length);
  }

  #known(length: number, incremental: boolean): Tensor | undefined {
    const known = this.#tables.get(this.#keyOf(length, incremental))?.at(-1);
    return known && (known.shape[0] as number) >= length ? known : undefined;
  }

  *#makeTable(length: number, incremental: boolean): Generator<undefined, Tensor> {
    const { maxLength } = this.options;
    const kind = this.#keyOf(length, incremental);
    const rows = Math.min(Math.max(maxLength, length), Math.max(256, 2 ** Math.ceil(Math.log2(length))));
    const width = 2 * this.#rotaryDim;
    const values = (first: number, count: number) =>
      kind === GROWING ? this.#growing(count, first) : this.#rotations(count, length, first);
    const table = yield* this.init.tableInParts(rows, width, values, Math.ceil(PART / width));
    this.#tables.set(kind, [...(this.#tables.get(kind) ?? []), table]);
    this.#forgetLengths();
    return table;
  }

  /** Disposes of the oldest tables for single lengths. Recorded programs keep the tables that they read. */
  #forgetLengths(): void {
    const { scaling } = this.options;
    if (scaling?.type !== 'dynamic') return;
    const longer = [...this.#tables].filter(([kind]) => kind > scaling.maxLength);
    for (const [kind, tables] of longer.slice(0, -MAX_LENGTHS)) {
      for (const table of tables) table.dispose();
      this.#tables.delete(kind);
    }
  }

  /**
   * Returns rows of the table for generation. Beyond the original length, each row is the last row of the table for its
   * length.
   */
  #growing(rows: number, first: number): Float32Array {
    const original = growthFrom(this.options.scaling ?? null) as number;
    const table = this.#rotations(rows, original, first);
    const width = 2 * this.#rotaryDim;
    for (let row = Math.max(first, original); row < first + rows; row++)
      table.set(this.#rotations(1, row + 1, row), (row - first) * width);
    return table;
  }

  /** Returns rows of the table for texts of `length`, from row `first` on: [rows, 2 · rotaryDim]. */
  #rotations(rows: number, length: number, first = 0): Float32Array {
    const { layout, firstPosition = 0, theta = 10000, scaling = null } = this.options;
    const { frequencies, amplitude } = scaledFrequencies(this.#speedDim, theta, scaling, length);
    const options = {
      layout,
      firstPosition: firstPosition + first,
      frequencies: this.options.frequencies ?? frequencies,
    };
    const table = rotaryAngles(rows, this.#rotaryDim, options);
    return amplitude === 1 ? table : table.map((value) => value * amplitude);
  }

  protected override release(): void {
    super.release();
    for (const table of [...this.#tables.values()].flat()) table.dispose();
  }
}

/** Options of `RotaryEmbedding.forward`. */
export interface RotateOptions {
  /** Number of leading features whose heads rotate. Default: all. */
  readonly columns?: number | undefined;
  /**
   * True during generation: the angles of a token depend on its own position, not on the length of the text. Default:
   * false.
   */
  readonly incremental?: boolean | undefined;
  /** float32 [N, 2·rotaryDim]: a row of the table for each row of `x`, in place of `positions`. Default: null. */
  readonly angles?: Tensor | null | undefined;
}

/**
 * Number of values computed at a time. Computing a table of a hundred thousand rows at once would need three times its
 * memory.
 */
const PART = 1 << 16;

/** Maximum number of lengths beyond the original one whose tables are kept (dynamic NTK). */
const MAX_LENGTHS = 8;

/** Key of the tables for generation in `#tables`. No text length has this number. */
const GROWING = -1;

/** The length from which on the angles of generated tokens depend on their own positions; null if they never do. */
function growthFrom(scaling: RotaryScaling | null): number | null {
  if (scaling?.type === 'dynamic') return scaling.maxLength;
  return scaling?.type === 'longrope' && !scaling.rereads ? scaling.originalMaxLength : null;
}

/** Returns the same number for text lengths with the same table. */
function kindOfLength(scaling: RotaryScaling | null, length: number): number {
  if (scaling?.type === 'dynamic') return Math.max(length, scaling.maxLength);
  return scaling?.type === 'longrope' && length > scaling.originalMaxLength ? 1 : 0;
}

/**
 * Returns the radians per position of each pair of `features`, scaled for a text of `length`, and the factor of cosines
 * and sines.
 */
export function scaledFrequencies(
  features: number,
  theta: number,
  scaling: RotaryScaling | null,
  length = 0,
): { frequencies: number[]; amplitude: number } {
  const pairs = Math.ceil(features / 2);
  const plain = (base = theta) => Array.from({ length: pairs }, (_, i) => base ** ((-2 * i) / features));
  if (scaling === null) return { frequencies: plain(), amplitude: 1 };
  const types = ['linear', 'llama3', 'yarn', 'dynamic', 'longrope'] as const;
  checkOneOf('RotaryEmbedding', 'scaling.type', scaling.type, types);
  const sizes = Object.entries(scaling).filter(([name]) => ['factor', 'originalMaxLength', 'maxLength'].includes(name));
  for (const [name, size] of sizes)
    checkNumber('RotaryEmbedding', `scaling.${name}`, size, isPositive, 'a positive number');
  switch (scaling.type) {
    case 'linear':
      return { frequencies: plain().map((radians) => radians / scaling.factor), amplitude: 1 };
    case 'dynamic': {
      const { factor, maxLength } = scaling;
      const growth = (factor * Math.max(length, maxLength)) / maxLength - (factor - 1);
      return { frequencies: plain(theta * growth ** (features / (features - 2))), amplitude: 1 };
    }
    case 'longrope': {
      const divisors = length > scaling.originalMaxLength ? scaling.longDivisors : scaling.shortDivisors;
      if (divisors.length !== pairs) {
        const expected = `expected ${pairs} for ${features} features`;
        throw new ArgumentError(`RotaryEmbedding: scaling has ${divisors.length} divisors, ${expected}`);
      }
      const frequencies = plain().map((radians, i) => radians / (divisors[i] as number));
      return { frequencies, amplitude: scaling.attentionFactor };
    }
    case 'llama3':
      return { frequencies: interpolated(plain(), scaling.factor, llama3Share(scaling)), amplitude: 1 };
    case 'yarn': {
      const { factor, attentionFactor = yarnAmplitude(factor) } = scaling;
      const kept = yarnShare(features, theta, scaling);
      return { frequencies: interpolated(plain(), factor, kept), amplitude: attentionFactor };
    }
  }
}

/** Returns how much of a pair's frequency stays unscaled, from 0 to 1. */
type Share = (radians: number, pair: number) => number;

function interpolated(plain: readonly number[], factor: number, kept: Share): number[] {
  return plain.map((radians, i) => (1 - kept(radians, i)) * (radians / factor) + kept(radians, i) * radians);
}

const clamp = (share: number) => Math.max(0, Math.min(1, share));

function llama3Share({
  lowFrequencyFactor: low,
  highFrequencyFactor: high,
  originalMaxLength,
}: Extract<RotaryScaling, { type: 'llama3' }>): Share {
  return (radians) => clamp(((originalMaxLength * radians) / (2 * Math.PI) - low) / (high - low));
}

function yarnShare(
  features: number,
  theta: number,
  { originalMaxLength, betaFast = 32, betaSlow = 1, truncate = true }: Extract<RotaryScaling, { type: 'yarn' }>,
): Share {
  /** Returns the index, possibly fractional, of the pair with this number of rotations within the original length. */
  const pairOf = (rotations: number) =>
    (features * Math.log(originalMaxLength / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const [fast, slow] = [pairOf(betaFast), pairOf(betaSlow)];
  const first = Math.max(truncate ? Math.floor(fast) : fast, 0);
  const last = Math.min(truncate ? Math.ceil(slow) : slow, features - 1);
  const width = last === first ? 0.001 : last - first;
  const lastPair = Math.floor(features / 2) - 1; // 3 features have one share for both speeds, as in transformers
  return (_, pair) => 1 - clamp((Math.min(pair, lastPair) - first) / width);
}

function yarnAmplitude(factor: number): number {
  return factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1;
}
