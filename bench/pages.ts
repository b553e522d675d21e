// Packed weights in Chromium, beside wllama (llama.cpp in WebAssembly) and onnxruntime-web.
//
//     GGUF_MODEL=…/SmolLM2-135M-Instruct.Q4_1.gguf MINILM=…/all-MiniLM-L6-v2 MINILM_ONNX_INT8=…/model_quantized.onnx
//     npm run bench -- pages

import { statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Bench, Run } from './harness/bench.js';
import { type Contestant, contest, type Turn } from './harness/contest.js';
import { OURS } from './harness/ours.js';
import { peerPackage } from './harness/packages.js';
import { openPage, watchPage, whyNoChromium } from './wasm/chromium.js';

const [WRITTEN, READ, TOKENS] = [32, 120, 128];
const CONTEST = { turn: 0.3, seconds: 12, warming: 0.1 };

/** Sources from which a page may load a file. */
const SOURCES = ['a Blob', 'its URL', 'a Response', 'a Response with no-store'] as const;

type Page = Awaited<ReturnType<typeof openPage>>['page'];
type Takes = typeof globalThis & { module: { take(name: string, repeats: number): Promise<Turn> } };

export default {
  question: 'How fast are packed weights in a page, beside wllama and onnxruntime-web?',
  async run(run) {
    const missing = whyNoChromium();
    if (missing !== null) return run.note(`Chromium is NOT measured: ${missing}`);
    for (const source of SOURCES) await loading(run, source);
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
  const { page, browser, server } = await openPage('models', folders);
  try {
    const url = JSON.stringify(`/gguf/${basename(file)}`);
    const sizes = `${run.threads}, ${WRITTEN}, ${READ}`;
    await page.evaluate(`globalThis.module.prepare(${run.threads})`);
    await page.evaluate(`globalThis.module.load('its URL', ${url})`);
    run.version(OURS, `wasm ${await page.evaluate(`globalThis.module.openOurs(${WRITTEN}, ${READ})`)}`);
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

/** Time that a page takes to load a GGUF file, and growth of its process meanwhile. */
async function loading(run: Run, source: (typeof SOURCES)[number]): Promise<void> {
  const { GGUF_MODEL: file } = process.env;
  const what = `loading from ${source}`;
  if (!run.wants(what) || !file) return;
  const headers = source.endsWith('no-store') ? { 'Cache-Control': 'no-store' } : undefined;
  const url = `'/gguf/${basename(file)}'`;
  const script = {
    prepare: `await module.prepare(${run.threads}, '${source}', ${url})`,
    act: `await module.load('${source}', ${url})`,
  };
  const { seconds, grown } = await watchPage('models', script, { '/gguf/': `${dirname(file)}/` }, headers);
  const { size } = statSync(file);
  run.summary[`${what}, s`] = seconds;
  run.summary[`${what}, the page grows by, of the file`] = grown.all / size;
  run.summary[`${what}, without Chromium's own files`] = grown.own / size;
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
