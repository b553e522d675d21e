// Many conversations that begin at the same time, in fresh processes with the built package: pauses of the event loop, time, and
// memory afterwards.
//
//     BURST_MODEL=…/SmolLM2-135M-Instruct.Q4_1.gguf npm run bench -- burst

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Bench } from './harness/bench.js';
import { BenchError } from './harness/error.js';
import { OURS } from './harness/ours.js';
import { median, summarize } from './harness/statistics.js';

const CHATS = 50;
const TOKENS = 32;

interface Burst {
  readonly pauses: Readonly<Record<'idle' | 'loading' | 'first' | 'second', number>>;
  readonly bytes: Readonly<Record<'before' | 'after' | 'afterSecond', number>>;
  readonly seconds: number;
  readonly texts: readonly string[];
}

const probePath = fileURLToPath(new URL('harness/burst-probe.mjs', import.meta.url));

function probe(model: string, threads: number, order: 'together' | 'apart'): Burst {
  const args = ['--expose-gc', probePath, model, `${threads}`, `${CHATS}`, `${TOKENS}`, order];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) throw new BenchError(`burst-probe: ${stderr.trim().split('\n').at(-1)}`);
  return JSON.parse(stdout) as Burst;
}

export default {
  question: `Do ${CHATS} conversations at once leave the event loop free, and are they faster than one by one?`,
  run(run) {
    const { BURST_MODEL: model } = process.env;
    if (!model || !existsSync(new URL('../dist/node/index.js', import.meta.url))) {
      run.note('Bursts are NOT measured: BURST_MODEL names no model, or the package is not built (npm run build)');
      return Promise.resolve();
    }
    const rounds = Array.from({ length: run.rounds(3) }, () => {
      const [together, apart] = [probe(model, run.threads, 'together'), probe(model, run.threads, 'apart')];
      if (together.texts.some((text, i) => text !== apart.texts[i]))
        throw new BenchError('answers at the same time differ from answers one by one');
      return { together, apart };
    });
    const pause = (name: keyof Burst['pauses']) => median(rounds.map(({ together }) => together.pauses[name]));
    const grown = (to: keyof Burst['bytes'], from: keyof Burst['bytes']) =>
      median(rounds.map(({ together: { bytes } }) => bytes[to] / bytes[from]));
    const times = {
      [OURS]: summarize(rounds.map(({ together }) => together.seconds)),
      'one by one': summarize(rounds.map(({ apart }) => apart.seconds)),
    };
    const ratio = median(rounds.map(({ together, apart }) => apart.seconds / together.seconds));
    run.row(
      `${CHATS} answers of ${TOKENS} tokens`,
      { times, ratios: { 'one by one': ratio }, shares: {} },
      {
        'longest pause of an idle process, ms': pause('idle'),
        'longest pause while loading, ms': pause('loading'),
        'longest pause of the first answers, ms': pause('first'),
        'longest pause of later answers, ms': pause('second'),
        'memory after dispose(), of that before loading': grown('after', 'before'),
        'memory after a second use, of that after the first': grown('afterSecond', 'after'),
      },
    );
    return Promise.resolve();
  },
} satisfies Bench;
