import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { Command } from 'commander';
import { ArgumentError } from '../../core/errors.js';
import { hasPackedWeights } from '../../models/quantize.js';
import { type LoadedModel, type LoadModelOptions, loadModel } from '../../pretrained/index.js';
import { type ServeOptions, serve } from '../../server/index.js';
import { openDevice } from '../common.js';
import { EXIT } from '../exit.js';
import { integer } from '../parsers.js';

import { cacheOption, weightsOption } from '../weights-option.js';

interface Options extends Pick<ServeOptions, 'parallel' | 'context' | 'maxWaiting' | 'cors' | 'sharePrefixes'> {
  port: number;
  host: string;
  apiKey?: string[];
  drain: number;
  weights?: LoadModelOptions['weights'];
  cache?: LoadModelOptions['cache'];
}

export function serveCommand(): Command {
  return new Command('serve')
    .description("Serve models over HTTP by OpenAI's API: chats, completions, embeddings, transcriptions.")
    .argument('<model...>', 'folders or hub ids of models; NAME=FOLDER gives a model another name')
    .option('--port <n>', 'port to listen at, 0 for any free port', integer(0, 65535), 8080)
    .option('--host <address>', 'address to listen at; 0.0.0.0 lets other machines connect', '127.0.0.1')
    .option('--api-key <key...>', 'API keys; a request must have one of them (default: SIMDFORMER_API_KEY, or none)')
    .option('--share-prefixes', 'let requests with different keys share cached prompts, which makes prompts guessable')
    .option('--cors <origin...>', 'origins of web pages that may use the API, * for all (default: none)')
    .option('--parallel <n>', 'sequences that a model generates in parallel (default: 8)', integer(1))
    .option('--context <n>', "tokens of a prompt and its answer (default: the model's limit, at most 2048)", integer(2))
    .option('--max-waiting <n>', 'requests that may wait; further requests get 429 (default: 64)', integer(0))
    .option('--drain <seconds>', 'at SIGTERM, seconds to finish current requests', integer(0, 86_400), 30)
    .addOption(weightsOption())
    .addOption(cacheOption("'float16' if weights are packed, otherwise 'float32'"))
    .action(serveModels);
}

async function serveModels(names: string[], options: Options, command: Command): Promise<void> {
  const { apiKey, drain, weights, cache, ...others } = options;
  const device = await openDevice(command);
  try {
    const models: Record<string, LoadedModel> = {};
    for (const name of names) {
      const { id, from } = named(name);
      if (models[id])
        throw new ArgumentError(`two models have the name '${id}': give one of them another name, as in NAME=${from}`);
      const model = await loadModel(device, from, { weights, cache });
      // Keys and values of many sequences are as large as the weights. Packed weights suggest that both should be
      // small.
      if (cache === undefined && hasPackedWeights(model)) model.cacheType = 'float16';
      models[id] = model;
    }
    const environment = process.env.SIMDFORMER_API_KEY;
    const apiKeys = apiKey ?? (environment ? [environment] : []);
    const server = await serve({ ...others, models, apiKeys, drainSeconds: drain });
    console.error(`simdformer: serving ${Object.keys(models).join(', ')} at ${server.url}/v1`);
    const signal = await nextSignal();
    console.error(`simdformer: ${signal}: finishing current requests; a second signal ends at once`);
    for (const again of ['SIGTERM', 'SIGINT'] as const) process.once(again, () => process.exit(EXIT[again]));
    await server.close();
    for (const model of Object.values(models)) model.dispose();
  } finally {
    device.dispose();
  }
}

/** Parses `NAME=FOLDER`, a folder, whose last part is the name, or a hub id. */
function named(text: string): { id: string; from: string } {
  const [, id, given] = /^([^=/\\]+)=(.+)$/.exec(text) ?? [];
  if (id !== undefined && given !== undefined && !existsSync(text)) return { id, from: given };
  return { id: existsSync(text) ? basename(resolve(text)) : text, from: text };
}

function nextSignal(): Promise<string> {
  return new Promise((done) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, done);
  });
}
