import { afterEvents } from '../backend/after-events.js';

/** Milliseconds of work after which the event loop gets its turn. */
export const SLICE_MS = 5;

/** Work that waits for its turn, in order. */
const waiting: (() => void)[] = [];
let lastTurn = 0;

/**
 * Lets the event loop handle what waits, if it last did so more than `SLICE_MS` ago or if other work is in line. Of the
 * work in line, one piece runs in each turn of the event loop: many callers together block it no longer than one.
 */
export async function yieldToEventLoop(): Promise<void> {
  if (waiting.length === 0 && performance.now() - lastTurn < SLICE_MS) return;
  await new Promise<void>((resolve) => {
    waiting.push(resolve);
    if (waiting.length === 1) afterEvents(nextTurn);
  });
}

function nextTurn(): void {
  lastTurn = performance.now();
  waiting.shift()?.();
  if (waiting.length > 0) afterEvents(nextTurn);
}
