import { expect, it } from 'vitest';
import { yieldToEventLoop } from '../../src/core/yield-to-event-loop.js';
import { countTurns } from '../event-loop.js';

it('continues one caller in each turn if many arrive at the same moment', async () => {
  const turns = await countTurns(async (turn) => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    await yieldToEventLoop(); // the event loop has just run, so that one caller may go on at once
    return Promise.all(
      Array.from({ length: 20 }, async () => {
        await null; // all of them continue at the same moment, like after an import
        await yieldToEventLoop();
        return turn();
      }),
    );
  });
  // The first caller may share its turn with the second.
  expect(new Set(turns).size).toBeGreaterThanOrEqual(19);
});
