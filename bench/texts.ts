// `model.encode` beside the encoder alone, which gets the same tokens in the same batches: the cost of tokenizing, sorting,
// pooling and reading vectors.
//
//     MINILM=…/all-MiniLM-L6-v2 npm run bench -- texts

import { createDevice, type Tensor } from '../src/index.js';
import { MAX_BATCH_TOKENS, tokenBatches } from '../src/models/token-batches.js';
import { packed } from '../src/nn/token-batch.js';
import { gather } from '../src/ops/move.js';
import { loadTextModel } from '../src/pretrained/load-model.js';
import type { Bench } from './harness/bench.js';
import { type Contestant, contest } from './harness/contest.js';
import { OURS } from './harness/ours.js';

const words = 'a man in the red shirt is riding his old bicycle along an empty beach while two dogs run behind'.split(
  ' ',
);
/** Texts of some words; each begins with another word. */
const texts = (count: number, length: number) =>
  Array.from({ length: count }, (_, i) =>
    Array.from({ length: length + (i % 8) }, (_, j) => words[(i + j) % words.length]).join(' '),
  );

const shapes = {
  '1 text of 12 words': texts(1, 12),
  '256 texts of 12 words': texts(256, 12),
  '64 texts of 120 words': texts(64, 120),
};

export default {
  question: 'How much longer does it take to make vectors of texts than to run the encoder?',
  async run(run) {
    const { MINILM: folder } = process.env;
    if (!folder) {
      run.note('Vectors are NOT measured: MINILM names no folder of all-MiniLM-L6-v2');
      return;
    }
    const device = await createDevice({ threads: run.threads });
    for (const weights of ['float32', 'int8'] as const) {
      const model = await loadTextModel(device, folder, { weights });
      for (const [name, list] of Object.entries(shapes)) {
        const what = `${name}, ${weights}`;
        if (!run.wants(what)) continue;
        const { inputIds } = await model.tokenizer.encodeBatchAsync(list, { returnOffsets: false });
        const rows = [...inputIds].sort((a, b) => b.length - a.length);
        const batches = tokenBatches(rows, ({ length }) => length, MAX_BATCH_TOKENS);
        const encoder = async () => {
          for (const batch of batches) {
            const row = device.scope(() => {
              const { lastHiddenState } = model.forward({ inputIds: packed(batch) });
              const hidden = lastHiddenState as Tensor;
              const width = hidden.shape.at(-1) as number;
              return gather(hidden.reshape(hidden.size / width, width), device.tensor([0], [1], { dtype: 'int32' }));
            });
            await row.data();
            row.dispose();
          }
        };
        const outcome = await contest(
          [
            timed(OURS, async () => void (await model.encode(list))),
            { ...timed('the encoder', encoder), isReference: true },
          ],
          { rounds: run.rounds(15), seconds: 10, turn: 0.2 },
        );
        run.row(what, outcome, { 'texts/s': list.length / (outcome.times[OURS]?.median as number) });
      }
      model.dispose();
    }
    device.dispose();
  },
} satisfies Bench;

const timed = (name: string, work: () => Promise<void>): Contestant => ({
  name,
  async take(repeats) {
    const begin = performance.now();
    for (let i = 0; i < repeats; i++) await work();
    return { seconds: (performance.now() - begin) / 1e3 / repeats };
  },
});
