import { expect, it } from 'vitest';
import { EventQueue } from '../../src/core/event-queue.js';

/** Lets all that waits run. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Reads a queue in the background. The lists of what was read, and the error, are filled as they come. */
function reader(queue: EventQueue<number>): { lists: number[][]; done: Promise<string> } {
  const lists: number[][] = [];
  const read = async () => {
    for await (const events of queue) lists.push(events);
    return 'end';
  };
  return { lists, done: read().catch((error: Error) => error.message) };
}

it('gives a reader all events since its last step', async () => {
  const queue = new EventQueue<number>();
  queue.push(1);
  queue.push(2);
  const { lists, done } = reader(queue);
  await turn();
  expect(lists).toEqual([[1, 2]]);
  queue.push(3);
  await turn();
  queue.push(4);
  queue.push(5);
  queue.end();
  expect(await done).toBe('end');
  expect(lists).toEqual([[1, 2], [3], [4, 5]]);
});

it('wakes a waiting reader at the end, and at a failure', async () => {
  for (const [close, expected] of [
    [(queue: EventQueue<number>) => queue.end(), 'end'],
    [(queue: EventQueue<number>) => queue.fail(new Error('broken')), 'broken'],
  ] as const) {
    const queue = new EventQueue<number>();
    const { lists, done } = reader(queue);
    await turn();
    close(queue);
    expect(await done).toBe(expected);
    expect(lists).toEqual([]);
  }
});

it('delivers events before a failure, and those that still come, then the first failure', async () => {
  const queue = new EventQueue<number>();
  queue.push(1);
  queue.fail(new Error('first'));
  queue.push(2);
  queue.fail(new Error('second'));
  queue.end();
  const { lists, done } = reader(queue);
  expect(await done).toBe('first');
  expect(lists).toEqual([[1, 2]]);
});

it('does not fail after the end', async () => {
  const queue = new EventQueue<number>();
  queue.end();
  queue.fail(undefined);
  expect(await reader(queue).done).toBe('end');
});

it('passes a failure on that is undefined', async () => {
  const queue = new EventQueue<number>();
  queue.fail(undefined);
  await expect(queue[Symbol.asyncIterator]().next()).rejects.toBeUndefined();
});

it('gives the events after a break to the next reader', async () => {
  const queue = new EventQueue<number>();
  queue.push(1);
  for await (const events of queue) {
    expect(events).toEqual([1]);
    break;
  }
  queue.push(2);
  queue.end();
  const { lists, done } = reader(queue);
  expect(await done).toBe('end');
  expect(lists).toEqual([[2]]);
});
