import { InvalidArgumentError } from 'commander';
import { describe, expect, it } from 'vitest';
import { integer, positive, svgFile } from '../../src/cli/parsers.js';

describe('values of options', () => {
  it('are read', () => {
    expect(integer(0)('0')).toBe(0);
    expect(integer(1, 64)('64')).toBe(64);
    expect(positive('1e-3')).toBe(0.001);
    for (const path of ['a.svg', 'b/A.SVG', '/dev/stdout', '']) expect(svgFile(path)).toBe(path);
  });

  it.each(['', ' ', 'x', '1.5', '0', '-1', '65', 'NaN', 'Infinity'])('%j is not an integer from 1 to 64', (text) => {
    expect(() => integer(1, 64)(text)).toThrow(InvalidArgumentError);
  });

  it('report the upper limit only if a value exceeds it', () => {
    expect(() => integer(1)('0')).toThrow('Expected an integer, 1 or more.');
    expect(() => integer(1)('1e18')).toThrow('Expected an integer, 1 to 9007199254740991.');
  });

  it.each(['', 'x', '0', '-1', '1.5.2', 'NaN', 'Infinity'])('%j is not a number above 0', (text) => {
    expect(() => positive(text)).toThrow(InvalidArgumentError);
  });
});
