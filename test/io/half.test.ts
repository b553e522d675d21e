import { expect, it } from 'vitest';
import { toHalf } from '../../src/io/half.js';
import { parseSafetensors, serializeSafetensors } from '../../src/io/safetensors.js';

function throughHalf(values: Float32Array): Float32Array {
  const data = toHalf(values);
  const file = serializeSafetensors({ x: { dtype: 'F16', shape: [values.length], data } });
  return parseSafetensors(file).tensors.get('x')?.data() as Float32Array;
}

it('keeps every float16', () => {
  const all = Uint16Array.from({ length: 0x7c01 }, (_, i) => i);
  const file = serializeSafetensors({ x: { dtype: 'F16', shape: [all.length], data: all } });
  const values = parseSafetensors(file).tensors.get('x')?.data() as Float32Array;
  expect(toHalf(values)).toEqual(all);
  expect(toHalf(values.map((value) => -value))).toEqual(all.map((half) => half | 0x8000));
});

it('rounds to the nearest, ties to even', () => {
  const ulp = 2 ** -10;
  const given = [1 + ulp / 2, 1 + (3 * ulp) / 2, 1 + ulp / 2 + 2 ** -20, 65519, 65520, 2 ** -25, 3 * 2 ** -25, 1e-30];
  const expected = [1, 1 + 2 * ulp, 1 + ulp, 65504, Number.POSITIVE_INFINITY, 0, 2 ** -23, 0];
  expect([...throughHalf(Float32Array.from(given))]).toEqual(expected);
  expect(throughHalf(Float32Array.of(Number.NaN))[0]).toBeNaN();
});
