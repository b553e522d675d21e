// Floats of 16 bits become float32 as files are read: every one of them, on every instruction set.
import { describe, expect, it } from 'vitest';
import { widenInto } from '../../src/ops/move.js';
import { deviceFor, isas } from '../describe-op.js';

/** Value of a half by the definition of IEEE's binary16: sign, five bits of exponent, ten of mantissa. */
function ofHalf(bits: number): number {
  const [sign, exponent, mantissa] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15));
}

/** The upper half of a float32. */
const ofBrain = (bits: number) => new Float32Array(Uint32Array.of(bits << 16).buffer)[0] as number;

describe.each(isas)('widen on %s', (isa) => {
  const all = Uint16Array.from({ length: 1 << 16 }, (_, bits) => bits);

  it.each([
    ['float16', false, ofHalf],
    ['bfloat16', true, ofBrain],
  ] as const)('gives the value of every %s', async (_, isBrain, value) => {
    const device = await deviceFor(isa, 2);
    const words = device.tensor(new Int32Array(all.buffer));
    for (const count of [all.length, 65_501, 1]) {
      const y = device.zeros([count + 1]);
      widenInto(words, y.columns(0, count), isBrain);
      const expected = Float32Array.from({ length: count + 1 }, (_, i) => (i < count ? value(i) : 0));
      expect(await y.data()).toEqual(expected);
    }
  });
});
