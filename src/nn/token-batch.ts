// Batches of token ids, with sequences of different lengths, in all accepted forms.

import { checkDType, checkIntegers, describeShape, describeValue } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { isList } from '../core/kinds.js';
import { Tensor } from '../core/tensor.js';
import { positionsWithin, Sequences } from './sequences.js';

/** Sequences packed end to end: all `ids`, and the length of each sequence. */
export interface PackedTokens {
  readonly ids: readonly number[] | Int32Array | Tensor;
  readonly lengths: readonly number[] | Int32Array | Tensor;
}

/**
 * Token ids of a batch: rows of numbers of equal or different lengths, an int32 tensor [B, T], or packed sequences. In
 * rows and tensors, padding ids at the end of each row are not tokens. Reading a tensor runs the queue. Inside
 * `device.record()`, or if the device computes in a worker, pass arrays or a TokenBatch made before.
 */
export type Tokens = readonly (readonly number[] | Int32Array)[] | Tensor | PackedTokens | TokenBatch;

/**
 * A batch of token ids on a device, uploaded once and shared by all layers. It belongs to the scope in which it was
 * made. Between runs of a recorded program, other ids can be written to `ids` if the lengths are the same.
 */
export class TokenBatch extends Sequences {
  private constructor(
    /** int32 [N], all sequences end to end. */
    readonly ids: Tensor,
    positions: Tensor,
    lengths: Tensor,
    counts: readonly number[],
    /** T if the caller's batch was [B, T] or rows, null if it was packed. Results have the same form as the input. */
    readonly time: number | null,
  ) {
    super(positions, lengths, counts);
  }

  /**
   * Packs `tokens`. `name` is for error messages; `padId` is null without padding. `padTo` is the length of result
   * rows, if it differs from the tokens'. Throws ArgumentError for invalid ids, ShapeError for an empty sequence or
   * batch, and DTypeError.
   */
  static from(device: Device, name: string, tokens: Tokens, padId: number | null, padTo?: number): TokenBatch {
    if (tokens instanceof TokenBatch) return tokens;
    const { rows, time: longest } = rowsOf(name, tokens, padId);
    const time = padTo ?? longest;
    if (rows.length === 0) throw new ShapeError(`${name}: the batch is empty`);
    rows.forEach((row, i) => {
      if (row.length === 0) throw new ShapeError(`${name}: sequence ${i} has no tokens`);
    });
    checkIds(name, rows);
    const counts = rows.map((row) => row.length);
    const { ids } = packed(rows);
    // The scope frees all tensors if memory runs out.
    return device.scope(() => {
      const [positions, lengths] = [positionsWithin(counts), new Int32Array(counts)].map((data) => device.tensor(data));
      return new TokenBatch(device.tensor(new Int32Array(ids)), positions as Tensor, lengths as Tensor, counts, time);
    });
  }

  override get tensors(): readonly Tensor[] {
    return [this.ids, ...super.tensors];
  }
}

/** Throws for numbers that int32 would round or wrap: 2³² + 1 would become token 1. */
export function checkIds(name: string, rows: readonly ArrayLike<number>[]): void {
  rows.forEach((row, i) => {
    for (let position = 0; position < row.length; position++) {
      const id = row[position] as number;
      if (Number.isInteger(id) && id >= 0 && id < 2 ** 31) continue;
      const location = `${name}: sequence ${i}, position ${position}`;
      throw new ArgumentError(
        `${location}: ${describeValue(id)} is not a token id, expected an integer from 0 to 2³¹ − 1`,
      );
    }
  });
}

/** Packs sequences without removing padding. */
export function packed(rows: readonly ArrayLike<number>[]): { ids: number[]; lengths: number[] } {
  const ids: number[] = []; // flat() takes twenty times as long
  for (const row of rows) for (let i = 0; i < row.length; i++) ids.push(row[i] as number);
  return { ids, lengths: rows.map((row) => row.length) };
}

/** Returns the tokens as numbers. Tensors are read asynchronously. */
export async function readTokens(name: string, tokens: Tokens): Promise<Exclude<Tokens, Tensor | TokenBatch>> {
  if (Array.isArray(tokens)) return tokens;
  if (tokens instanceof Tensor) {
    const [size, time] = batchAndTime(name, tokens);
    const values = await readIntegers(name, tokens);
    return Array.from({ length: size }, (_, i) => values.slice(i * time, (i + 1) * time));
  }
  const { ids, lengths } =
    tokens instanceof TokenBatch ? { ids: tokens.ids, lengths: tokens.counts } : ((tokens ?? {}) as PackedTokens);
  const [idsRead, lengthsRead] = await Promise.all([readIntegers(name, ids), readIntegers(name, lengths)]);
  return { ids: idsRead, lengths: lengthsRead };
}

/** Returns the sequences as rows of numbers without padding. */
export function rowsOf(
  name: string,
  tokens: Exclude<Tokens, TokenBatch>,
  padId: number | null,
): { rows: ArrayLike<number>[]; time: number | null } {
  if (tokens instanceof Tensor) {
    const [size, time] = batchAndTime(name, tokens);
    const values = integersOf(name, 'ids', tokens) as Int32Array;
    const rows = Array.from({ length: size }, (_, i) => values.subarray(i * time, (i + 1) * time));
    return { rows: rows.map((row) => row.subarray(0, unpaddedLength(row, padId))), time };
  }
  if (Array.isArray(tokens)) {
    const sequences = tokens as readonly (readonly number[] | Int32Array)[];
    for (const [i, row] of sequences.entries()) {
      if (!isList(row))
        throw new ShapeError(
          `${name}: sequence ${i} is ${describeValue(row)}, expected an array of token ids; for one sequence write [ids]`,
        );
    }
    const time = sequences.reduce((longest, row) => Math.max(longest, row.length), 0);
    return { rows: sequences.map((row) => row.slice(0, unpaddedLength(row, padId))), time };
  }
  const { ids, lengths } = (tokens ?? {}) as PackedTokens;
  if (ids === undefined || lengths === undefined) {
    throw new ArgumentError(`${name}: expected rows of token ids, an int32 tensor [batch, time] or { ids, lengths }`);
  }
  const values = integersOf(name, 'ids', ids);
  const rows: ArrayLike<number>[] = [];
  let start = 0;
  for (const length of integersOf(name, 'lengths', lengths)) {
    if (!(Number.isInteger(length) && length >= 0))
      throw new ArgumentError(`${name}: ${describeValue(length)} is not a length, expected an integer, 0 or more`);
    rows.push(values.slice(start, start + length));
    start += length;
  }
  if (start !== values.length) {
    throw new ShapeError(`${name}: the lengths add up to ${start}, but there are ${values.length} ids`);
  }
  return { rows, time: null };
}

function batchAndTime(name: string, { shape }: Tensor): readonly [size: number, time: number] {
  if (shape.length === 2) return shape as readonly number[] as [number, number];
  throw new ShapeError(`${name}: the tensor is ${describeShape(shape)}, expected [batch, time] or packed ids`);
}

type Integers = readonly number[] | Int32Array | Tensor;

function integersOf(name: string, part: string, values: Integers): readonly number[] | Int32Array {
  if (!(values instanceof Tensor)) {
    checkIntegers(name, part, values);
    return values;
  }
  checkDType(name, 'the tensor', values, 'int32');
  return values.dataSync() as Int32Array;
}

async function readIntegers(name: string, values: Integers): Promise<readonly number[] | Int32Array> {
  if (!(values instanceof Tensor)) return values;
  checkDType(name, 'the tensor', values, 'int32');
  return (await values.data()) as Int32Array;
}

/** @internal Returns the length of a row without the padding at its end. */
export function unpaddedLength(row: ArrayLike<number>, padId: number | null): number {
  let length = row.length;
  while (padId !== null && length > 0 && row[length - 1] === padId) length--; // null is not an id
  return length;
}
