import { expect, it } from 'vitest';
import { yieldToEventLoop } from '../../src/core/yield-to-event-loop.js';

it('continues one caller in each turn if many arrive at the same moment', async () => {
  let turn = 0;
  let counts = true;
  const count = () => {
    turn++;
    if (counts) setImmediate(count);
  };
  setImmediate(count);
  await new Promise((resolve) => setTimeout(resolve, 5));
  await yieldToEventLoop(); // the event loop has just run, so that one caller may go on at once
  const turns = await Promise.all(
    Array.from({ length: 20 }, async () => {
      await null; // all of them continue at the same moment, like after an import
      await yieldToEventLoop();
      return turn;
    }),
  );
  counts = false;
  // The first caller may share its turn with the second.
  expect(new Set(turns).size).toBeGreaterThanOrEqual(19);
});
