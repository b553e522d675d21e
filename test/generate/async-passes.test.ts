// Long work of a model gives way to the event loop between its layers, with the same bits.
import { expect, it, vi } from 'vitest';
import { yieldToEventLoop } from '../../src/core/yield-to-event-loop.js';
import { extendAsync, prefillAsync, prepareAsync, recordStep } from '../../src/generate/async-passes.js';
import { SharedBatch } from '../../src/generate/continuous-batching/shared-batch.js';
import { ContinuousBatching, generate, PromptCache } from '../../src/generate/index.js';
import { OutOfMemoryError } from '../../src/index.js';
import { Initializer } from '../../src/nn/init.js';
import { RotaryEmbedding } from '../../src/nn/rotary-embedding.js';
import { clockReads, countTurns, withSlowClock } from '../event-loop.js';
import { decoderOnly, device, makeModel } from './small-model.js';

it('records a step in slices of at least one layer, which compute the same as a complete step', async () => {
  const model = makeModel({ ...decoderOnly, decoderLayers: 4 });
  const [sliced, whole] = [0, 1].map(() => model.startDecoding({ sequences: 2, maxLength: 16 })) as [
    ReturnType<typeof model.startDecoding>,
    ReturnType<typeof model.startDecoding>,
  ];
  const record = vi.spyOn(device, 'record');
  const step = await withSlowClock(() => recordStep(model, sliced, () => {}));
  expect(record).toHaveBeenCalledTimes(4 + 1);
  record.mockRestore();
  for (const tokens of [
    [3, 4],
    [5, 6],
    [7, 8],
  ]) {
    for (const state of [sliced, whole]) state.tokens.write(tokens);
    const expected = device.scope(() => model.step(whole).dataSync());
    expect(step.run().dataSync()).toEqual(expected);
  }
  step.dispose();
  for (const state of [sliced, whole]) state.dispose();
  model.dispose();
});

it('reads a prompt in slices, and leaves no memory behind', async () => {
  const model = makeModel({ ...decoderOnly, decoderLayers: 4 });
  const state = model.startDecoding({ sequences: 2, maxLength: 16 });
  const { used } = device.memory();
  const [logits, turns] = await countTurns(async (turn) => {
    const read = () => extendAsync(model, state, [[3, 4, 5]], { sequences: [1], starts: [0] });
    return [await withSlowClock(read), turn()] as const;
  });
  expect(turns).toBeGreaterThanOrEqual(4);
  const other = model.startDecoding({ sequences: 2, maxLength: 16 });
  expect(logits!.dataSync()).toEqual(device.scope(() => model.extend(other, [[3, 4, 5]]).dataSync()));
  other.dispose();
  logits!.dispose();
  expect(device.memory().used).toBe(used);
  // Leaving in the middle frees the tensors of the layer, too.
  const layers = model.extendInParts(state, [[3, 4, 5]], { starts: [0] });
  layers.next();
  layers.next();
  layers.return(null);
  expect(device.memory().used).toBe(used);
  state.dispose();
  model.dispose();
});

it('frees the intermediate tensors of a model that extends without a pause', async () => {
  const model = makeModel({ ...decoderOnly, decoderLayers: 1 });
  model.extendInParts = () => {
    device.zeros([1024]);
    return device.zeros([1, 1]) as never;
  };
  const state = model.startDecoding({ sequences: 1, maxLength: 16 });
  const { used } = device.memory();
  const logits = await extendAsync(model, state, [[3, 4]], { starts: [0] });
  logits?.dispose();
  expect(device.memory().used).toBe(used);
  state.dispose();
  model.dispose();
});

it('lets one of many callers run in each turn of the event loop', async () => {
  const turns: number[] = [];
  await countTurns((turn) => {
    const callers = () =>
      Array.from({ length: 20 }, async () => {
        await yieldToEventLoop();
        turns.push(turn());
      });
    return withSlowClock(() => Promise.all(callers()));
  });
  expect(new Set(turns).size).toBe(20);
});

it('reads prompts of a fresh state in slices, with the bits of prefill', async () => {
  const model = makeModel({ ...decoderOnly, decoderLayers: 4 });
  const prompts = [[3, 4, 5], [6]];
  const [sliced, whole] = [0, 1].map(() => model.startDecoding({ sequences: 2, maxLength: 16 }));
  const { used } = device.memory();
  await countTurns(async (turn) => {
    const logits = await withSlowClock(() => prefillAsync(model, sliced!, prompts));
    expect(turn()).toBeGreaterThanOrEqual(4);
    expect(logits.dataSync()).toEqual(device.scope(() => model.prefill(whole!, prompts).dataSync()));
    logits.dispose();
  });
  expect(device.memory().used).toBe(used);
  for (const state of [sliced, whole]) state!.dispose();
  model.dispose();
});

it('makes long tables of positions in slices, once for all waiting callers', async () => {
  const tables = () => {
    const init = new Initializer(device, 1);
    const rotary = new RotaryEmbedding(init, { headSize: 64, maxLength: 4096 });
    return { init, rotary, model: { device, prepareInParts: (length: number) => rotary.reserveInParts(length) } };
  };
  const { init, rotary, model } = tables();
  const before = device.memory().used;
  await countTurns(async (turn) => {
    const callers = Array.from({ length: 5 }, () => prepareAsync(model as never, 4096));
    await withSlowClock(() => Promise.all(callers));
    expect(turn()).toBeGreaterThanOrEqual(7);
  });
  expect(device.memory().used - before).toBe(4096 * 128 * 4);
  const other = tables();
  other.rotary.reserve(4096);
  const rotated = ({ rotary: of }: typeof other) =>
    device.scope(() => {
      const positions = device.tensor([0, 511, 512, 4095], undefined, { dtype: 'int32' });
      return of.forward(device.full([4, 64], 1), positions, 4096).dataSync();
    });
  expect(rotated({ init, rotary, model })).toEqual(rotated(other));
  for (const each of [init, other.init]) each.dispose();
});

it('delivers tokens to the readers of a batch in separate turns of the event loop', async () => {
  const model = makeModel(decoderOnly);
  const batching = new ContinuousBatching(model, { parallel: 8, context: 20, reserve: false });
  const readers = new Map<number, number>();
  await countTurns((turn) =>
    withSlowClock(() =>
      Promise.all(
        Array.from({ length: 8 }, async (_, i) => {
          const options = { maxNewTokens: 4, stopTokens: [], doSample: false };
          for await (const _ of batching.stream([3, i % 8], options))
            readers.set(turn(), (readers.get(turn()) ?? 0) + 1);
        }),
      ),
    ),
  );
  expect([...readers.values()].reduce((sum, count) => sum + count)).toBe(8 * 4);
  expect(Math.max(...readers.values())).toBeLessThanOrEqual(2);
  await batching.dispose();
  model.dispose();
});

it('chooses a token in slices: the event loop runs after each processor, and within those of all tokens', async () => {
  const model = makeModel(decoderOnly);
  // Each slice reads the slow clock twice. Turns of the event loop depend on the engine's time, the number of reads does not.
  const slicesOf = async (options: object) => {
    const before = clockReads();
    await withSlowClock(() => generate(model, [[3, 4, 5]], { maxNewTokens: 1, stopTokens: [], ...options }));
    return (clockReads() - before) / 2;
  };
  await slicesOf({ doSample: false }); // records the step
  const greedy = await slicesOf({ doSample: false });
  expect(await slicesOf({ doSample: false })).toBe(greedy);
  const processed = { doSample: true, temperature: 0.7, topK: 5, topP: 0.9, typicalP: 0.9, minP: 0.01 };
  expect((await slicesOf(processed)) - greedy).toBeGreaterThanOrEqual(5 + 3 * 2);
  const beams = await slicesOf({ numBeams: 3, doSample: true, topK: 5, topP: 0.9 });
  expect(beams - greedy).toBeGreaterThanOrEqual(2 + 2 * 2 + 1);
  model.dispose();
});

it('a state for which there is no memory leaves nothing in the queue', async () => {
  const model = makeModel(decoderOnly);
  await device.flush();
  expect(() => model.startDecoding({ sequences: 2 ** 31 })).toThrow(OutOfMemoryError);
  expect(device.queue.idle).toBe(true); // it would fill gigabytes
  model.dispose();
});

it('prepares each state in slices before it is made, those of caches for longer texts too', async () => {
  const model = makeModel(decoderOnly);
  const prepared: number[] = [];
  const unprepared: number[] = [];
  model.prepareInParts = function* (length) {
    yield;
    prepared.push(length);
  };
  const startDecoding = model.startDecoding.bind(model);
  model.startDecoding = (sizes) => {
    const { textLength = sizes?.maxLength ?? 0 } = sizes ?? {};
    if (Math.max(...prepared) < textLength) unprepared.push(textLength);
    return startDecoding(sizes);
  };
  const batching = new ContinuousBatching(model, { parallel: 2, context: 12, reserve: false });
  const cache = new PromptCache(model, { maxLength: 24 });
  for await (const _ of batching.stream([3, 4], { maxNewTokens: 2, stopTokens: [], doSample: false, cache }));
  await batching.idle();
  expect(cache.tokens.length).toBe(3);
  expect(unprepared).toEqual([]);
  cache.dispose();
  await batching.dispose();
  model.dispose();
});

it('lets callers begin in separate turns of the event loop after they have waited for the shared batch', async () => {
  const model = makeModel(decoderOnly);
  const batch = SharedBatch.of(model, { cacheType: 'float32', maxLength: 20 });
  const turns = new Set<number>();
  await countTurns((turn) =>
    withSlowClock(() => Promise.all(Array.from({ length: 8 }, () => batch.batching().then(() => turns.add(turn()))))),
  );
  expect(turns.size).toBe(8);
  model.dispose();
});
