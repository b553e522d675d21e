/**
 * Converts float32 values to the bits of the nearest float16 (IEEE 754 binary16), ties to even. Values out of range
 * become infinity.
 */
export function toHalf(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const sign = ((bits[i] as number) >>> 16) & 0x8000;
    const magnitude = (bits[i] as number) & 0x7fffffff;
    halves[i] = sign | magnitudeToHalf(magnitude, Math.abs(values[i] as number));
  }
  return halves;
}

function magnitudeToHalf(bits: number, value: number): number {
  if (bits > 0x7f800000) return 0x7e00; // NaN
  if (bits >= 0x477ff000) return 0x7c00; // rounds to more than 65504
  if (bits < 0x38800000) return roundToEven(value * 2 ** 24); // subnormal: multiples of 2^-24
  // Changes the exponent bias from 127 to 15. The 13 lost bits are rounded by adding half of the last place, minus one
  // if that is even.
  return (bits - 0x38000000 + 0xfff + ((bits >>> 13) & 1)) >>> 13;
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/** Converts float32 values to the bits of the nearest bfloat16, ties to even. */
export function toBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (word) =>
    (word & 0x7fffffff) > 0x7f800000 ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16,
  );
}
