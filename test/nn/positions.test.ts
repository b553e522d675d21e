import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/index.js';
import { resolvePositions, rotaryAngles, sinusoids } from '../../src/nn/index.js';

describe('sinusoids', () => {
  it('equal those of the paper: sines on even features, cosines on odd ones', () => {
    const table = sinusoids(50, 6, resolvePositions());
    for (const position of [0, 1, 49]) {
      for (const i of [0, 1, 2]) {
        const angle = position / 10000 ** ((2 * i) / 6);
        expect(table[position * 6 + 2 * i]).toBe(Math.fround(Math.sin(angle)));
        expect(table[position * 6 + 2 * i + 1]).toBe(Math.fround(Math.cos(angle)));
      }
    }
  });

  it('equal tensor2tensor’s: sines, then cosines, and a last wavelength of 2π·10000', () => {
    const options = { kind: 'sinusoidal', layout: 'halves', firstPosition: 1, frequencies: 'tensor2tensor' } as const;
    const table = sinusoids(3, 8, resolvePositions(options));
    for (const row of [0, 1, 2]) {
      for (const i of [0, 1, 2, 3]) {
        const angle = (row + 1) * Math.exp((-i * Math.log(10000)) / 3);
        expect(table[row * 8 + i]).toBeCloseTo(Math.sin(angle), 7);
        expect(table[row * 8 + 4 + i]).toBeCloseTo(Math.cos(angle), 7);
      }
    }
  });

  it('have any frequencies, and an odd number of features', () => {
    const frequencies = (i: number, dModel: number) => i / dModel;
    const interleaved = sinusoids(2, 3, resolvePositions({ kind: 'sinusoidal', frequencies, firstPosition: 2 }));
    const expected = [0, 1, Math.sin(2 / 3), 0, 1, Math.sin(1)];
    expect(interleaved).toEqual(Float32Array.from(expected));
    const halves = sinusoids(
      1,
      3,
      resolvePositions({ kind: 'sinusoidal', layout: 'halves', frequencies, firstPosition: 3 }),
    );
    expect(halves).toEqual(Float32Array.of(0, Math.sin(1), 1));
    const listed = { kind: 'sinusoidal', frequencies: [0, 1 / 3], firstPosition: 2 } as const;
    expect(sinusoids(2, 3, resolvePositions(listed))).toEqual(interleaved);
    expect(() => sinusoids(2, 8, resolvePositions(listed))).toThrow('has 2 numbers, expected 4');
  });
});

it('accept the options of rotaryAngles, and refuse invalid ones', () => {
  expect(sinusoids(3, 4)).toEqual(sinusoids(3, 4, resolvePositions()));
  const halves = { kind: 'sinusoidal', layout: 'halves' } as const;
  expect(sinusoids(3, 4, { layout: 'halves' })).toEqual(sinusoids(3, 4, resolvePositions(halves)));
  expect(() => sinusoids(2.5, 4)).toThrow('sinusoids: length is 2.5, expected an integer');
  expect(() => sinusoids(2, 0)).toThrow('sinusoids: dModel is 0, expected a positive integer');
  const layout = 'thirds' as 'halves';
  expect(() => sinusoids(2, 4, { layout })).toThrow(ArgumentError);
  expect(() => sinusoids(2, 4, { layout })).toThrow('sinusoids: positions.layout is "thirds"');
  expect(() => rotaryAngles(2, 4, { layout })).toThrow('rotaryAngles: positions.layout is "thirds"');
  expect(() => sinusoids(2, 4, 'halves' as never)).toThrow('sinusoids: the options are "halves"');
  expect(() => rotaryAngles(2, 4, { frequencies: () => Number.NaN })).toThrow(
    'rotaryAngles: positions.frequencies(0, 4) is NaN, expected a finite number',
  );
  expect(() => rotaryAngles(2, 4, { frequencies: [1] })).toThrow('rotaryAngles: positions.frequencies has 1 numbers');
});

it('refuse invalid positions', () => {
  expect(() => resolvePositions('absolute' as 'none')).toThrow(ArgumentError);
  expect(() => resolvePositions({ kind: 'sinusoidal', firstPosition: Number.NaN })).toThrow('firstPosition');
  expect(() => resolvePositions({ kind: 'sinusoidal', frequencies: [Number.NaN] })).toThrow('frequencies[0] is NaN');
  expect(() => resolvePositions({ kind: 'shaw', maxDistance: 1.5 })).toThrow('maxDistance');
});
