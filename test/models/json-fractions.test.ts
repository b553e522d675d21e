// Numbers of config.json that Python must read as floats again.
import { expect, it } from 'vitest';
import { fractionsIn } from '../../src/models/json-fractions.js';

it('finds numbers and lists that are written with a point or an exponent', () => {
  const json = `{
    "eps": 1e-05, "theta": 10000.0, "size": 32, "negative": -1.0, "name": "1.5",
    "means": [0.5, 1.0], "nested": [[1.0, 2.0], [3.0]], "sizes": [1, 2],
    "limits": [0.0, { "__float__": "Infinity" }], "factors": [4, 2, 1, 0.5], "empty": [], "inner": { "scale": 2.0, "count": 2 }
  }`;
  // DepthAnything's factors are ints beside a float in transformers, which cannot make layers from 4.0.
  expect([...fractionsIn(json)].sort()).toEqual(['eps', 'limits', 'means', 'negative', 'nested', 'scale', 'theta']);
});
