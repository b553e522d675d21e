// Packed weights in Chromium, beside wllama (llama.cpp in WebAssembly) and onnxruntime-web.
//
//     GGUF_MODEL=…/SmolLM2-135M-Instruct.Q4_1.gguf MINILM=…/all-MiniLM-L6-v2 MINILM_ONNX_INT8=…/model_quantized.onnx
//     npm run bench -- pages

import { readFileSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Browser } from 'playwright-core';
import type { Bench, Run } from './harness/bench.js';
import { type Contestant, contest, type Turn } from './harness/contest.js';
import { OURS } from './harness/ours.js';
import { peerPackage } from './harness/packages.js';
import { openPage, whyNoChromium } from './wasm/chromium.js';

const [WRITTEN, READ, TOKENS] = [32, 120, 128];
const CONTEST = { turn: 0.3, seconds: 12, warming: 0.1 };

type Page = Awaited<ReturnType<typeof openPage>>['page'];
type Takes = typeof globalThis & { module: { take(name: string, repeats: number): Promise<Turn> } };

export default {
  question: 'How fast are packed weights in a page, beside wllama and onnxruntime-web?',
  async run(run) {
    const missing = whyNoChromium();
    if (missing !== null) return run.note(`Chromium is NOT measured: ${missing}`);
    await writing(run);
    for (const batch of [1, 8]) await encoding(run, batch);
  },
} satisfies Bench;

const contestant = (page: Page, name: string, shown: string): Contestant => ({
  name: shown,
  take: (repeats) =>
    page.evaluate(([name, repeats]) => (globalThis as Takes).module.take(name, repeats), [name, repeats] as const),
});

async function writing(run: Run): Promise<void> {
  const { GGUF_MODEL: file } = process.env;
  const rows = { decode: `SmolLM2, decode ${WRITTEN}`, prefill: `SmolLM2, prefill ${READ}` };
  const wanted = Object.entries(rows).filter(([, what]) => run.wants(what));
  if (wanted.length === 0) return;
  if (!file) return run.note('GGUF files are NOT measured in a page: GGUF_MODEL names none');
  const { folder, version } = peerPackage('@wllama/wllama');
  run.version('wllama', version);
  const folders = { '/wllama/': `${folder}/`, '/gguf/': `${dirname(file)}/` };
  // What may be stored Chromium reads ahead of the page, up to a hundred megabytes where a server is as near as this.
  const { page, browser, server } = await openPage('models', folders, { 'Cache-Control': 'no-store' });
  try {
    const url = JSON.stringify(`/gguf/${basename(file)}`);
    const sizes = `${run.threads}, ${WRITTEN}, ${READ}`;
    await page.evaluate(`globalThis.module.prepare(${run.threads})`);
    const [before, start] = [await memoryOf(browser), performance.now()];
    run.version(OURS, `wasm ${await page.evaluate(`globalThis.module.openOurs(${url}, ${sizes})`)}`);
    run.summary['SmolLM2, loaded from its URL, s'] = (performance.now() - start) / 1e3;
    const after = await memoryOf(browser);
    const grown = (kind: keyof Memory) =>
      Math.max(...Array.from(after, ([id, now]) => now[kind] - (before.get(id)?.[kind] ?? Number.POSITIVE_INFINITY)));
    run.summary['and by how much the page grew at most, of the file'] = grown('most') / statSync(file).size;
    run.summary['of that what is no file of Chromium, at the end'] = grown('own') / statSync(file).size;
    await page.evaluate(
      `globalThis.module.openWllama('/wllama/esm/index.js', '/wllama/esm/wasm/wllama.wasm', ${url}, ${sizes})`,
    );
    for (const [name, what] of wanted) {
      const contestants = [contestant(page, `ours ${name}`, OURS), contestant(page, `wllama ${name}`, 'wllama')];
      const outcome = await contest(contestants, { rounds: run.rounds(5), ...CONTEST });
      const count = name === 'decode' ? WRITTEN : READ;
      const perSecond = Object.entries(outcome.times).map(([of, { median }]) => [`${of}, tok/s`, count / median]);
      run.row(what, outcome, Object.fromEntries(perSecond));
    }
  } finally {
    await browser.close();
    server.close();
  }
}

/** Bytes of a process: the most there ever were, and those now that are pages of no file, such as its program. */
interface Memory {
  readonly most: number;
  readonly own: number;
}

/** Of each page's process, as Linux tells them; some are spare. */
async function memoryOf(browser: Browser): Promise<Map<number, Memory>> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  const pages = processInfo.filter(({ type }) => type === 'renderer');
  const sizes = pages.map(({ id }): [number, Memory] => {
    const status = readFileSync(`/proc/${id}/status`, 'utf8');
    const of = (name: string) => 1024 * Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]);
    return [id, { most: of('VmHWM'), own: of('RssAnon') + of('RssShmem') }];
  });
  await session.detach();
  return new Map(sizes);
}

async function encoding(run: Run, batch: number): Promise<void> {
  const { MINILM: model, MINILM_ONNX_INT8: onnx } = process.env;
  const what = `MiniLM int8, ${batch} × ${TOKENS}, 1 thread`;
  if (!run.wants(what)) return;
  if (!model || !onnx) return run.note(`${what} is NOT measured: MINILM and MINILM_ONNX_INT8 name no model`);
  const { folder, version } = peerPackage('onnxruntime-web');
  run.version('onnxruntime-web', version);
  const folders = { '/ort/': `${folder}/`, '/minilm/': `${model}/`, '/onnx/': `${dirname(onnx)}/` };
  const { page, browser, server } = await openPage('models', folders);
  try {
    const names = { ours: OURS, float32: 'float32 weights', 'onnxruntime-web': 'onnxruntime-web int8' };
    await page.evaluate(`globalThis.module.openEncoders('/minilm/', ${batch}, ${TOKENS})`);
    const url = JSON.stringify(`/onnx/${basename(onnx)}`);
    await page.evaluate(`globalThis.module.openOnnx('/ort/dist/ort.wasm.bundle.min.mjs', ${url}, ${batch}, ${TOKENS})`);
    const contestants = Object.entries(names).map(([name, shown]) => contestant(page, `${name} encode`, shown));
    run.row(what, await contest(contestants, { rounds: run.rounds(5), ...CONTEST, seconds: 6 }));
  } finally {
    await browser.close();
    server.close();
  }
}
