// Vectors with a bit for each number.

import { ArgumentError } from '../core/errors.js';
import { HostTensor } from './host-tensor.js';

/**
 * Converts numbers to bits: 1 if a number is above 0. The first of eight numbers is the highest bit of a byte. 'binary'
 * is int8, 'ubinary' is uint8. Throws ArgumentError unless the last dimension is a multiple of 8.
 */
export function packedBits(
  op: string,
  { data, dims }: HostTensor,
  precision: 'binary' | 'ubinary',
): HostTensor<Int8Array | Uint8Array> {
  const features = dims.at(-1) ?? 0;
  if (features === 0 || features % 8 !== 0)
    throw new ArgumentError(`${op} packs 8 numbers in a byte, but vectors have ${features}`);
  const bits = new Uint8Array(data.length / 8);
  for (const [i, value] of data.entries()) if (value > 0) bits[i >> 3] = (bits[i >> 3] as number) | (128 >> (i & 7));
  const shape = [...dims.slice(0, -1), features / 8];
  if (precision === 'ubinary') return new HostTensor(bits, shape);
  return new HostTensor(
    Int8Array.from(bits, (byte) => byte - 128),
    shape,
  );
}
