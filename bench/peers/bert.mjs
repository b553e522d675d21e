// BERT by ONNX Runtime and by transformers.js for bench/pretrained.ts, driven over a pipe: node bert.mjs <file of
// onnxruntime-node or of @huggingface/transformers> <onnx | transformers>
//
// Each line is a JSON object.
//
// - {"load", "threads"} loads a folder with onnx/model.onnx and the model's other files; the answer is {}. -
// {"batches", "repeats"} has rows of ids, batch by batch. The answer has the "seconds" of one repeat, and a "sample" of
// the last batch. - {"texts", "batchSize", "repeats"} asks transformers.js for the vectors of texts.
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [module, by] = process.argv.slice(2);
const library = await import(pathToFileURL(module).href);
const { Tensor } = library.default ?? library;
const sessionOptions = (threads) => ({
  executionProviders: ['cpu'],
  executionMode: 'sequential',
  graphOptimizationLevel: 'all',
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
});
/** From feeds to [batch, tokens, features]. */
let run;
/** From texts to vectors. */
let embed;

async function load(folder, threads) {
  if (by === 'onnx') {
    const session = await library.default.InferenceSession.create(
      join(folder, 'onnx/model.onnx'),
      sessionOptions(threads),
    );
    run = async (feeds) => (await session.run(feeds)).last_hidden_state;
    return;
  }
  Object.assign(library.env, { allowLocalModels: true, allowRemoteModels: false, localModelPath: '/' });
  const options = { dtype: 'fp32', device: 'cpu', session_options: sessionOptions(threads) };
  const extractor = await library.pipeline('feature-extraction', folder, options);
  run = async (feeds) => (await extractor.model(feeds)).last_hidden_state;
  embed = (texts) => extractor(texts, { pooling: 'mean', normalize: true });
}

/** Rows padded on the right by 0, and masks. */
function feedsOf(rows) {
  const longest = Math.max(...rows.map((row) => row.length));
  const [ids, mask, types] = Array.from({ length: 3 }, () => new BigInt64Array(rows.length * longest));
  for (const [i, row] of rows.entries()) {
    for (const [j, id] of row.entries()) {
      ids[i * longest + j] = BigInt(id);
      mask[i * longest + j] = 1n;
    }
  }
  const tensor = (data) => new Tensor('int64', data, [rows.length, longest]);
  return { input_ids: tensor(ids), attention_mask: tensor(mask), token_type_ids: tensor(types) };
}

/** Same as in bench/pretrained.ts: the first tokens of a batch. */
function sampleOf({ data, dims: [size, tokens, features] }) {
  return Array.from({ length: 64 }, (_, i) => data[((i * 7) % size) * tokens * features + ((i * 104729) % features)]);
}

async function timed(repeats, work) {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) await work();
  return (performance.now() - start) / 1e3 / repeats;
}

async function answer({ load: folder, threads, batches, texts, batchSize, repeats }) {
  if (folder !== undefined) {
    await load(folder, threads);
    return {};
  }
  let last;
  if (texts !== undefined) {
    const seconds = await timed(repeats, async () => {
      for (let i = 0; i < texts.length; i += batchSize) last = await embed(texts.slice(i, i + batchSize));
    });
    return { seconds, sample: Array.from(last.data.slice(-64)) };
  }
  const feeds = batches.map(feedsOf);
  const seconds = await timed(repeats, async () => {
    for (const each of feeds) last = await run(each);
  });
  return { seconds, sample: sampleOf(last) };
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
