// Models that cannot be made as a whole leave nothing behind.
import { afterEach, beforeAll, expect, it, vi } from 'vitest';
import { ArgumentError, type Device, OutOfMemoryError, Transformer, type TransformerOptions } from '../../src/index.js';
import { deviceFor } from '../describe-op.js';
import { best, build, models } from './small-models.js';

let device: Device;
beforeAll(async () => {
  device = await deviceFor(best, 1);
});
afterEach(() => vi.restoreAllMocks());

/** Lets the device give so many tensors. */
function give(count: number): void {
  const counted =
    <Form extends unknown[], T>(make: (...form: Form) => T) =>
    (...form: Form) => {
      if (count-- > 0) return make(...form);
      throw new OutOfMemoryError('no more');
    };
  vi.spyOn(device, 'empty').mockImplementation(counted(device.empty.bind(device)));
  vi.spyOn(device, 'reserve').mockImplementation(counted(device.reserve.bind(device)));
}

it.each(Object.entries(models))('frees its memory if memory runs out in the middle: %s', (_, options) => {
  const before = device.memory().used;
  for (const count of [0, 1, 3, 10]) {
    give(count);
    expect(() => build(device, options), `${count}`).toThrow(OutOfMemoryError);
    vi.restoreAllMocks();
    expect(device.memory().used).toBe(before);
  }
});

it('frees its memory if reading files fails', async () => {
  const model = build(device, {});
  const files = await model.toFiles();
  model.dispose();
  const before = device.memory().used;
  give(10);
  await expect(Transformer.fromFiles(device, files)).rejects.toThrow(OutOfMemoryError);
  expect(device.memory().used).toBe(before);
});

it('frees its memory if a frequency is missing', () => {
  const before = device.memory().used;
  for (const kind of ['sinusoidal', 'rotary'] as const) {
    const make = () => build(device, { positions: { kind, frequencies: [1] } });
    expect(make).toThrow(ArgumentError);
    expect(make).toThrow('positions.frequencies has 1 numbers');
  }
  expect(device.memory().used).toBe(before);
});

it('refuses sizes beyond the memory of any device', () => {
  const before = device.memory().used;
  const huge: TransformerOptions[] = [
    { targetVocab: 1e9 },
    { dFF: 1e9 },
    { maxLength: 1e9 },
    { maxLength: 1e9, positions: 'learned' },
    { maxLength: 2 ** 31 - 1, positions: { kind: 'shaw', maxDistance: 2 ** 30 } },
  ];
  for (const options of huge) expect(() => build(device, options), JSON.stringify(options)).toThrow(OutOfMemoryError);
  expect(device.memory().used).toBe(before);
});
