// A device whose engine is in a worker: the page draws every frame, and everything that a page does with a model works.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDevice, type Device, DeviceError, fit, linearDecay, Transformer } from '../../src/index.js';
import { Random } from '../../src/nn/index.js';
import type { Example } from '../../src/train/index.js';

let device: Device;
let model: Transformer;
const random = new Random(1);
const ids = (count: number, vocabulary: number) =>
  Array.from({ length: count }, () => 3 + random.below(vocabulary - 3));

/** Pairs as long as English words and their pronunciations. */
const examples: Example[] = Array.from({ length: 20_000 }, () => {
  const letters = 3 + random.below(9);
  return { source: ids(letters, 30), target: [1, ...ids(letters - 1, 42), 2] };
});

beforeAll(async () => {
  device = await createDevice({ worker: true });
  // Sizes of examples/quickstart.ts.
  const sizes = { dModel: 128, heads: 4, encoderLayers: 2, decoderLayers: 2, maxLength: 64 };
  model = new Transformer(device, { ...sizes, norm: 'pre', sourceVocab: 30, targetVocab: 42 });
});
afterAll(() => device.dispose());

/** The longest time between two frames while `work` goes on, and how many there were. */
async function framesDuring(work: () => Promise<unknown>): Promise<{ longest: number; count: number }> {
  let longest = 0;
  let count = 0;
  let last = performance.now();
  let running = true;
  const frame = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    count++;
    if (running) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  await work();
  running = false;
  return { longest, count };
}

/** Frames come every 1/60 s: from one to the third after it, with two missed between them, it is this long. */
const TWO_MISSED = 3.5 * (1000 / 60);

describe('the page never misses more than two frames in a row', { retry: 3 }, () => {
  it('while a model is trained', async () => {
    const schedule = linearDecay(3e-3, { steps: 700, warmup: 50 });
    await fit(model, examples, { steps: 1, schedule });
    const { longest, count } = await framesDuring(() => fit(model, examples, { steps: 4, schedule }));
    expect(count).toBeGreaterThan(10);
    expect(longest).toBeLessThan(TWO_MISSED);
  });

  it('while a model generates', async () => {
    const inputs = examples.slice(0, 64).map(({ source }) => source!);
    const options = { numBeams: 4, stopTokens: [], maxNewTokens: 30 };
    const { longest, count } = await framesDuring(() => model.generate(inputs, options));
    expect(count).toBeGreaterThan(5);
    expect(longest).toBeLessThan(TWO_MISSED);
  });
});

describe('a model in a worker', () => {
  it('leaves a core to the page', () => {
    const cores = globalThis.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
    expect(device.info.threads).toBe(Math.max(1, cores - 1));
  });

  it('saves and loads a model with the same weights', async () => {
    const again = await Transformer.fromFiles(device, await model.toFiles());
    const [a, b] = [model, again].map((one) => Object.entries(one.stateDict()));
    expect(b!.map(([name]) => name)).toEqual(a!.map(([name]) => name));
    for (const [i, [name, entry]] of a!.entries()) {
      const [ours, theirs] = [await entry.data(), await b![i]![1].data()];
      expect(
        ours.every((value, at) => value === theirs[at]),
        name,
      ).toBe(true);
    }
    again.dispose();
  });

  it('accepts tensors as tokens in asynchronous calls, and refuses them with a remedy in others', async () => {
    const rows = [
      [3, 4, 5],
      [6, 7, 0],
    ];
    const tokens = device.tensor(Int32Array.from(rows.flat()), [2, 3]);
    const options = { maxNewTokens: 5 };
    expect(await model.generate(tokens, options)).toEqual(await model.generate(rows, options));
    expect(() => model.encode(tokens)).toThrow(DeviceError);
    expect(() => model.encode(tokens)).toThrow(/worker.*data\(\)/);
    expect((await model.encode(rows).hidden.data()).length).toBe(5 * 128);
  });
});
