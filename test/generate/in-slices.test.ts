// Long work of a model gives way to the event loop between its layers, with the same bits.
import { expect, it, vi } from 'vitest';
import { yieldToEventLoop } from '../../src/core/yield-to-event-loop.js';
import { extendInSlices, recordStep } from '../../src/generate/in-slices.js';
import { decoderOnly, device, makeModel } from './small-model.js';

/** The time of the slow clock. It goes on from test to test: the code under test remembers when it last gave way. */
let now = performance.now();

/** Every look at the clock finds that a slice has taken its time. */
function withSlowClock<T>(run: () => Promise<T>): Promise<T> {
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => {
    now += 10;
    return now;
  });
  return run().finally(() => clock.mockRestore());
}

it('records a step in slices of one layer at least, which compute what a whole step does', async () => {
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
  let turns = 0;
  let isOn = true;
  const count = () => {
    turns++;
    if (isOn) setImmediate(count);
  };
  setImmediate(count);
  const logits = await withSlowClock(() => extendInSlices(model, state, [[3, 4, 5]], { sequences: [1], starts: [0] }));
  isOn = false;
  expect(turns).toBeGreaterThanOrEqual(4);
  const other = model.startDecoding({ sequences: 2, maxLength: 16 });
  expect(logits!.dataSync()).toEqual(device.scope(() => model.extend(other, [[3, 4, 5]]).dataSync()));
  other.dispose();
  logits!.dispose();
  expect(device.memory().used).toBe(used);
  // Leaving in the middle frees the tensors of the layer, too.
  const layers = model.extendByLayers(state, [[3, 4, 5]], { starts: [0] });
  layers.next();
  layers.next();
  layers.return(null);
  expect(device.memory().used).toBe(used);
  state.dispose();
  model.dispose();
});

it('lets one of many callers run in each turn of the event loop', async () => {
  let turn = 0;
  let isOn = true;
  const count = () => {
    turn++;
    if (isOn) setImmediate(count);
  };
  setImmediate(count);
  const turns: number[] = [];
  const callers = () =>
    Array.from({ length: 20 }, async () => {
      await yieldToEventLoop();
      turns.push(turn);
    });
  await withSlowClock(() => Promise.all(callers()));
  isOn = false;
  expect(new Set(turns).size).toBe(20);
});
