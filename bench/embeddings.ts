// Vectors of sentences by HTTP: MiniLM with int8 weights behind our server, beside sentence-transformers behind FastAPI.
//
//     MINILM=…/all-MiniLM-L6-v2 PYTHON=…/python npm run bench -- embeddings

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Bench } from './harness/bench.js';
import { type Contestant, contest } from './harness/contest.js';
import { BenchError } from './harness/error.js';
import { OURS } from './harness/ours.js';
import { allServed, ourServer, post, type Server } from './harness/server.js';

const CLIENTS = 16;
const PEER = 'FastAPI';
/** `texts`: number of texts of a request. `requests`: number of consecutive requests of a client. */
const shapes = [
  { texts: 1, requests: 16 },
  { texts: 32, requests: 2 },
] as const;

const words = 'a man in the red shirt is riding his old bicycle along an empty beach while two dogs run behind'.split(
  ' ',
);
const script = fileURLToPath(new URL('peers/embeddings_fastapi.py', import.meta.url));

export default {
  question: `How many sentences a second do ${CLIENTS} clients get vectors of?`,
  async run(run) {
    const { MINILM: model, PYTHON: python } = process.env;
    if (!model) {
      run.note('Vectors are NOT measured: MINILM names no folder of all-MiniLM-L6-v2');
      return;
    }
    const ours = [`bench=${model}`, '--weights', 'int8', '--max-waiting', '1024'];
    const servers: { name: string; start: Server }[] = [{ name: OURS, start: await ourServer(run.threads, ours) }];
    if (python) {
      const start = (port: number) => spawn(python, [script, model, `${port}`, `${run.threads}`], { stdio: 'ignore' });
      servers.push({ name: PEER, start });
    } else run.note(`${PEER} is NOT measured: PYTHON names none with fastapi, uvicorn and sentence-transformers`);
    await allServed(servers, async (urls) => {
      await agree(urls.map(({ url }) => url));
      for (const shape of shapes) {
        const { texts, requests } = shape;
        const what = `${CLIENTS} clients, ${texts} a request`;
        if (!run.wants(what)) continue;
        const contestants = urls.map(({ name, url }): Contestant => {
          const take = async (repeats: number) => {
            const begin = performance.now();
            for (let i = 0; i < repeats; i++) await clients(url, shape);
            return { seconds: (performance.now() - begin) / 1e3 / repeats };
          };
          return { name, take };
        });
        const outcome = await contest(contestants, { rounds: run.rounds(7), seconds: 20, turn: 0.5, warming: 1.5 });
        const median = outcome.times[OURS]?.median as number;
        run.row(what, outcome, { 'sentences/s': (CLIENTS * texts * requests) / median });
      }
    });
  },
} satisfies Bench;

let asked = 0;

/** Random sentences of 8 to 20 words, different at each call. */
function sentences(count: number): string[] {
  return Array.from({ length: count }, () => {
    asked++;
    return Array.from(
      { length: 8 + (asked % 13) },
      (_, at) => words[(asked * 7 + at * (1 + (asked % 5))) % words.length],
    ).join(' ');
  });
}

const bodyOf = (input: readonly string[]) => JSON.stringify({ model: 'bench', input });

async function clients(url: string, { texts, requests }: { texts: number; requests: number }): Promise<void> {
  const client = async () => {
    for (let i = 0; i < requests; i++) await post(`${url}/v1/embeddings`, bodyOf(sentences(texts)));
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}

/**
 * Throws BenchError if the servers' vectors of a sentence differ. Int8 weights change the cosine by less than 0.5 %.
 */
async function agree(urls: readonly string[]): Promise<void> {
  const body = bodyOf(['two dogs run along the beach']);
  const vectors = await Promise.all(
    urls.map(async (url) => {
      const { data } = JSON.parse(await post(`${url}/v1/embeddings`, body)) as { data: { embedding: number[] }[] };
      return data[0]?.embedding ?? [];
    }),
  );
  const [first = []] = vectors;
  for (const other of vectors) {
    const cosine = other.reduce((sum, value, i) => sum + value * (first[i] as number), 0);
    if (cosine < 0.995) throw new BenchError(`vectors of the servers have a cosine of ${cosine}`);
  }
}
