import { afterEach, expect, it, vi } from 'vitest';
import { type Device, type GenerateOptions, OutOfMemoryError } from '../../src/index.js';
import { device, inputs, kinds, makeModel } from './small-model.js';

afterEach(() => vi.restoreAllMocks());

/** Lets the device have no memory from the n-th tensor on; true once there was a tensor that it did not give. */
function endsAt(device: Device, n: number): () => boolean {
  let left = n;
  for (const name of ['empty', 'zeros'] as const) {
    const make = device[name].bind(device);
    vi.spyOn(device, name).mockImplementation((...form: Parameters<Device['zeros']>) => {
      if (left-- > 0) return make(...form);
      throw new OutOfMemoryError('no more');
    });
  }
  return () => left < 0;
}

/** Runs `use` with every number of tensors, until they are enough; afterwards `used` must be what it was. */
async function eachEnd(use: () => Promise<unknown> | unknown, used: () => number): Promise<void> {
  for (let n = 0, ended = true; ended; n++) {
    const before = used();
    const ends = endsAt(device, n);
    let error: unknown;
    try {
      await use();
    } catch (thrown) {
      error = thrown;
    }
    ended = ends();
    vi.restoreAllMocks();
    if (ended) expect(error, `${n}`).toBeInstanceOf(OutOfMemoryError);
    else expect(error).toBeUndefined();
    expect(used(), `${n}`).toBe(before);
    expect(n).toBeLessThan(1000);
  }
}

const used = () => device.memory().used;

it.each(Object.entries(kinds))('a state frees its memory if there is too little: %s', async (_, kind) => {
  const model = makeModel(kind);
  const memory = model.transformer.encoder ? model.encode(inputs) : undefined;
  await eachEnd(() => model.startDecoding({ memory, beams: 2 }).dispose(), used);
  model.dispose();
});

it.each(Object.entries(kinds))('a generation frees its memory if there is too little: %s', async (_, kind) => {
  const calls: [GenerateOptions, typeof inputs][] = [
    [{ maxNewTokens: 3 }, inputs],
    [{ numBeams: 2, maxNewTokens: 3 }, inputs],
  ];
  for (const [options, rows] of calls) {
    // Anew for each: what sessions keep for the next call goes with their model.
    const use = async () => {
      const model = idle.pop()!;
      try {
        await model.generate(rows, options);
        await model.generate(rows, options); // once more with the session, which records how it reads sources
        await model.generate(rows, options);
      } finally {
        model.dispose();
      }
    };
    const idle: ReturnType<typeof makeModel>[] = [];
    const without = () => {
      for (const model of idle.splice(0)) model.dispose();
      const before = used();
      idle.push(makeModel(kind));
      return before;
    };
    await eachEnd(use, without);
    for (const model of idle) model.dispose();
  }
});

it('a first batch frees its memory if there is too little', async () => {
  const model = makeModel();
  const before = used();
  endsAt(device, 4);
  await expect(model.generate(inputs)).rejects.toThrow(OutOfMemoryError);
  expect(used()).toBe(before);
  vi.restoreAllMocks();
  expect((await model.generate(inputs)).sequences.length).toBe(3);
  model.dispose();
});
