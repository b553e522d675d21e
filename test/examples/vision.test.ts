import { describe, expect, it } from 'vitest';
import { readDigits, SIDE, withShifts } from '../../examples/vision/digits.js';
import { accuracy, drawAttention, learn } from '../../examples/vision/main.js';
import { createDevice } from '../../src/index.js';

describe('examples/vision', () => {
  it('splits the digits, and shifts them by a pixel', () => {
    const { train, test } = readDigits();
    expect([train.length, test.length]).toEqual([1437, 360]);
    const [digit] = train.slice(0, 1);
    const moved = withShifts(train.slice(0, 1));
    expect(moved).toHaveLength(5);
    const right = moved[2]?.pixels as Float32Array;
    for (let row = 0; row < SIDE; row++) {
      expect(right[row * SIDE]).toBe(0);
      for (let column = 1; column < SIDE; column++)
        expect(right[row * SIDE + column]).toBe(digit?.pixels[row * SIDE + column - 1]);
    }
  });

  it('reads most digits after a short training, and draws its attention', async () => {
    const { train, test } = readDigits();
    using device = await createDevice({ threads: 1 });
    using model = await learn(device, train, { epochs: 3 });
    expect(await accuracy(model, test)).toBeGreaterThan(0.85); // a chance would be 0.1
    const svg = await drawAttention(model, test.slice(0, 2));
    expect(svg.match(/<title>[^<]*→/g)).toHaveLength(2 * 5 * SIDE * SIDE); // an image and four heads each
    const heads = await model.attentionOf((test[0] as (typeof test)[0]).pixels);
    for (const weights of heads) {
      const sum = weights.reduce((total, weight) => total + weight, 0);
      expect(sum).toBeGreaterThan(0);
      expect(sum).toBeLessThan(1); // the class token has the rest
    }
  });
});
