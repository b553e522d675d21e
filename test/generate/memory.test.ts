import { describe, expect, it, vi } from 'vitest';
import { CommandList } from '../../src/core/command-list.js';
import { DisposedError, type GenerateOptions } from '../../src/index.js';
import { decoderOnly, device, inputs, kinds, makeModel } from './small-model.js';

describe('models and memory', () => {
  it('generations of one model can run at the same time', async () => {
    const model = makeModel();
    const options: GenerateOptions[] = [{}, { numBeams: 3 }, { doSample: true }, {}, { maxNewTokens: 5 }];
    const alone = [];
    for (const each of options) alone.push(await model.generate(inputs, each));
    expect(await Promise.all(options.map((each) => model.generate(inputs, each)))).toEqual(alone);
    model.dispose();
  });

  it('memory is reused, and freed with the model', async () => {
    const before = device.memory().used;
    const model = makeModel();
    await model.generate(inputs);
    const after = device.memory().used;
    await model.generate(inputs.slice(0, 2).concat([[4, 4, 4]]));
    expect(device.memory().used).toBe(after);
    await model.generate(inputs.slice(0, 2).concat([[5, 4, 3]])); // lengths equal to the last ones: recorded
    await model.generate(inputs);
    expect(device.memory().used).toBe(after);
    for (let width = 1; width < 9; width++) await model.generate(Array(width).fill([3, 4]), { numBeams: 2 });
    await model.score(inputs, [
      [1, 5, 2],
      [1, 2],
      [1, 2],
    ]);
    model.dispose();
    expect(device.memory().used).toBe(before);
  });

  it('tables of long texts are not uploaded through the queue, which would keep their memory', async () => {
    const model = makeModel({ ...decoderOnly, positions: 'rotary', maxLength: 1024 });
    const append = vi.spyOn(CommandList.prototype, 'append');
    await model.generate(inputs, { maxNewTokens: 4, maxLength: 1024 });
    await model.device.flush();
    const longest = Math.max(...append.mock.calls.map(([words]) => words.length));
    expect(longest).toBeLessThan(1024);
    append.mockRestore();
    model.dispose();
  });

  it('reading a prompt takes the same memory for many layers as for few', () => {
    const prompt = Array.from({ length: 200 }, (_, i) => 3 + (i % 7));
    const [few, many] = [2, 8].map((decoderLayers) => {
      const model = makeModel({ ...decoderOnly, decoderLayers, maxLength: 256 });
      const state = model.startDecoding();
      const before = device.memory().used;
      device.resetPeak();
      device.scope(() => model.prefill(state, [prompt]));
      const { peak } = device.memory();
      state.dispose();
      model.dispose();
      return peak - before;
    });
    expect(many).toBe(few);
  });

  it('a long prompt takes the activation memory of one piece, and gives the bits of one pass', async () => {
    const activations = [];
    for (const length of [1024, 3072]) {
      const prompt = Array.from({ length }, (_, i) => 3 + ((i * i) % 7));
      const model = makeModel({ ...decoderOnly, positions: 'rotary', maxLength: 3100 });
      const atOnce = makeModel({ ...decoderOnly, positions: 'rotary', maxLength: 3100 });
      Object.defineProperty(atOnce, 'extend', { value: undefined });
      device.resetPeak();
      const result = await model.generate([[3, 4], prompt], { maxNewTokens: 3 });
      activations.push(device.memory().peak - device.memory().used);
      expect(result).toEqual(await atOnce.generate([[3, 4], prompt], { maxNewTokens: 3 }));
      for (const each of [model, atOnce]) each.dispose();
    }
    expect(activations[1]).toBeLessThan(1.1 * (activations[0] as number));
  });

  it.each(Object.entries(kinds))(
    'smaller batches use what larger ones have left, to the same bits: %s',
    async (_, kind) => {
      const rows = Array.from({ length: 16 }, (_, i) => [3 + (i % 5), 4, ...Array(i % 4).fill(5)]);
      for (const options of [{}, { numBeams: 2 }, { doSample: true, seed: 3 }] as GenerateOptions[]) {
        const [model, other] = [makeModel(kind), makeModel(kind)];
        await model.generate(rows, options);
        const batches = [rows.slice(0, 5), rows.slice(3, 6), rows.slice(2, 13), rows];
        const found = [];
        const used = [];
        for (const batch of batches) {
          found.push(await model.generate(batch, options));
          used.push(device.memory().used);
        }
        for (const [i, batch] of batches.entries()) expect(found[i]).toEqual(await other.generate(batch, options));
        expect(Math.max(...used)).toBeLessThan(1.05 * Math.min(...used));
        for (const each of [model, other]) each.dispose();
      }
    },
  );

  it.each(Object.entries(kinds))('a model can be disposed of while it generates: %s', async (_, kind) => {
    const before = device.memory().used;
    for (const options of [{}, { numBeams: 3 }, { doSample: true }] as GenerateOptions[]) {
      const model = makeModel({ ...kind, maxLength: 1024 });
      await model.generate(inputs, options); // a session to use again
      const long = { ...options, maxNewTokens: 1000, stopTokens: [] }; // many milliseconds
      const underWay = [long, long, { ...long, maxNewTokens: 500 }].map((each) =>
        expect(model.generate(inputs, each)).rejects.toThrow(DisposedError),
      );
      await new Promise((resolve) => setTimeout(resolve));
      model.dispose();
      await Promise.all(underWay);
      await expect(model.generate(inputs, options)).rejects.toThrow('the model was disposed of');
      expect(device.memory().used).toBe(before);
    }
  });

  it.each(Object.entries(kinds))('and while it streams without a reader: %s', async (_, kind) => {
    const before = device.memory().used;
    const model = makeModel(kind);
    const [left, ended] = [model.stream(inputs, { stopTokens: [] }), model.stream(inputs, { stopTokens: [] })];
    await Promise.all([left.next(), ended.next()]);
    model.dispose();
    expect(device.memory().used).toBe(before);
    const readOn = async () => {
      for await (const _ of left);
    };
    await expect(readOn()).rejects.toThrow('leave the loops of its streams');
    await ended.return(undefined as never);
    expect(device.memory().used).toBe(before);
  });

  it('a callback may dispose of the model', async () => {
    const before = device.memory().used;
    for (const numBeams of [1, 2]) {
      const model = makeModel();
      const stop = () => {
        model.dispose();
        return false;
      };
      await expect(model.generate(inputs, { numBeams, stop })).rejects.toThrow(DisposedError);
      expect(device.memory().used).toBe(before);
    }
  });

  it('dropout is off, and training continues afterwards', async () => {
    const model = makeModel({ dropout: 0.5 });
    const [first, second] = [await model.generate(inputs), await model.generate(inputs)];
    expect(first).toEqual(second);
    expect(model.training).toBe(true);
    expect(model.transformer.decoder!.layers[0]!.feedForward!.training).toBe(true);
    expect(
      await model.score(inputs, [
        [1, 5, 2],
        [1, 2],
        [1, 2],
      ]),
    ).toEqual(
      await model.score(inputs, [
        [1, 5, 2],
        [1, 2],
        [1, 2],
      ]),
    );
    model.dispose();
  });

  it('uses changed parameters', async () => {
    const [model, other] = [makeModel(), makeModel({ seed: 9 })];
    const expected = await other.generate(inputs);
    expect(await model.generate(inputs)).not.toEqual(expected);
    model.loadStateDict(other.stateDict());
    expect(await model.generate(inputs)).toEqual(expected);
    model.dispose();
    other.dispose();
  });

  it('accepts inputs in every form', async () => {
    const model = makeModel();
    const expected = await model.generate([
      [3, 4],
      [5, 6, 7],
    ]);
    const tensor = device.tensor(
      [
        [3, 4, 0],
        [5, 6, 7],
      ],
      undefined,
      { dtype: 'int32' },
    );
    const packed = { ids: [3, 4, 5, 6, 7], lengths: [2, 3] };
    for (const input of [tensor, packed, model.batch(packed)]) expect(await model.generate(input)).toEqual(expected);
    const decoder = makeModel(decoderOnly);
    expect(await decoder.generate([[]])).toEqual(await decoder.generate([[1]]));
    model.dispose();
    decoder.dispose();
  });
});
