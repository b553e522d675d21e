import { describe, expect, it } from 'vitest';
import type { TokenEvent } from '../../src/index.js';
import { device, inputs, makeModel } from './small-model.js';

describe('streaming', () => {
  it('yields every token when it is chosen, and the result at the end', async () => {
    const model = makeModel();
    const expected = await model.generate(inputs, { doSample: true });
    const events: TokenEvent[] = [];
    const stream = model.stream(inputs, { doSample: true });
    for (;;) {
      const { value, done } = await stream.next();
      if (done) {
        expect(value).toEqual(expected);
        break;
      }
      events.push(value);
    }
    expected.sequences.forEach((tokens, i) => {
      const own = events.filter(({ sequence }) => sequence === i);
      expect(own.map(({ token }) => token)).toEqual(tokens);
      expect(own.map(({ logProbability }) => logProbability)).toEqual(
        expected.logProbabilities[i]!.slice(0, tokens.length),
      );
    });
    const called: TokenEvent[] = [];
    await model.generate(inputs, { doSample: true, onToken: (event) => called.push(event) });
    expect(called).toEqual(events);
    model.dispose();
  });

  it('ends when a callback throws', async () => {
    const model = makeModel();
    const { sequences } = await model.generate(inputs);
    await model.generate(inputs); // records how these are read
    const { used } = device.memory();
    const onToken = () => {
      throw new Error('no more');
    };
    await expect(model.generate(inputs, { onToken })).rejects.toThrow('no more');
    expect((await model.generate(inputs)).sequences).toEqual(sequences);
    expect(device.memory().used).toBe(used);
    model.dispose();
  });

  it('awaits an asynchronous callback, and ends with its rejection', async () => {
    const model = makeModel();
    const [sequence] = (await model.generate([inputs[0]!], { maxNewTokens: 5, stopTokens: [] })).sequences;
    for (const limit of [3, 9]) {
      const written: number[] = [];
      const onToken = async ({ token }: TokenEvent) => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        if (written.length === limit) throw new Error('no more');
        written.push(token);
      };
      const result = model.generate([inputs[0]!], { maxNewTokens: 5, stopTokens: [], onToken });
      if (limit < 5) await expect(result).rejects.toThrow('no more');
      else await result;
      expect(written).toEqual(sequence!.slice(0, limit));
    }
    model.dispose();
  });

  it('ends when the loop is left', async () => {
    const model = makeModel();
    const options = { stopTokens: [] };
    const all = await model.generate([inputs[0]!], options);
    for await (const { token } of model.stream([inputs[0]!], options)) {
      expect(token).toBe(all.sequences[0]![0]);
      break;
    }
    expect(await model.generate([inputs[0]!], options)).toEqual(all);
    model.dispose();
  });

  it('ends with the reason of an aborted signal', async () => {
    const model = makeModel();
    const before = AbortSignal.abort();
    await expect(model.generate(inputs, { signal: before })).rejects.toMatchObject({ name: 'AbortError' });
    for (const numBeams of [1, 2]) {
      const controller = new AbortController();
      let steps = 0;
      const abort = () => {
        if (++steps === 4) controller.abort(new Error('enough'));
      };
      const options = { numBeams, signal: controller.signal, logitsProcessors: [abort], stopTokens: [] };
      await expect(model.generate([inputs[0]!], options)).rejects.toThrow('enough');
      expect(steps).toBeLessThanOrEqual(4 * numBeams);
    }
    model.dispose();
  });

  it('does not block the event loop, even with short steps', async () => {
    const model = makeModel();
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const begin = performance.now();
    while (performance.now() - begin < 200) await model.generate(inputs, { stopTokens: [], maxNewTokens: 20 });
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(2); // one for each 5 ms, but on a busy machine everything takes longer
    model.dispose();
  });
});
