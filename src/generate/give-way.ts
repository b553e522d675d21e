import { afterEvents } from '../backend/after-events.js';

/** Milliseconds after which other work gets its turn. */
const PAUSE_AFTER = 5;

let lastPause = 0;

/** Steps may follow each other so closely that the event loop gets to nothing else: lets it, every few milliseconds. */
export async function giveWay(): Promise<void> {
  if (performance.now() - lastPause < PAUSE_AFTER) return;
  await new Promise<void>((resolve) => afterEvents(resolve));
  lastPause = performance.now();
}
