// Finds the captions of photographs whose meaning is closest to a query:
//
//   npx tsx examples/semantic-search.ts 'a kid goes down a slide' [--captions 10000] [--model folder or hub id]
//
// The captions are those of Multi30k. The first run downloads them: see scripts/corpora.mjs.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { corpus } from '../scripts/corpora.mjs';
import { type Pipeline, pipeline } from '../src/tasks/index.js';

export interface Match {
  readonly text: string;
  /** The cosine of the vectors of text and query. */
  readonly score: number;
}

/** The first `count` captions of Multi30k. */
async function readCaptions(count: number): Promise<string[]> {
  const text = gunzipSync(readFileSync(join(await corpus('multi30k'), 'train.en.gz'))).toString();
  return text.split('\n').slice(0, count);
}

/** A search over texts: its results are the `count` texts whose vectors are closest to the query's, best first. */
export async function searchable(extract: Pipeline<'feature-extraction'>, texts: readonly string[]) {
  const options = { pooling: 'model', normalize: true } as const;
  const onProgress = ({ done, total }: { done: number; total: number }) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${total} captions`);
  };
  const vectors = await extract(texts, { ...options, onProgress });
  if (process.stderr.isTTY) process.stderr.write('\n');
  return async (query: string, count = 5): Promise<Match[]> => {
    const asked = (await extract(query, options)).data;
    const matches = Array.from(vectors, ({ data }, i) => ({
      text: texts[i] as string,
      score: data.reduce((sum, value, j) => sum + value * (asked[j] as number), 0),
    }));
    return matches.sort((a, b) => b.score - a.score).slice(0, count);
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      captions: { type: 'string', default: '10000' },
      model: { type: 'string', default: 'sentence-transformers/all-MiniLM-L6-v2' },
    },
  });
  const extract = await pipeline('feature-extraction', values.model);
  const search = await searchable(extract, await readCaptions(Number(values.captions)));
  for (const query of positionals.length > 0 ? positionals : ['a kid goes down a slide']) {
    console.log(query);
    for (const { text, score } of await search(query)) console.log(`  ${score.toFixed(3)}  ${text}`);
  }
  await extract.dispose();
}
