// A server with small real models, for the tests of this folder.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDevice, loadModel } from '../../src/index.js';
import type { LoadedModel } from '../../src/pretrained/index.js';
import { type RunningServer, type ServeOptions, serve } from '../../src/server/index.js';
import { testData } from '../test-data.js';

const checkpoints = testData('checkpoints').path;

/** A template like ChatML's, without tokens of its own: the stories' model was made for none. */
export const TEMPLATE =
  '{{ bos_token }}{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}' +
  '{% if tools %}tools: {{ tools | tojson }} <tool_call>\n{% endif %}{% if add_generation_prompt %}assistant: {% endif %}';

export interface Served extends RunningServer {
  readonly models: { readonly stories: LoadedModel; readonly vectors: LoadedModel };
  /** A POST of JSON to a path. */
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>;
  /** A folder with the model of stories. */
  readonly folder: string;
  end(): Promise<void>;
}

/** `stories` writes, `vectors` makes embeddings. */
export async function startServer(options: Partial<ServeOptions> = {}): Promise<Served> {
  const folder = mkdtempSync(join(tmpdir(), 'simdformer-serve-'));
  cpSync(join(checkpoints, 'tinystories-656k'), folder, { recursive: true, filter: (path) => !path.endsWith('.gguf') });
  const config = join(folder, 'tokenizer_config.json');
  writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')), chat_template: TEMPLATE }));
  const device = await createDevice({ threads: 2 });
  const stories = await loadModel(device, folder);
  const vectors = await loadModel(device, join(checkpoints, 'rxnmapper-albert'), { head: 'none', onWarning: () => {} });
  const models = { stories, vectors };
  const server = await serve({ models, port: 0, log: 'none', ...options });
  return {
    ...server,
    models,
    folder,
    post: (path, body, init = {}) =>
      fetch(`${server.url}${path}`, {
        method: 'POST',
        body: JSON.stringify(body),
        ...init,
        headers: { 'content-type': 'application/json', ...init.headers },
      }),
    end: async () => {
      await server.close();
      device.dispose();
      rmSync(folder, { recursive: true });
    },
  };
}
