import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ArgumentError, createDevice, type Device, DTypeError, fit, ShapeError, type Tensor } from '../../src/index.js';
import { Initializer, Linear, Module } from '../../src/nn/index.js';
import { mean, mul, sub } from '../../src/ops/index.js';
import { SGD } from '../../src/train/index.js';
import { constant } from '../../src/train/schedule.js';
import { Random } from '../random.js';

type Rows = readonly Float32Array[];

/** y = a·x + b, fitted by least squares. */
class Regression extends Module {
  readonly line: Linear;
  constructor(readonly device: Device) {
    super();
    this.line = new Linear(new Initializer(device, 0), 2, 1);
  }
  loss(source: Rows | null, target: Rows): Tensor {
    const [x, y] = [source ?? [], target].map((rows) => this.device.tensor(rows.map((row) => [...row])));
    const difference = sub(this.line.forward(x!), y!);
    return mean(mul(difference, difference));
  }
}

let device: Device;
const values = new Random('regression').normal([32, 2]).data;
const examples = Array.from({ length: 32 }, (_, i) => {
  const source = values.slice(2 * i, 2 * i + 2);
  return { source, target: Float32Array.of(2 * source[0]! - 3 * source[1]! + 0.5) };
});

beforeAll(async () => {
  device = await createDevice({ threads: 1 });
});

afterAll(() => device.dispose());

const untilTheEnd = { steps: 300, schedule: constant(0.1) };

describe('a model of another kind', () => {
  it('is trained: linear regression finds its line', async () => {
    const model = new Regression(device);
    const optimizer = new SGD(model.parameters());
    const { losses } = await fit(model, examples, { ...untilTheEnd, optimizer });
    expect(losses.at(-1)).toBeLessThan(1e-9);
    const [weight, bias] = await Promise.all(model.parameters().map((parameter) => parameter.data()));
    [...weight!, ...bias!].forEach((value, i) => {
      expect(Math.abs(value - [2, -3, 0.5][i]!)).toBeLessThan(1e-4);
    });
  });

  it('gives the same gradient for one batch as for its parts, weighted by labels', async () => {
    const sizes = [4, 20, 8];
    const parts = sizes.map((size, i) => {
      const start = sizes.slice(0, i).reduce((sum, each) => sum + each, 0);
      return examples.slice(start, start + size);
    });
    const [whole, byParts] = [new Regression(device), new Regression(device)];
    const optimizers = [whole, byParts].map((model) => new SGD(model.parameters()));
    const options = { steps: 3, schedule: constant(0.1) };
    const one = { perEpoch: 1, batch: () => examples };
    const three = { perEpoch: 3, batch: (n: number) => parts[n % 3]! };
    const a = await fit(whole, one, { ...options, optimizer: optimizers[0] });
    const b = await fit(byParts, three, { ...options, optimizer: optimizers[1], gradientAccumulation: 3 });
    a.losses.forEach((loss, i) => {
      expect(Math.abs(loss - b.losses[i]!)).toBeLessThan(1e-5 * loss);
    });
  });

  it('distinguishes data whose numbers differ in fractions', async () => {
    const { fingerprintOf } = await import('../../src/train/fingerprint.js');
    const changed = examples.with(7, { ...examples[7]!, target: Float32Array.of(0.25) });
    const again = examples.with(7, { ...examples[7]!, target: Float32Array.of(0.5) });
    expect(fingerprintOf(changed)).not.toBe(fingerprintOf(again));
  });
});

describe('is refused', () => {
  const model = () => new Regression(device);
  const changed = (members: object) => Object.assign(model(), members) as never;

  const wrong: [string, () => unknown][] = [
    ['the model is null without device, namedParameters(), train(), eval(), loss()', () => null],
    ['the model is an object without device, namedParameters()', () => ({})],
    [
      'the model is an object without loss(): give a Transformer',
      () => Object.assign(new Regression(device), { loss: 3 }),
    ],
    ['the model is an object without device: give', () => changed({ device: 'cpu' })],
    ['the model has no parameter that requires gradients', () => changed({ namedParameters: () => [] })],
    ['what loss returned is 5, expected a tensor', () => changed({ loss: () => 5 })],
    ['what countLabels returned is NaN', () => changed({ countLabels: () => Number.NaN })],
    ['there is no label to learn in batch 0', () => changed({ countLabels: () => 0 })],
  ];
  it.each(wrong)('%s', async (message, make) => {
    const failure = expect(fit(make() as never, examples)).rejects;
    await failure.toThrow(ArgumentError);
    await failure.toThrow(`fit: ${message}`);
  });

  it('a loss that is not a number', async () => {
    const vector = changed({ loss: () => device.zeros([2]) });
    await expect(fit(vector, examples)).rejects.toThrow(ShapeError);
    const integer = changed({ loss: () => device.tensor([1], [], { dtype: 'int32' }) });
    await expect(fit(integer, examples)).rejects.toThrow(DTypeError);
  });

  it('gradient checkpointing if the model has none', async () => {
    const failure = fit(model(), examples, { gradientCheckpointing: true });
    await expect(failure).rejects.toThrow('fit: gradientCheckpointing is given, but this model has no such property');
  });
});
