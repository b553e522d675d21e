import { afterEvents } from '../backend/after-events.js';

/** Milliseconds of work after which the event loop runs. */
const SLICE_MS = 2;

/** Callers that wait for a turn of the event loop, in order. */
const waiting: (() => void)[] = [];
/** The time at which the event loop last ran for a caller. */
let lastTurn = 0;
/** True until the caller that last went on without a turn does so. */
let isPassing = false;

/**
 * Lets the event loop run, if it last did so more than `SLICE_MS` ago or if other callers wait. Of callers that arrive
 * at the same moment, one goes on and the others wait, because none of them has done its work yet.
 */
export async function yieldToEventLoop(): Promise<void> {
  if (waiting.length > 0 || isPassing || isTurnDue()) return turnOfEventLoop();
  isPassing = true;
  await null;
  isPassing = false;
}

/**
 * True if work since `start` has taken `SLICE_MS`. Default: since the latest turn. The absolute value, because the clock
 * of a test may have been ahead of this one.
 */
export function isTurnDue(start = lastTurn): boolean {
  return Math.abs(performance.now() - start) >= SLICE_MS;
}

/**
 * Lets the event loop run. Each of its turns continues one waiting caller, so that many callers together block it no
 * longer than one.
 */
export function turnOfEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (waiting.length === 1) afterEvents(nextTurn);
  });
}

function nextTurn(): void {
  lastTurn = performance.now();
  waiting.shift()?.();
  if (waiting.length > 0) afterEvents(nextTurn);
}
