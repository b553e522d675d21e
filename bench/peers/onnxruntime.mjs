// ONNX Runtime for bench/encoder.ts, driven over a pipe: node onnxruntime.mjs <folder of onnxruntime-node>
//
// Each line is a JSON object.
//
// - {"load", "threads"} loads a .onnx file; the answer is {}. - {"batch", "tokens", "dModel", "period", "repeats"} runs
// it. The answer has the "seconds" of one repeat, and a "sample" of the result.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const ort = createRequire(import.meta.url)(process.argv[2]);
let session;

/** Same as in bench/harness/ours.ts. */
const pattern = (size, period) => Float32Array.from({ length: size }, (_, i) => (i % period) * (2 / period) - 1);
const sampleOf = (values) => Array.from({ length: 64 }, (_, i) => values[(i * 104729) % values.length]);

async function answer({ load, threads, batch, tokens, dModel, period, repeats }) {
  if (load !== undefined) {
    await session?.release();
    session = await ort.InferenceSession.create(load, {
      executionProviders: ['cpu'],
      executionMode: 'sequential',
      graphOptimizationLevel: 'all',
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
    });
    return {};
  }
  const x = new ort.Tensor('float32', pattern(batch * tokens * dModel, period), [batch, tokens, dModel]);
  let y;
  const start = performance.now();
  for (let i = 0; i < repeats; i++) ({ y } = await session.run({ x }));
  return { seconds: (performance.now() - start) / 1e3 / repeats, sample: sampleOf(y.data) };
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
