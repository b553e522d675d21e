import { expect, it } from 'vitest';
import { checkOptions, orNull } from '../../src/core/check-options.js';
import { ArgumentError, createDevice } from '../../src/index.js';

interface Options {
  causal?: boolean | undefined;
  scale?: number | null | undefined;
  activation?: 'relu' | 'gelu' | undefined;
  heads?: number | undefined;
  metric?: unknown;
}

const check = (options: unknown) =>
  checkOptions('attend', options as Options, {
    causal: 'boolean',
    scale: orNull('positive'),
    activation: ['relu', 'gelu'],
    heads: { accepts: (heads) => heads === 8, expected: '8' },
    metric: 'any',
  });

it('options that fit are returned as they are', () => {
  const options = { causal: true, scale: null, activation: 'gelu', heads: 8, metric: Symbol('any') };
  expect(check(options)).toBe(options);
  expect(check({ causal: undefined, scale: 0.5 })).toEqual({ causal: undefined, scale: 0.5 });
});

it.each<[unknown, string]>([
  [{ casual: true }, 'attend: there is no option casual, only causal, scale, activation, heads, metric'],
  [{ causal: 1 }, 'attend: causal is 1, expected true or false'],
  [{ causal: null }, 'attend: causal is null, expected true or false'],
  [{ scale: '1' }, 'attend: scale is "1", expected a positive number, or null'],
  [{ scale: Number.NaN }, 'attend: scale is NaN, expected a positive number, or null'],
  [{ activation: 'tanh' }, 'attend: activation is "tanh", expected one of relu, gelu'],
  [{ heads: 7 }, 'attend: heads is 7, expected 8'],
  [true, 'attend: the options are true, expected an object like { name: value }'],
  [null, 'attend: the options are null, expected an object like { name: value }'],
  [[], 'attend: the options are an array, expected an object like { name: value }'],
])('%o is refused', (options, message) => {
  expect(() => check(options)).toThrow(ArgumentError);
  expect(() => check(options)).toThrow(message);
});

it('a tensor is refused for options, and options of other types for a tensor', async () => {
  const device = await createDevice({ threads: 1 });
  const tensor = device.tensor([1, 2]);
  expect(() => check(tensor)).toThrow('attend: the options are a tensor [2], expected an object');
  for (const requiresGrad of [1, 'yes', null])
    expect(() => device.tensor([1], [1], { requiresGrad: requiresGrad as never })).toThrow(
      /^tensor: requiresGrad is .*, expected true or false$/,
    );
  expect(() => device.tensor([1], [1], { requireGrad: true } as never)).toThrow('there is no option requireGrad');
  device.dispose();
});
