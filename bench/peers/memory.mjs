// A memory of an agent in a process of its own, for bench/memory.ts: node memory.mjs <library> <its file>
//
// Each line is a JSON object.
//
// - {"load": {embedder, reranker, chat, weights}, "threads"} loads the models; the answer is {}. `chat` may be null. `weights`
//   is how simdformer stores those of the encoders.
// - {"index": texts, "repeats"} gives "seconds", and a "sample" of the last vector.
// - {"question", "texts", "passages", "tokens", "repeats"} answers a question; the answer has the "seconds". Vectors find 12 of `texts`. The
//   reranker reads them with the question. Unless `tokens` is 0, a chat model writes so many from the best `passages`.
// - {"state"} gives "peak" and "resident" memory in bytes, and "delay", the 99th percentile of the event loop's delay in seconds.
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [library, file] = process.argv.slice(2);
const module = await import(pathToFileURL(file).href);
const CANDIDATES = 12;
const BATCH = 32;
const SYSTEM = 'Answer from the passages.';

/**
 * Each library gives three functions. `embed` and `rerank` turn texts into vectors of length 1. `write` answers a prompt
 * and returns the number of tokens of its answer.
 */
const libraries = {
  async simdformer({ embedder, reranker, chat, weights }, threads) {
    const device = await module.createDevice({ threads });
    const first = await module.loadModel(device, embedder, { weights });
    const second = await module.loadModel(device, reranker, { weights });
    const writer = chat && (await module.loadModel(device, chat));
    const embedBy = (model) => (texts) => model.encode(texts, { normalize: true });
    const write = async (prompt, maxNewTokens) => {
      const messages = [
        { role: 'system', content: SYSTEM },
        { role: 'user', content: prompt },
      ];
      const ids = await writer.tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true });
      const options = { maxNewTokens, minNewTokens: maxNewTokens, doSample: false };
      const { sequences } = await writer.generate([ids], options);
      return sequences[0].length;
    };
    return { embed: embedBy(first), rerank: embedBy(second), write: writer && write };
  },
  async 'transformers.js'({ embedder, reranker }, threads) {
    Object.assign(module.env, { allowLocalModels: true, allowRemoteModels: false, localModelPath: '/' });
    const session_options = { intraOpNumThreads: threads, interOpNumThreads: 1, graphOptimizationLevel: 'all' };
    const embedBy = async (folder) => {
      const extract = await module.pipeline('feature-extraction', folder, {
        dtype: 'fp32',
        device: 'cpu',
        session_options,
      });
      return async (texts) => {
        const vectors = [];
        for (let at = 0; at < texts.length; at += BATCH)
          vectors.push(...(await extract(texts.slice(at, at + BATCH), { pooling: 'mean', normalize: true })).tolist());
        return vectors;
      };
    };
    return { embed: await embedBy(embedder), rerank: await embedBy(reranker), write: null };
  },
  async 'node-llama-cpp'({ embedder, reranker, chat }, threads) {
    const llama = await module.getLlama({ gpu: false, build: 'never', maxThreads: threads, logLevel: 'error' });
    const embedBy = async (modelPath) => {
      const context = await (await llama.loadModel({ modelPath })).createEmbeddingContext({ threads });
      return async (texts) => {
        const vectors = [];
        for (const text of texts) vectors.push(normalized((await context.getEmbeddingFor(text)).vector));
        return vectors;
      };
    };
    const write = async () => {
      const model = await llama.loadModel({ modelPath: chat });
      const context = await model.createContext({ contextSize: 2048, threads });
      return async (prompt, maxTokens) => {
        const contextSequence = context.getSequence();
        const session = new module.LlamaChatSession({ contextSequence, systemPrompt: SYSTEM });
        let written = 0;
        const onToken = (tokens) => {
          written += tokens.length;
        };
        await session.prompt(prompt, { maxTokens, temperature: 0, onToken });
        session.dispose({ disposeSequence: true });
        return written;
      };
    };
    return { embed: await embedBy(embedder), rerank: await embedBy(reranker), write: chat && (await write()) };
  },
};

let models;
let stored = [];
const delays = monitorEventLoopDelay({ resolution: 1 });

const product = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
const normalized = (vector) => vector.map((value) => value / Math.hypot(...vector));
const nearest = (vector, vectors, count) =>
  vectors
    .map((other, i) => [product(vector, other), i])
    .sort(([a], [b]) => b - a)
    .slice(0, count)
    .map(([, i]) => i);

async function ask({ question, texts, passages, tokens }) {
  const [vector] = await models.embed([question]);
  const found = nearest([...vector], stored, CANDIDATES);
  const pairs = await models.rerank(found.map((i) => `${question} [SEP] ${texts[i]}`));
  const best = nearest([...vector], pairs, passages).map((i) => texts[found[i]]);
  if (tokens === 0) return;
  const written = await models.write(`${best.join('\n\n')}\n\nQuestion: ${question}`, tokens);
  // node-llama-cpp cannot forbid the end of an answer. A shorter answer is to its advantage.
  if (written > tokens || written < tokens / 2) throw new Error(`the answer has ${written} tokens, expected ${tokens}`);
}

async function timed(repeats, work) {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) await work();
  return (performance.now() - start) / 1e3 / repeats;
}

async function answer(asked) {
  if (asked.load) {
    models = await libraries[library](asked.load, asked.threads);
    delays.enable();
    return {};
  }
  if (asked.index) {
    const seconds = await timed(asked.repeats, async () => {
      stored = await models.embed(asked.index);
    });
    return { seconds, sample: Array.from(stored.at(-1)).slice(0, 64) };
  }
  if (asked.question) return { seconds: await timed(asked.repeats, () => ask(asked)) };
  const peak = 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
  return { peak, resident: process.memoryUsage.rss(), delay: delays.percentile(99) / 1e9 };
}

for await (const line of createInterface({ input: process.stdin }))
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
