import { describe, expect, it } from 'vitest';
import { toBase85 } from '../../scripts/bundle.mjs';
import { fromBase85 } from '../../src/backend/base85.js';
import { Random } from '../../src/core/random.js';

describe('base 85', () => {
  it('keeps bytes of every length and value', () => {
    const random = new Random(1);
    for (let length = 0; length < 600; length++) {
      const bytes = Uint8Array.from({ length }, () => random.below(256));
      const text = toBase85(bytes);
      expect(JSON.stringify(text)).toHaveLength(text.length + 2); // nothing needs an escape
      expect(fromBase85(text)).toEqual(bytes);
    }
    const largest = new Uint8Array(8).fill(255);
    expect(fromBase85(toBase85(largest))).toEqual(largest);
  });
});
