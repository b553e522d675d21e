// Fuzzes requests to the server: every endpoint with changed bodies, headers and paths. No answer may be a fault of the
// server, and errors are JSON. To run it for 30 seconds:
//
//   npm run fuzz -- http 30
import assert from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { createDevice, loadModel } from '../../src/index.js';
import { openai } from '../../src/server/index.js';
import { checked, withoutTraces } from './checked.js';
import { jsonVariants } from './json-variants.js';
import { randomOf } from './variants.js';

interface Sent {
  readonly path: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

const folder = 'test/data/checkpoints/tinystories-656k';
const names = readdirSync(folder).filter((name) => !name.endsWith('.gguf'));
const files = Object.fromEntries(names.map((name) => [name, new Uint8Array(readFileSync(`${folder}/${name}`))]));
const settings = JSON.parse(new TextDecoder().decode(files['tokenizer_config.json']));
const chat_template = '{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}';
files['tokenizer_config.json'] = new TextEncoder().encode(JSON.stringify({ ...settings, chat_template }));

const device = await createDevice({ threads: 1 });
const models = {
  stories: await loadModel(device, files),
  vectors: await loadModel(device, 'test/data/checkpoints/rxnmapper-albert', { head: 'none', onWarning: () => {} }),
};
const app = await openai({ models, context: 48, parallel: 2 });

const model = 'stories';
const messages = [{ role: 'user', content: 'Once' }];
const parameters = { type: 'object', properties: { city: { type: 'string', maxLength: 3 } }, required: ['city'] };
const tools = [{ type: 'function', function: { name: 'f', parameters } }];
const schema = { type: 'json_schema', json_schema: { name: 'a', schema: parameters } };
const sampling = { temperature: 0.5, top_p: 0.9, seed: 1, stop: ['a'], logit_bias: { 5: 1 } };
const bodies: readonly (readonly [path: string, body: object])[] = [
  ['/v1/completions', { model, prompt: 'Once', max_tokens: 2, ...sampling, logprobs: 1, n: 1, echo: false }],
  ['/v1/chat/completions', { model, messages, max_tokens: 2, tools, tool_choice: 'auto', stream: true }],
  [
    '/v1/chat/completions',
    { model, messages, max_tokens: 8, response_format: schema, top_logprobs: 1, logprobs: true },
  ],
  ['/v1/responses', { model, input: 'Once', max_output_tokens: 2, instructions: 'Be kind.', tools: [] }],
  ['/v1/messages', { model, messages, max_tokens: 2, system: 'Be kind.', stop_sequences: ['a'] }],
  ['/v1/embeddings', { model: 'vectors', input: ['C'], encoding_format: 'float', dimensions: 3 }],
  ['/v1/rerank', { model: 'vectors', query: 'C', documents: ['CC', 'O'], top_n: 1 }],
  ['/api/chat', { model, messages, stream: false, options: { num_predict: 2, seed: 1 }, format: parameters }],
  ['/api/generate', { model, prompt: 'Once', stream: true, options: { num_predict: 2 } }],
  ['/api/embed', { model: 'vectors', input: ['C'] }],
  ['/api/show', { model }],
];
const headers = { 'content-type': 'application/json', authorization: 'Bearer x', 'x-request-id': 'a' };
const seeds: Sent[] = [
  ...bodies.map(([path, body]) => ({ path, method: 'POST', headers, body })),
  ...['/v1/models', '/v1/models/stories', '/health', '/metrics', '/openapi.json', '/api/tags', '/api/version'].map(
    (path) => ({ path, method: 'GET', headers, body: null }),
  ),
];

export function fuzz(bytes: Buffer): Promise<void> {
  return withoutTraces(async () => {
    const below = randomOf(bytes);
    const requests = jsonVariants(bytes, seeds, 16);
    for (const sent of requests) {
      const text = JSON.stringify(Object(sent).body) ?? '';
      const body = below(10) === 0 ? text.slice(0, below(text.length + 1)) : text;
      await checked({ ...Object(sent), body }, () => send(Object(sent), body));
    }
    await checked(bytes.toString(), () => send(seeds[0] as Sent, bytes.toString()));
  });
}

async function send({ path, method, headers: given }: Sent, body: string): Promise<void> {
  let request: Request;
  try {
    const isGet = method === 'GET' || method === 'HEAD';
    request = new Request(`http://localhost${path}`, { method, headers: Object(given), body: isGet ? null : body });
  } catch {
    return; // no client can send this
  }
  const response = await app.fetch(request);
  const answer = await response.text();
  assert.ok(response.status < 500, `${response.status}: ${answer}`);
  assert.ok(!answer.includes('"server_error"'), answer);
  if (response.status >= 400) assert.ok(JSON.parse(answer).error); // text in Ollama's API, an object in the others
}
