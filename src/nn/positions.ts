// Positions of tokens. Attention ignores order, so embeddings or attention itself must encode it.

import { anyOf, checkKnown, checkNumber, checkOneOf, checkOptions, isCount, isWhole } from '../core/check.js';
import type { Complete } from '../core/complete.js';
import { ArgumentError } from '../core/errors.js';

const kinds = ['sinusoidal', 'learned', 'none', 'relativeBias', 'shaw', 'rotary'] as const;
const layouts = ['interleaved', 'halves'] as const;

export interface Positions {
  /**
   * - `sinusoidal` (default): waves of geometric wavelengths, added to the embeddings (Vaswani et al. 2017, 3.5)
   * - `learned`: a trained vector for each of `maxLength` positions, added to the embeddings (Gehring et al. 2017)
   * - `relativeBias`: a trained number for each head and distance, added to the attention scores of self-attention
   * - `shaw`: trained vectors for each distance, added to keys and values of self-attention (Shaw et al. 2018)
   * - `rotary`: queries and keys of self-attention rotate by angles that grow with the position (Su et al. 2021)
   * - `none`
   */
  readonly kind: (typeof kinds)[number];
  /**
   * - Sinusoidal, `interleaved` (default): sines on even and cosines on odd features, as in the paper. `halves`: sines in
   *   the first half and cosines in the second, as in tensor2tensor.
   * - Rotary, `interleaved` (default): pairs are neighbours, as in the paper. `halves`: pairs are features of a head's two
   *   halves, as in GPT-NeoX and LLaMA.
   */
  readonly layout?: (typeof layouts)[number] | undefined;
  /** Sinusoidal, rotary: the number of the first position. Default: 0. */
  readonly firstPosition?: number | undefined;
  /**
   * Frequencies. Sinusoidal: radians per position of the i-th of dModel/2 waves. `paper` (default): 10000^(-2i/dModel).
   * `tensor2tensor`: 10000^(-i/(dModel/2 - 1)), whose last wavelength is exactly 2π·10000. Or a number for each wave,
   * or a function. Rotary: the same for the pairs of a head, with the head's features in place of dModel.
   */
  readonly frequencies?:
    | 'paper'
    | 'tensor2tensor'
    | readonly number[]
    | ((i: number, dModel: number) => number)
    | undefined;
  /** Relative: larger distances count as this one. Default: 16, as in Shaw et al. */
  readonly maxDistance?: number | undefined;
}

const isNumbers = (value: unknown) => Array.isArray(value) || typeof value === 'function';
/** `resolvePositions` checks the numbers. */
export const FREQUENCIES = anyOf(['paper', 'tensor2tensor'], { accepts: isNumbers, expected: 'numbers or a function' });

/** Resolves `positions` with defaults. `op` is for error messages. Throws ArgumentError for invalid values. */
export function resolvePositions(
  positions: Positions | Positions['kind'] = 'sinusoidal',
  op = 'Transformer',
): Complete<Positions> {
  const options = typeof positions === 'object' && positions !== null ? positions : { kind: positions };
  const names = ['kind', 'layout', 'firstPosition', 'frequencies', 'maxDistance'] as const;
  const {
    kind,
    layout = 'interleaved',
    firstPosition = 0,
    frequencies = 'paper',
    maxDistance = 16,
  } = checkKnown(`${op}: positions`, options, names);
  checkOneOf(op, 'positions.kind', kind, kinds);
  checkOneOf(op, 'positions.layout', layout, layouts);
  if (Array.isArray(frequencies)) {
    for (const [i, radians] of frequencies.entries())
      checkNumber(op, `positions.frequencies[${i}]`, radians, Number.isFinite, 'a finite number');
  } else if (typeof frequencies !== 'function') {
    checkOneOf(op, 'positions.frequencies', frequencies, ['paper', 'tensor2tensor']);
  }
  checkNumber(op, 'positions.firstPosition', firstPosition, Number.isFinite, 'a finite number');
  checkNumber(op, 'positions.maxDistance', maxDistance, isCount, 'a positive integer');
  return { kind, layout, firstPosition, frequencies, maxDistance };
}

/** Options of a table of positions. */
export type PositionTableOptions = Pick<Positions, 'layout' | 'firstPosition' | 'frequencies'>;

/**
 * Sinusoidal encodings, [length, dModel] row-major, computed in float64. Row p belongs to the p-th position. Throws
 * ArgumentError for invalid options.
 */
export function sinusoids(length: number, dModel: number, options: PositionTableOptions = {}): Float32Array {
  const positions = resolvePositions({ ...checkOptions('sinusoids', options), kind: 'sinusoidal' }, 'sinusoids');
  checkNumber('sinusoids', 'length', length, isWhole, 'an integer, 0 or more');
  checkNumber('sinusoids', 'dModel', dModel, isCount, 'a positive integer');
  const table = new Float32Array(length * dModel);
  eachAngle('sinusoids', length, dModel, positions, (row, sine, cosine, angle) => {
    table[row * dModel + sine] = Math.sin(angle);
    if (cosine < dModel) table[row * dModel + cosine] = Math.cos(angle);
  });
  return table;
}

/**
 * The table of the op `rotary` for heads of `features` features, [length, 2·features], computed in float64. Row p has
 * the cosines of the p-th position's angles, then the sines, which are negative for the first feature of each pair.
 * Throws ArgumentError for odd `features` and invalid options.
 */
export function rotaryAngles(length: number, features: number, options: PositionTableOptions = {}): Float32Array {
  const positions = resolvePositions({ ...checkOptions('rotaryAngles', options), kind: 'rotary' }, 'rotaryAngles');
  checkNumber('rotaryAngles', 'length', length, isWhole, 'an integer, 0 or more');
  checkNumber('rotaryAngles', 'features', features, (value) => isCount(value) && value % 2 === 0, 'an even number');
  const table = new Float32Array(length * 2 * features);
  eachAngle('rotaryAngles', length, features, positions, (row, first, second, angle) => {
    const cosines = row * 2 * features;
    const sines = cosines + features;
    table[cosines + first] = table[cosines + second] = Math.cos(angle);
    table[sines + second] = Math.sin(angle);
    table[sines + first] = -Math.sin(angle);
  });
  return table;
}

/** Calls `put` for each position and pair of features. An odd last feature has no partner. */
function eachAngle(
  op: string,
  length: number,
  features: number,
  { layout, firstPosition, frequencies }: Complete<Positions>,
  put: (row: number, first: number, second: number, angle: number) => void,
): void {
  const waves = Math.ceil(features / 2);
  if (Array.isArray(frequencies) && frequencies.length !== waves) {
    const count = `positions.frequencies has ${frequencies.length} numbers`;
    throw new ArgumentError(`${op}: ${count}, expected ${waves} for ${features} features`);
  }
  const frequency = frequencyOf(frequencies);
  for (let i = 0; i < waves; i++) {
    const radians = frequency(i, features);
    checkNumber(op, `positions.frequencies(${i}, ${features})`, radians, Number.isFinite, 'a finite number');
    const [first, second] = layout === 'interleaved' ? [2 * i, 2 * i + 1] : [i, waves + i];
    for (let row = 0; row < length; row++) put(row, first, second, (firstPosition + row) * radians);
  }
}

function frequencyOf(frequencies: Complete<Positions>['frequencies']): (i: number, features: number) => number {
  if (typeof frequencies === 'function') return frequencies;
  if (frequencies === 'paper') return (i, features) => 10000 ** ((-2 * i) / features);
  if (frequencies === 'tensor2tensor') return (i, features) => 10000 ** (-i / Math.max(1, features / 2 - 1));
  return (i) => frequencies[i] as number;
}
