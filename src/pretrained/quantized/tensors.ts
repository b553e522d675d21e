// The tensors of a quantized folder, and the weights that replace them.

import { FormatError } from '../../core/errors.js';
import { quote } from '../../io/dtypes.js';
import { SafetensorsEntry } from '../../io/safetensors.js';
import type { WeightEntry } from '../../models/weight-entry.js';
import { QUANTIZED_PART } from './names.js';

export type Numbers = Float32Array | Int32Array;

/** Number of values that are read at a time. */
const PART = 1 << 17;

/** Reads all values of a tensor. Yields to the event loop between parts. */
export async function valuesOf(entry: SafetensorsEntry): Promise<Numbers> {
  const parts: Numbers[] = [];
  for await (const part of entry.stream(new Uint8Array(8 * PART), 1)) parts.push(part.slice());
  const [first] = parts;
  if (parts.length === 1 && first !== undefined) return first;
  const all = first instanceof Int32Array ? new Int32Array(entry.size) : new Float32Array(entry.size);
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}

/** Endings of the names of scales and zero points of activations and caches. */
const ACTIVATIONS = [
  '.input_scale',
  '.input_scale_ub',
  '.input_zero_point',
  '.input_global_scale',
  '.output_scale',
  '.output_zero_point',
  '.activation_scale',
  '.qscale_act',
  '.q_scale',
  '.k_scale',
  '.v_scale',
  '.kv_scale',
  '.q_zero_point',
  '.k_zero_point',
  '.v_zero_point',
];

/** Tensors by name. A format removes its own tensors, and adds the weights that they represent. */
export class QuantizedTensors {
  readonly #tensors: Map<string, WeightEntry>;
  /** Names of tensors that are all zeros. A model may ignore them. */
  readonly unneeded = new Set<string>();

  constructor(tensors: ReadonlyMap<string, WeightEntry>) {
    this.#tensors = new Map(tensors);
  }

  get all(): ReadonlyMap<string, WeightEntry> {
    return this.#tensors;
  }

  /** Names that end in `suffix`, with the suffix removed. */
  stems(suffix: string): string[] {
    return [...this.#tensors.keys()].flatMap((name) => (name.endsWith(suffix) ? [name.slice(0, -suffix.length)] : []));
  }

  /** The type of a tensor; undefined if there is none. */
  dtypeOf(name: string): string | undefined {
    return this.#tensors.get(name)?.dtype;
  }

  /** Removes and returns a tensor, or returns null if there is none. */
  takeOptional(name: string): SafetensorsEntry | null {
    const entry = this.#tensors.get(name);
    this.#tensors.delete(name);
    return entry instanceof SafetensorsEntry ? entry : null;
  }

  /** Removes and returns a tensor. Throws FormatError if it is missing or has an unexpected shape. */
  take(name: string, shape?: readonly number[]): SafetensorsEntry {
    const entry = this.takeOptional(name);
    if (entry === null) throw new FormatError(`tensor ${quote(name)} of a quantized weight is missing`);
    if (shape !== undefined && `${entry.shape}` !== `${shape}`)
      throw new FormatError(`tensor ${quote(name)} is [${entry.shape.join(', ')}], expected [${shape.join(', ')}]`);
    return entry;
  }

  /** Removes scales and zero points of quantized activations and caches. */
  dropActivations(): void {
    for (const name of this.#tensors.keys())
      if (ACTIVATIONS.some((suffix) => name.endsWith(suffix))) this.#tensors.delete(name);
  }

  /** Throws FormatError for parts of quantized weights that are left over, as config.json does not describe them. */
  checkLeftovers(): void {
    for (const [name, { dtype, shape }] of this.#tensors) {
      if (dtype.startsWith('F8_') && shape.length >= 2)
        throw new FormatError(`tensor ${quote(name)} is ${dtype} without a scale, expected ${quote(`${name}_scale`)}`);
      if (QUANTIZED_PART.test(name))
        throw new FormatError(`tensor ${quote(name)} is not of the quant_method and format in config.json`);
    }
  }

  /** Records a bias of zeros. Some libraries write one for each layer, even if the model has none. */
  async noteBias(name: string): Promise<void> {
    const entry = this.#tensors.get(name);
    if (entry instanceof SafetensorsEntry && (await valuesOf(entry)).every((value) => value === 0))
      this.unneeded.add(name);
  }

  /** Puts a weight back. */
  put(name: string, weight: WeightEntry): void {
    this.#tensors.set(name, weight);
  }
}

/** The error for a format that is not read. It names those that are, and a way to get one. */
export function notRead(what: string, expected: readonly unknown[]): FormatError {
  const known = `${what} is not read, expected ${expected.join(', ')}`;
  return new FormatError(
    `${known}. In Python, model.dequantize() and save_pretrained() make a folder that can be read`,
  );
}

/** Returns the sizes of a matrix. Throws FormatError if the tensor is not a matrix. */
export function matrixOf(name: string, { shape }: WeightEntry): readonly [rows: number, columns: number] {
  const [rows, columns, ...otherSizes] = shape;
  if (rows !== undefined && columns !== undefined && rows > 0 && columns > 0 && otherSizes.length === 0)
    return [rows, columns];
  throw new FormatError(`tensor ${quote(name)} is [${shape.join(', ')}], expected a matrix`);
}

/**
 * Codes that fill 32-bit words from their low bits on. A code may cross the border of two words,
 * unless words have `perWord` codes each.
 */
export class Codes {
  readonly #mask: number;

  constructor(
    readonly bits: number,
    private readonly words: Numbers,
    private readonly perWord: number | null = null,
  ) {
    this.#mask = 2 ** bits - 1;
  }

  /** Returns code `index` of a series whose words begin at `first` and lie `stride` words apart. */
  at(index: number, first: number, stride = 1): number {
    const { perWord, bits } = this;
    const bit = perWord === null ? index * bits : Math.floor(index / perWord) * 32 + (index % perWord) * bits;
    const shift = bit & 31;
    const wordIndex = first + (bit >>> 5) * stride;
    let code = (this.words[wordIndex] as number) >>> shift;
    if (shift + bits > 32) code |= (this.words[wordIndex + stride] as number) << (32 - shift);
    return code & this.#mask;
  }
}

/** Returns the number of 32-bit words that `count` codes fill. */
export const wordsFor = (count: number, bits: number) => Math.ceil((count * bits) / 32);

/**
 * Returns the inputs of a group. The last group may be smaller. `wanted` is the size in config.json, -1 for one group.
 * Throws FormatError if there is no size that gives this number of groups.
 */
export function groupSizeOf(name: string, inputs: number, groups: number, wanted: unknown): number {
  const size = typeof wanted === 'number' && wanted > 0 ? wanted : inputs / groups;
  if (Number.isInteger(size) && Math.ceil(inputs / size) === groups) return size;
  if (Number.isInteger(inputs / groups)) return inputs / groups;
  throw new FormatError(`${name} has ${groups} groups, which do not divide ${inputs} inputs`);
}

/** Throws FormatError unless a tensor consists of 32-bit words. */
export function checkWords(name: string, { dtype }: WeightEntry): void {
  if (dtype !== 'I32')
    throw new FormatError(`tensor ${quote(name)} is ${dtype}, expected codes in words of 32 bits, I32`);
}
