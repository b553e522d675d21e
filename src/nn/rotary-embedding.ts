// Rotary positions: queries and keys turn by angles that grow with the position, so that their products depend on
// distances.

import { checkNumber, checkOneOf, checkOptions, isCount, isPositive, orNull } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { rotary } from '../ops/rotary.js';
import { checkInitializer, type Initializer } from './init.js';
import { Module } from './module.js';
import { type Positions, rotations } from './positions.js';

/** How a model reads longer texts than it was trained on: by turning slower. */
export type RotaryScaling =
  /** All angles divided by `factor` (Chen et al. 2023, arXiv 2306.15595). */
  | { readonly type: 'linear'; readonly factor: number }
  /** Llama 3.1's: slow pairs divided by `factor`, fast ones as they were, those between interpolated. */
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      /** Tokens of the texts that the model was first trained on. */
      readonly originalMaxLength: number;
    }
  /** YaRN (Peng et al. 2023, arXiv 2309.00071), whose tables are also multiplied by `attentionFactor`. */
  | {
      readonly type: 'yarn';
      readonly factor: number;
      readonly originalMaxLength: number;
      /** Turns within the original length from which on a pair stays as it was. Default 32. */
      readonly betaFast?: number | undefined;
      /** Turns up to which a pair is divided by `factor`. Default 1. */
      readonly betaSlow?: number | undefined;
      /** Default 0.1 · ln(factor) + 1. */
      readonly attentionFactor?: number | undefined;
      /** Whether the limits between the pairs are rounded to whole pairs. Default true. */
      readonly truncate?: boolean | undefined;
    }
  /** A divisor for each pair, as Phi-3's `longrope` has for short and for long texts. */
  | { readonly type: 'longrope'; readonly divisors: readonly number[]; readonly attentionFactor: number };

export interface RotaryEmbeddingOptions {
  /** Features of a head. */
  readonly headSize: number;
  /** The first features of each head turn, an even number; the others stay. Default: all. */
  readonly rotaryDim?: number | undefined;
  /** Positions are below it. The table grows as they are used. */
  readonly maxLength: number;
  /** Pairs are neighbours, or features of the two halves. Default `interleaved`. */
  readonly layout?: Positions['layout'];
  /** The number of the first position. Default 0. */
  readonly firstPosition?: number | undefined;
  /** The i-th pair turns by theta^(-2i/rotaryDim) radians per position. Default 10000. */
  readonly theta?: number | undefined;
  /** Radians per position instead, as `Positions` has them. */
  readonly frequencies?: Positions['frequencies'];
  /** Default null: none. */
  readonly scaling?: RotaryScaling | null | undefined;
}

const kinds = {
  ...({ headSize: 'count', rotaryDim: 'any', maxLength: 'count', theta: 'positive' } as const),
  ...({ layout: 'any', firstPosition: 'any', frequencies: 'any' } as const), // see rotations
  scaling: orNull('object'),
};

/** Turns queries and keys; one for all layers that turn alike. It has no parameters. */
export class RotaryEmbedding extends Module {
  readonly #tables: Tensor[] = [];
  readonly #frequencies: Positions['frequencies'];
  /** What cosines and sines are multiplied by. */
  readonly #amplitude: number;
  readonly #rotaryDim: number;

  /** Throws ArgumentError for options that make no sense. */
  constructor(
    private readonly init: Initializer,
    private readonly options: RotaryEmbeddingOptions,
  ) {
    super();
    checkInitializer('RotaryEmbedding', init);
    const {
      headSize,
      rotaryDim = headSize,
      maxLength,
      theta = 10000,
      scaling = null,
    } = checkOptions('RotaryEmbedding', options, kinds);
    checkNumber('RotaryEmbedding', 'headSize', headSize, isCount, 'a positive integer');
    checkNumber('RotaryEmbedding', 'maxLength', maxLength, isCount, 'a positive integer');
    const isPart = (n: number) => isCount(n) && n % 2 === 0 && n <= headSize;
    checkNumber('RotaryEmbedding', 'rotaryDim', rotaryDim, isPart, `an even number up to headSize, ${headSize}`);
    this.#rotaryDim = rotaryDim;
    const scaled = scaledFrequencies(rotaryDim, theta, scaling);
    this.#frequencies = options.frequencies ?? scaled.frequencies;
    this.#amplitude = scaled.amplitude;
    rotations(1, rotaryDim, this.#turning); // refuses frequencies that make no sense before memory is taken
  }

  get #turning() {
    const { layout, firstPosition } = this.options;
    return { layout, firstPosition, frequencies: this.#frequencies };
  }

  /**
   * Turns the heads in the first `columns` features of `x`, float32 [N, n], whose tokens stand at `positions`, int32
   * [N], all below `length`; the other features stay. The result is float32 [N, n]. Throws ShapeError, DTypeError.
   */
  forward(x: Tensor, positions: Tensor, length: number, columns = x.shape.at(-1) as number): Tensor {
    const { headSize, layout } = this.options;
    return rotary(x, positions, this.#table(length), {
      columns,
      layout,
      ...(this.#rotaryDim < headSize ? { headSize } : {}),
    });
  }

  /** [at least `length`, 2 · rotaryDim]. A longer one is made where it is needed; others may use the shorter still. */
  #table(length: number): Tensor {
    const known = this.#tables.at(-1);
    if (known && (known.shape[0] as number) >= length) return known;
    const { maxLength } = this.options;
    const rows = Math.min(Math.max(maxLength, length), Math.max(256, 2 ** Math.ceil(Math.log2(length))));
    const values = () => {
      const table = rotations(rows, this.#rotaryDim, this.#turning);
      return this.#amplitude === 1 ? table : table.map((value) => value * this.#amplitude);
    };
    const table = this.init.table(rows, 2 * this.#rotaryDim, values);
    this.#tables.push(table);
    return table;
  }

  protected override release(): void {
    super.release();
    for (const table of this.#tables) table.dispose();
  }
}

/** Radians per position of each pair of `features`, scaled, and what the table is multiplied by. */
export function scaledFrequencies(
  features: number,
  theta: number,
  scaling: RotaryScaling | null,
): { frequencies: number[]; amplitude: number } {
  const plain = Array.from({ length: features / 2 }, (_, i) => theta ** ((-2 * i) / features));
  if (scaling === null) return { frequencies: plain, amplitude: 1 };
  checkOneOf('RotaryEmbedding', 'scaling.type', scaling.type, ['linear', 'llama3', 'yarn', 'longrope']);
  if (scaling.type === 'longrope') {
    const { divisors, attentionFactor } = scaling;
    if (divisors.length !== plain.length) {
      const expected = `expected ${plain.length} for ${features} features`;
      throw new ArgumentError(`RotaryEmbedding: scaling.divisors has ${divisors.length} numbers, ${expected}`);
    }
    return { frequencies: plain.map((radians, i) => radians / (divisors[i] as number)), amplitude: attentionFactor };
  }
  const { factor } = scaling;
  checkNumber('RotaryEmbedding', 'scaling.factor', factor, isPositive, 'a positive number');
  if (scaling.type === 'linear') return { frequencies: plain.map((radians) => radians / factor), amplitude: 1 };
  checkNumber(
    'RotaryEmbedding',
    'scaling.originalMaxLength',
    scaling.originalMaxLength,
    isPositive,
    'a positive number',
  );
  const kept = scaling.type === 'llama3' ? llama3Share(scaling) : yarnShare(features, theta, scaling);
  return {
    frequencies: plain.map((radians, i) => (1 - kept(radians, i)) * (radians / factor) + kept(radians, i) * radians),
    amplitude: scaling.type === 'yarn' ? (scaling.attentionFactor ?? yarnAmplitude(factor)) : 1,
  };
}

/** How much of a pair's speed is kept, from 0 to 1. */
type Share = (radians: number, pair: number) => number;

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
  /** The pair, not always a whole one, that turns so often within the original length. */
  const pairOf = (turns: number) =>
    (features * Math.log(originalMaxLength / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [fast, slow] = [pairOf(betaFast), pairOf(betaSlow)];
  const first = Math.max(truncate ? Math.floor(fast) : fast, 0);
  const last = Math.min(truncate ? Math.ceil(slow) : slow, features - 1);
  return (_, pair) => 1 - clamp((pair - first) / (last === first ? 0.001 : last - first));
}

function yarnAmplitude(factor: number): number {
  return factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1;
}
