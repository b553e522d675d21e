// Our server beside llama.cpp's: clients that send prompts and read answers as they stream, all at the same time. The
// servers take turns; each is started for its turn and warmed before it counts.
//
//     LLAMA_SERVER=…/llama-server SERVE_MODEL=…/SmolLM2-135M-Instruct.Q4_1.gguf npm run bench -- serve

import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Bench } from './harness/bench.js';
import { type Contestant, contest } from './harness/contest.js';
import { BenchError } from './harness/error.js';
import { OURS } from './harness/ours.js';

const CLIENTS = 16;
const PROMPT = 128;
const ANSWER = 64;
/** Requests of a client, one after the other. */
const EACH = 2;

const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));

interface Server {
  readonly name: string;
  start(port: number): ChildProcess;
}

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
    const servers: Server[] = [
      {
        name: OURS,
        start: (port) => {
          const args = ['--port', `${port}`, '--parallel', `${CLIENTS}`, '--context', `${context}`];
          const node = ['--import', 'tsx', main, '--threads', threads, 'serve', `bench=${model}`, ...args];
          return spawn(process.execPath, node, { stdio: 'ignore' });
        },
      },
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
    const firsts = new Map<string, number[]>();
    const contestants = servers.map(
      ({ name, start }): Contestant => ({
        name,
        take: async (repeats) => {
          const times: number[] = [];
          const seconds = await served(start, async (url) => {
            await clients(url, 1, []); // warms
            const begin = performance.now();
            for (let i = 0; i < repeats; i++) await clients(url, EACH, times);
            return (performance.now() - begin) / 1e3 / repeats;
          });
          firsts.set(name, [...(firsts.get(name) ?? []), ...times]);
          return { seconds };
        },
      }),
    );
    const outcome = await contest(contestants, { rounds: run.rounds(5), turn: 0, warming: 0, seconds: 300 });
    const tokens = CLIENTS * EACH * ANSWER;
    run.row(what, outcome, {
      'tokens of answers/s': tokens / (outcome.times[OURS]?.median as number),
      ...Object.fromEntries([...firsts].map(([name, times]) => [`${name}, first token, ms, p95`, percentile95(times)])),
    });
  },
} satisfies Bench;

const percentile95 = (times: number[]) => times.sort((a, b) => a - b)[Math.floor(0.95 * times.length)] as number;

/** What `use` makes of a server that runs for so long. */
async function served<T>(start: Server['start'], use: (url: string) => Promise<T>): Promise<T> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = start(port);
  const left = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new BenchError(`a server ended with ${code}`)));
  });
  left.catch(() => {}); // as it does in the end
  try {
    return await Promise.race([left, ready(url).then(() => use(url))]);
  } finally {
    child.kill();
  }
}

async function ready(url: string): Promise<void> {
  for (let i = 0; i < 600; i++) {
    const response = await fetch(`${url}/health`).catch(() => null);
    if (response?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new BenchError(`no server answers at ${url}`);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

let asked = 0;

/** All clients at once, each with its own prompts; milliseconds to the first token go to `firsts`. */
async function clients(url: string, each: number, firsts: number[]): Promise<void> {
  const client = async () => {
    for (let i = 0; i < each; i++) {
      asked++; // no prompt begins as another one: nothing of it is cached
      const prompt = Array.from({ length: PROMPT }, (_, at) => 100 + ((asked * 7919 + at * 31) % 1900));
      const sampling = { temperature: 0, max_tokens: ANSWER, logit_bias: {}, stream: true };
      const begin = performance.now();
      const response = await fetch(`${url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'bench', prompt, ...sampling }),
      });
      if (!response.ok || !response.body) throw new BenchError(`the server answered ${response.status}`);
      let isFirst = true;
      for await (const _ of response.body as unknown as AsyncIterable<Uint8Array>) {
        if (isFirst) firsts.push(performance.now() - begin);
        isFirst = false;
      }
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}
