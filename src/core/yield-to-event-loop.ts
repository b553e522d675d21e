import { afterEvents } from '../backend/after-events.js';

/** Milliseconds of work after which the event loop runs. */
export const SLICE_MS = 5;

/** Callers that wait for a turn of the event loop, in order. */
const waiting: (() => void)[] = [];
let lastTurn = 0;

/**
 * Lets the event loop run, if it last did so more than `SLICE_MS` ago or if other callers wait. Each turn of the event
 * loop continues one waiting caller, so that many callers together block it no longer than one.
 */
export async function yieldToEventLoop(): Promise<void> {
  // The absolute value, because the clock of a test may have been ahead of this one.
  if (waiting.length === 0 && Math.abs(performance.now() - lastTurn) < SLICE_MS) return;
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
