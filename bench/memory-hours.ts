// The memory of an agent of bench/memory.ts, used for hours: notes are indexed again and questions are answered. No use may
// fail, and the process must not grow.
//
//     SIMDFORMER_MODELS=… [SOAK_SECONDS=21600] [PAUSE_SECONDS=5] npm run bench -- memory-hours

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Random } from '../src/nn/index.js';
import type { Bench } from './harness/bench.js';
import { OURS } from './harness/ours.js';
import { summarize } from './harness/statistics.js';
import { memoryOfOurs, passagesOfDocs } from './memory.js';
import { modelFolder } from './pretrained/model-folder.js';

/** Passages that are indexed at once, passages that an answer is written from, and its tokens. */
const [NOTES, PASSAGES, TOKENS] = [16, 3, 32];
/** Uses between two reports. */
const EVERY = 100;

export default {
  question: 'Is the memory of an agent used for hours without an error, and does the process stay as large as it was?',
  async run(run) {
    const [minilm, chat] = [
      modelFolder(run, 'all-MiniLM-L6-v2'),
      modelFolder(run, 'smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf'),
    ];
    if (minilm === null || chat === null) return;
    const { SOAK_SECONDS = '21600', PAUSE_SECONDS = '5' } = process.env;
    const seconds = run.options.quick ? 60 : Number(SOAK_SECONDS);
    const what = `${seconds} s of use, with pauses of ${PAUSE_SECONDS} s`;
    const peer = await run.peer(OURS, '', async () => {
      const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
      return [await memoryOfOurs(), version] as const;
    });
    if (peer === null || !run.wants(what)) return;
    await peer.ask({
      load: { embedder: resolve(minilm), reranker: resolve(minilm), chat: resolve(chat) },
      threads: run.threads,
    });
    const passages = passagesOfDocs();
    const random = new Random(1);
    const pick = (count: number) =>
      Array.from({ length: count }, () => passages[random.below(passages.length)] as string);
    const resident: number[] = [];
    const times: number[] = [];
    const end = performance.now() + 1e3 * seconds;
    while (performance.now() < end) {
      const texts = pick(NOTES);
      await peer.ask({ index: texts, repeats: 1 });
      const question = (pick(1)[0] as string)
        .split(' ')
        .slice(0, 4 + random.below(12))
        .join(' ');
      const asked = { question, texts, passages: PASSAGES, tokens: TOKENS, repeats: 1 };
      times.push((await peer.ask<{ seconds: number }>(asked)).seconds);
      const state = await peer.ask<{ resident: number }>({ state: true });
      resident.push(state.resident);
      if (times.length % EVERY === 1) run.say(`${times.length} uses, ${(state.resident / 1e6).toFixed(0)} MB`);
      await setTimeout(1e3 * Number(PAUSE_SECONDS));
    }
    const tenth = Math.max(1, Math.floor(resident.length / 10));
    const first = summarize(resident.slice(tenth, 2 * tenth)).median; // every part was used before
    const last = summarize(resident.slice(-tenth)).median;
    run.row(
      what,
      { times: { [OURS]: summarize(times) }, ratios: {}, shares: {} },
      { uses: times.length, 'memory in the second tenth, MB': first / 1e6, 'in the last, of it': last / first },
    );
  },
} satisfies Bench;
