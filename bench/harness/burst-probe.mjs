// In a process of its own, with the built package as users have it: many answers of a chat at once.
//
//     node --expose-gc burst-probe.mjs <model> <threads> <chats> <tokens> <order>
//
// `order` is 'together' or 'apart': all answers at the same time, or one after another. Prints JSON: seconds, the longest pauses
// of the event loop in milliseconds, bytes of the process, and the answers.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { createDevice, loadModel } from 'simdformer';
import { Chat } from 'simdformer/tasks';

const [file, threads, chats, tokens, order] = process.argv.slice(2);

/** Runs `work` and returns the longest time for which nothing else was handled, in milliseconds. */
async function watched(work) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await setTimeout(5);
  delay.reset();
  await work();
  await setTimeout(5);
  delay.disable();
  return delay.max / 1e6;
}

/** Resident bytes once everything that nobody uses was given back. */
async function settled() {
  globalThis.gc?.();
  await setTimeout(2500); // the heap is trimmed after a second without work
  globalThis.gc?.();
  await setTimeout(200);
  return process.memoryUsage.rss();
}

async function answerOf(model, i) {
  const chat = new Chat(model);
  const options = { maxNewTokens: Number(tokens), doSample: false };
  let text = '';
  for await (const piece of chat.send(`Tell me a fact about the number ${i}, please.`, options)) text += piece;
  chat.dispose();
  return text;
}

async function all(model) {
  const numbers = Array.from({ length: Number(chats) }, (_, i) => i);
  if (order === 'together') return Promise.all(numbers.map((i) => answerOf(model, i)));
  const texts = [];
  for (const i of numbers) texts.push(await answerOf(model, i));
  return texts;
}

const idle = await watched(() => setTimeout(1000));
const before = await settled();
const device = await createDevice({ threads: Number(threads) });
let model;
const loading = await watched(async () => {
  model = await loadModel(device, file);
});
const loaded = await settled();
let texts;
let seconds;
const run = async () => {
  const start = performance.now();
  texts = await all(model);
  seconds = (performance.now() - start) / 1e3;
};
const first = await watched(run);
const firstSeconds = seconds;
const second = await watched(run);
const inUse = process.memoryUsage.rss();
model.dispose();
device.dispose();
const after = await settled();
const pauses = { idle, loading, first, second };
const bytes = { before, loaded, inUse, after };
console.log(JSON.stringify({ pauses, seconds, firstSeconds, bytes, texts }));
