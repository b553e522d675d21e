// In a process of its own, with the built package as users have it: answers of many conversations.
//
//     node --expose-gc burst-probe.mjs <model> <threads> <chats> <tokens> <order>
//
// `order` is 'together' or 'apart': all answers at the same time, or one after another. The model is loaded, used and disposed
// of twice. Prints JSON: seconds of the second answers, the longest pauses of the event loop in milliseconds, resident bytes, and
// the answers.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { createDevice, loadModel } from 'simdformer';
import { Chat } from 'simdformer/tasks';

const [file, threads, chats, tokens, order] = process.argv.slice(2);

/** Runs `work`. Returns the longest time for which the event loop handled nothing else, in milliseconds. */
async function pauseOf(work) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await setTimeout(5);
  delay.reset();
  await work();
  await setTimeout(5);
  delay.disable();
  return delay.max / 1e6;
}

/**
 * Resident bytes after unused memory was returned. A device returns it after a second without work, V8 shrinks its room for
 * new objects after some seconds.
 */
async function resident() {
  globalThis.gc();
  await setTimeout(8000);
  globalThis.gc();
  await setTimeout(200);
  return process.memoryUsage.rss();
}

async function answerOf(model, i) {
  const chat = new Chat(model);
  let text = '';
  const options = { maxNewTokens: Number(tokens), doSample: false };
  for await (const piece of chat.send(`Tell me a fact about the number ${i}, please.`, options)) text += piece;
  chat.dispose();
  return text;
}

async function answersOf(model) {
  const numbers = Array.from({ length: Number(chats) }, (_, i) => i);
  if (order === 'together') return Promise.all(numbers.map((i) => answerOf(model, i)));
  const texts = [];
  for (const i of numbers) texts.push(await answerOf(model, i));
  return texts;
}

/** Loads the model, lets it answer, and disposes of it. */
async function cycle() {
  const device = await createDevice({ threads: Number(threads) });
  let model;
  const loading = await pauseOf(async () => {
    model = await loadModel(device, file);
  });
  let texts;
  let seconds;
  const answering = await pauseOf(async () => {
    const start = performance.now();
    texts = await answersOf(model);
    seconds = (performance.now() - start) / 1e3;
  });
  model.dispose();
  device.dispose();
  return { loading, answering, seconds, texts };
}

const idle = await pauseOf(() => setTimeout(1000));
const before = await resident();
const first = await cycle();
const after = await resident();
const second = await cycle();
const afterSecond = await resident();
const pauses = { idle, loading: first.loading, first: first.answering, second: second.answering };
const bytes = { before, after, afterSecond };
console.log(JSON.stringify({ pauses, bytes, seconds: second.seconds, texts: second.texts }));
