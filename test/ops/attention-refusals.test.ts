import { expect, it } from 'vitest';
import { ArgumentError, DTypeError, ShapeError } from '../../src/index.js';
import { attention } from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';

const device = await deviceFor(isas[0]!, 1);
const make = (...shape: number[]) => device.zeros(shape);
const [q, packed] = [make(2, 3, 8), make(5, 8)];

it('refuses shapes, dtypes and options that do not fit', () => {
  expect(() => attention(q, make(2, 4, 6), make(2, 4, 8), { heads: 2 })).toThrow(ShapeError);
  expect(() => attention(q, make(3, 4, 8), make(3, 4, 8), { heads: 2 })).toThrow(ShapeError);
  expect(() => attention(q, q, make(2, 4, 8), { heads: 2 })).toThrow(ShapeError);
  expect(() => attention(q, packed, packed, { heads: 2 })).toThrow(ShapeError);
  expect(() => attention(q, q, q, { heads: 3 })).toThrow(ShapeError);
  expect(() => attention(q, q, q, { heads: 4, kvHeads: 3 })).toThrow(ArgumentError);
  expect(() => attention(q, q, q, { heads: Number.NaN })).toThrow(ArgumentError);
  expect(() => attention(q, q, q, { scale: Number.POSITIVE_INFINITY })).toThrow(ArgumentError);
  expect(() => attention(q, q, q, { causal: 'false' as never })).toThrow('causal is "false", expected one of');
  expect(() => attention(q, q, q, { bias: make(3, 4) })).toThrow(ShapeError);
  expect(() => attention(q, q, q, { heads: 2, relativeBias: make(3, 5) })).toThrow(ShapeError);
  expect(() => attention(q, q, q, { heads: 2, relativeBias: make(2, 4) })).toThrow(ArgumentError);
  expect(() => attention(q, q, q, { lengthsK: device.tensor([1, 2]) })).toThrow(DTypeError);
  expect(() => attention(q, device.zeros([2, 3, 8], 'int32'), q, {})).toThrow(DTypeError);
});

it('refuses impossible lengths at the call', () => {
  for (const lengths of [
    [1, Number.NaN],
    [1, -1],
    [1, 4],
    [1, 1.5],
  ]) {
    expect(() => attention(q, q, q, { lengthsQ: lengths }), `${lengths}`).toThrow(ArgumentError);
    expect(() => attention(q, q, q, { lengthsK: lengths }), `${lengths}`).toThrow(ArgumentError);
  }
  expect(() => attention(q, q, q, { lengthsK: [1] })).toThrow(ShapeError);
  expect(() => attention(packed, packed, packed, { lengthsQ: [2, 2] })).toThrow(ShapeError);
  expect(() => attention(packed, packed, packed, { lengthsQ: [2, 3], lengthsK: [1, 3] })).toThrow(ShapeError);
});
