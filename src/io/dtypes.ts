/** The element types of safetensors files, and their conversion to float32 or int32. */
import { FormatError } from '../core/errors.js';

/** Quotes and shortens a name from a file for error messages. */
export const quote = (name: string) => JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);

type Ints =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;
type Stored = Ints | Float32Array | Float64Array;

/** The storage of elements of one type in files. */
export interface ElementType {
  /** Bytes of one element. */
  readonly bytes: number;
  /** The typed array that holds the stored elements. */
  readonly array: new (
    buffer: ArrayBufferLike,
    byteOffset: number,
    length: number,
  ) => Stored;
  readonly decode: (stored: Stored, name: string) => Float32Array | Int32Array;
}

const asFloats = (stored: Stored) =>
  stored instanceof Float32Array ? stored : Float32Array.from(stored as Float64Array);
const asInts = (stored: Stored) => (stored instanceof Int32Array ? stored : Int32Array.from(stored as Uint8Array));

function asCheckedInts(stored: Stored, name: string): Int32Array {
  const ints = new Int32Array(stored.length);
  for (let i = 0; i < stored.length; i++) {
    ints[i] = Number(stored[i]);
    if (ints[i] !== Number(stored[i]))
      throw new FormatError(`tensor ${quote(name)}: ${stored[i]} does not fit an int32`);
  }
  return ints;
}

let halves: Float32Array | undefined;

/**
 * Returns a table with the value of each float16, indexed by its bits. A table takes a third of the time of computing
 * values.
 */
export function halfValues(): Float32Array {
  halves ??= everyHalf();
  return halves;
}

function fromHalf(stored: Stored): Float32Array {
  const values = halfValues();
  const floats = new Float32Array(stored.length);
  for (let i = 0; i < floats.length; i++) floats[i] = values[stored[i] as number] as number;
  return floats;
}

function everyHalf(): Float32Array {
  const bits = new Uint32Array(1 << 16);
  const floats = new Float32Array(bits.buffer);
  for (let half = 0; half < bits.length; half++) {
    // Moves the exponent and mantissa of the half to their positions in a float32. The value is then too small by the
    // difference of the exponent biases, 2^112. The multiplication is exact, also for subnormals. Infinities and NaNs
    // get the float32's maximum exponent instead.
    bits[half] = (half & 0x7fff) << 13;
    if ((half & 0x7c00) === 0x7c00) bits[half] = (bits[half] as number) | 0x7f800000;
    else floats[half] = (floats[half] as number) * 2 ** 112;
    bits[half] = (bits[half] as number) | ((half & 0x8000) << 16);
  }
  return floats;
}

/** F8_E5M2 is the upper byte of a float16. */
const fromE5M2 = (stored: Stored) => fromHalf(Uint16Array.from(stored as Uint8Array, (byte) => byte << 8));

/**
 * F8_E4M3 has no infinities, and NaN has all bits set. Its bits at the top of a float16 give a value that is too small
 * by the difference of the exponent biases, 2^8.
 */
function fromE4M3(stored: Stored): Float32Array {
  const scaled = Uint16Array.from(stored as Uint8Array, (byte) => ((byte & 0x80) << 8) | ((byte & 0x7f) << 7));
  return fromHalf(scaled).map((value) => (Math.abs(value) < 1.875 ? value * 256 : Number.NaN));
}

/** F8_E8M0 is an exponent, and NaN has all bits set. */
const fromE8M0 = (stored: Stored) =>
  Float32Array.from(stored as Uint8Array, (bits) => (bits === 255 ? Number.NaN : 2 ** (bits - 127)));

function fromBfloat16(stored: Stored): Float32Array {
  const bits = Uint32Array.from(stored as Uint16Array, (half) => half << 16);
  return new Float32Array(bits.buffer);
}

export const dtypes = {
  F64: { bytes: 8, array: Float64Array, decode: asFloats },
  I64: { bytes: 8, array: BigInt64Array, decode: asCheckedInts },
  U64: { bytes: 8, array: BigUint64Array, decode: asCheckedInts },
  F32: { bytes: 4, array: Float32Array, decode: asFloats },
  I32: { bytes: 4, array: Int32Array, decode: asInts },
  U32: { bytes: 4, array: Uint32Array, decode: asCheckedInts },
  F16: { bytes: 2, array: Uint16Array, decode: fromHalf },
  BF16: { bytes: 2, array: Uint16Array, decode: fromBfloat16 },
  I16: { bytes: 2, array: Int16Array, decode: asInts },
  U16: { bytes: 2, array: Uint16Array, decode: asInts },
  F8_E4M3: { bytes: 1, array: Uint8Array, decode: fromE4M3 },
  F8_E5M2: { bytes: 1, array: Uint8Array, decode: fromE5M2 },
  F8_E8M0: { bytes: 1, array: Uint8Array, decode: fromE8M0 },
  I8: { bytes: 1, array: Int8Array, decode: asInts },
  U8: { bytes: 1, array: Uint8Array, decode: asInts },
  BOOL: { bytes: 1, array: Uint8Array, decode: asInts },
} satisfies Record<string, ElementType>;

/** The element types that this reader decodes, by their names in the format. */
export type SafetensorsDType = keyof typeof dtypes;

export const isDType = (name: unknown): name is SafetensorsDType =>
  typeof name === 'string' && Object.hasOwn(dtypes, name);
