// Our server beside llama.cpp's: clients that send prompts and read answers as they stream, all at the same time. Both
// servers run all the time and take turns; an idle server sleeps.
//
// LLAMA_SERVER=…/llama-server SERVE_MODEL=…/SmolLM2-135M-Instruct.Q4_1.gguf npm run bench -- serve

import { spawn } from 'node:child_process';
import type { Bench } from './harness/bench.js';
import { type Contestant, contest } from './harness/contest.js';
import { BenchError } from './harness/error.js';
import { OURS } from './harness/ours.js';
import { allServed, ourServer, post, type Server } from './harness/server.js';

const CLIENTS = 16;
const PROMPT = 128;
const ANSWER = 64;
/** Requests of a client, one after the other. */
const EACH = 2;

export default {
  question: `How many tokens a second do ${CLIENTS} clients get from a server, and when the first one?`,
  async run(run) {
    const { SERVE_MODEL: model, LLAMA_SERVER: llama } = process.env;
    if (!model) {
      run.note('The server is NOT measured: SERVE_MODEL names no model');
      return;
    }
    const what = `${CLIENTS} clients, ${PROMPT} in, ${ANSWER} out`;
    if (!run.wants(what)) return;
    const threads = String(run.threads);
    const context = PROMPT + ANSWER + 64;
    const ours = ['--parallel', `${CLIENTS}`, '--context', `${context}`];
    const servers: { name: string; start: Server }[] = [
      { name: OURS, start: await ourServer(run.threads, [`bench=${model}`, ...ours]) },
    ];
    if (llama)
      servers.push({
        name: 'llama-server',
        start: (port) => {
          const sizes = ['-np', `${CLIENTS}`, '-c', `${CLIENTS * context}`, '-t', threads];
          return spawn(llama, ['-m', model, '--port', `${port}`, ...sizes], { stdio: 'ignore' });
        },
      });
    else run.note('llama-server is NOT measured: LLAMA_SERVER names no program');
    const heard = new Map<string, Heard>();
    const contestantOf = ({ name, url }: { name: string; url: string }): Contestant => ({
      name,
      take: async () => {
        const turn = { firsts: [], tokens: 0, seconds: 0 };
        const begin = performance.now();
        await clients(url, turn);
        turn.seconds = (performance.now() - begin) / 1e3;
        const before = heard.get(name);
        // The first turn is the warm-up.
        heard.set(name, before ? together(before, turn) : { firsts: [], tokens: 0, seconds: 0 });
        return { seconds: turn.seconds / turn.tokens };
      },
    });
    const rounds = { rounds: run.rounds(5), turn: 0, warming: 0, seconds: 300 };
    const outcome = await allServed(servers, (urls) => contest(urls.map(contestantOf), rounds));
    const figures = [...heard].flatMap(([name, { firsts, tokens, seconds }]) => [
      [`${name}, tokens of answers/s`, tokens / seconds],
      [`${name}, first token, ms, p95`, percentile95(firsts)],
    ]);
    run.row(`a token of ${what}`, outcome, Object.fromEntries(figures));
  },
} satisfies Bench;

/** Measurements of the clients: milliseconds to each first token, tokens, and the total time. */
interface Heard {
  readonly firsts: number[];
  tokens: number;
  seconds: number;
}

const together = (a: Heard, b: Heard): Heard => ({
  firsts: [...a.firsts, ...b.firsts],
  tokens: a.tokens + b.tokens,
  seconds: a.seconds + b.seconds,
});

const percentile95 = (times: number[]) => times.sort((a, b) => a - b)[Math.floor(0.95 * times.length)] as number;

let asked = 0;

/** All clients at once, each with its own prompts. */
async function clients(url: string, heard: Heard): Promise<void> {
  const client = async () => {
    for (let i = 0; i < EACH; i++) {
      asked++; // prompts have different beginnings, so nothing is cached
      const prompt = Array.from({ length: PROMPT }, (_, at) => 100 + ((asked * 7919 + at * 31) % 1900));
      const sampling = { temperature: 0, max_tokens: ANSWER, stream: true, stream_options: { include_usage: true } };
      const begin = performance.now();
      const body = JSON.stringify({ model: 'bench', prompt, ...sampling });
      const text = await post(`${url}/v1/completions`, body, () => heard.firsts.push(performance.now() - begin));
      const usage = /"completion_tokens": ?(\d+)/.exec(text)?.[1];
      if (usage === undefined) throw new BenchError('the server did not tell how many tokens it wrote');
      heard.tokens += Number(usage);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}
