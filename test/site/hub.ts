// Answers requests for the checkpoints that the site's snippets name, with the small ones of test/data.
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { BrowserContext } from 'playwright-core';
import { Hub } from '../pretrained/hub-server.js';
import { programModel } from '../tasks/program-models.js';
import { smallModel } from '../tasks/small-model.js';

type Files = Record<string, Buffer>;

function folder(path: string): Files {
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map(({ parentPath, name }) => {
      const file = join(parentPath, name);
      return [file.slice(path.length + 1), readFileSync(file)];
    }),
  );
}

const sentences = (name: string) => () => folder(`test/data/formats/sentence/${name}`);

function tinyChat(): Files {
  const files = folder('test/data/checkpoints/tinystories-656k');
  const settings = JSON.parse(`${files['tokenizer_config.json']}`);
  settings.chat_template ??= '{% for message in messages %}{{ message.content }} {% endfor %}';
  // Answers end long before the context is full, as the answers of a real chat model do.
  const generation = { ...JSON.parse(`${files['generation_config.json'] ?? '{}'}`), max_new_tokens: 24 };
  return {
    ...files,
    'tokenizer_config.json': Buffer.from(JSON.stringify(settings)),
    'generation_config.json': Buffer.from(JSON.stringify(generation)),
  };
}

const buffersOf = (files: Record<string, Uint8Array>): Files =>
  Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, Buffer.from(bytes)]));

const small =
  (name: string, changes: object = {}) =>
  () =>
    buffersOf(smallModel(name, changes));

/** Small models by the ids of the snippets. */
const stored: Record<string, () => Files> = {
  'Xenova/all-MiniLM-L6-v2': sentences('mean-normalize-prompts'),
  'Xenova/distilbert-base-uncased-finetuned-sst-2-english': small('distilbert-sequence'),
  'google-bert/bert-base-uncased': small('bert-mlm'),
  'dslim/bert-base-NER': small('bert-token'),
  'distilbert/distilbert-base-cased-distilled-squad': small('bert-qa'),
  'google-t5/t5-small': small('t5'),
  'HuggingFaceTB/SmolLM2-135M': tinyChat,
  'HuggingFaceTB/SmolLM2-135M-Instruct': tinyChat,
  'Qwen/Qwen3.5-0.8B': () => folder('test/data/predictor'),
  'google/vit-base-patch16-224': () => programModel('vit-image'),
  'facebook/detr-resnet-50': () => programModel('detr'),
  'depth-anything/Depth-Anything-V2-Small-hf': () => programModel('depth_anything'),
  'openai/clip-vit-base-patch16': () => programModel('clip'),
  'facebook/sam-vit-base': () => programModel('sam'),
  'microsoft/trocr-small-printed': () => programModel('vision-gpt2'),
  'apple/deeplabv3-mobilevit-small': () => programModel('segformer-background'),
  'Xenova/nli-deberta-v3-xsmall': () => programModel('bert-nli'),
  'florence-community/Florence-2-base': () => programModel('florence2'),
  'google/paligemma-3b-mix-224': () => programModel('paligemma'),
  'laion/clap-htsat-unfused': () => programModel('clap'),
  'openai/whisper-tiny.en': () => folder('test/tasks/whisper'),
  'UsefulSensors/moonshine-tiny': () => programModel('moonshine'),
  'facebook/wav2vec2-base-960h': () => programModel('wav2vec2'),
  'superb/hubert-base-superb-ks': () => programModel('hubert-classes'),
  'PekingU/rtdetr_r18vd': () => folder('test/data/families/rt_detr'),
  'sentence-transformers/all-MiniLM-L6-v2': sentences('mean-normalize-prompts'),
  'intfloat/e5-small-v2': sentences('mean-normalize-prompts'),
  'naver/splade-cocondenser-ensembledistil': sentences('splade'),
  'cross-encoder/ms-marco-MiniLM-L6-v2': sentences('cross-encoder-sigmoid'),
};

/** Matches the id of a model in the path of a request to the hub. */
const idIn = (path: string) => /^\/(?:api\/models\/)?([^/]+\/[^/]+)\//.exec(path)?.[1] ?? '';

/** A server that answers as the hub for the small models. */
export async function smallHub(): Promise<{ endpoint: string; stop(): Promise<void> }> {
  const hubs = new Map<string, Promise<Hub>>();
  const server = createServer(async ({ url = '', headers }, response) => {
    const id = idIn(url);
    const files = stored[id];
    if (files === undefined) return void response.writeHead(404).end(`${id} is not in test/site/hub.ts`);
    if (!hubs.has(id)) hubs.set(id, new Hub(files()).start());
    const { endpoint } = await (hubs.get(id) as Promise<Hub>);
    const range = headers.range ? { range: headers.range } : {};
    const answer = await fetch(`${endpoint}${url.replace(id, 'org/model')}`, { headers: range });
    const kept = ['etag', 'x-repo-commit', 'x-linked-size', 'x-linked-etag', 'content-range'];
    const own = kept.flatMap((name) => (answer.headers.has(name) ? [[name, answer.headers.get(name) as string]] : []));
    response.writeHead(answer.status, Object.fromEntries(own)).end(Buffer.from(await answer.arrayBuffer()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      server.close();
      for (const hub of hubs.values()) await (await hub).stop();
    },
  };
}

/** Routes the context's requests for the hub to local servers. Returns a function that stops the servers. */
export async function standInForHub(context: BrowserContext): Promise<() => Promise<void>> {
  const hubs = new Map<string, Promise<Hub>>();
  await context.route('https://huggingface.co/**', async (route) => {
    const url = new URL(route.request().url());
    const id = idIn(url.pathname);
    const files = stored[id];
    if (files === undefined) return route.fulfill({ status: 404, body: `${id} is not in test/site/hub.ts` });
    if (!hubs.has(id)) hubs.set(id, new Hub(files()).start());
    const { endpoint } = await (hubs.get(id) as Promise<Hub>);
    const response = await route.fetch({ url: `${endpoint}${url.pathname.replace(id, 'org/model')}${url.search}` });
    const headers = { ...response.headers(), 'access-control-allow-origin': '*' };
    await route.fulfill({ response, headers });
  });
  return async () => {
    for (const hub of hubs.values()) await (await hub).stop();
  };
}
