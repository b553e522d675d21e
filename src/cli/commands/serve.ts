import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { Command } from 'commander';
import { ArgumentError } from '../../core/errors.js';
import { BATCHING_DEFAULTS } from '../../generate/continuous-batching/options.js';
import { hasPackedWeights } from '../../models/quantize.js';
import { CACHE_TYPES } from '../../ops/kv-cache.js';
import { type LoadedModel, type LoadModelOptions, loadModel } from '../../pretrained/index.js';
import { type ServeOptions, serve } from '../../server/index.js';
import { SERVE_DEFAULTS } from '../../server/serve.js';
import { openDevice } from '../common.js';
import { EXIT } from '../exit.js';
import { integer } from '../parsers.js';

import { cacheOption, weightsOption } from '../weights-option.js';

interface Options extends Pick<ServeOptions, 'parallel' | 'context' | 'maxWaiting' | 'cors' | 'sharePrefixes'> {
  imageHost?: string[];
  port: number;
  host: string;
  apiKey?: string[];
  drain: number;
  weights?: LoadModelOptions['weights'];
  cache?: LoadModelOptions['cache'];
}

/** The format of cached keys and values beside packed weights. */
const PACKED_CACHE = 'float16';

export function serveCommand(): Command {
  return new Command('serve')
    .description("Serve models over HTTP by OpenAI's API: chats, completions, embeddings, transcriptions.")
    .argument('<model...>', 'folders or hub ids of models; NAME=FOLDER gives a model another name')
    .option('--port <n>', 'port to listen at, 0 for any free port', integer(0, 65535), SERVE_DEFAULTS.port)
    .option(
      '--host <address>',
      'address to listen at; 0.0.0.0 lets other machines connect, which then need API keys',
      SERVE_DEFAULTS.host,
    )
    .option('--api-key <key...>', 'API keys; a request must have one of them (default: SIMDFORMER_API_KEY, or none)')
    .option('--share-prefixes', 'let requests with different keys share cached prompts, which makes prompts guessable')
    .option('--image-host <host...>', 'hosts that images of messages are fetched from (default: none, only data URLs)')
    .option('--cors <origin...>', 'origins of web pages that may use the API, * for all (default: none)')
    .option('--parallel <n>', 'sequences that a model generates in parallel', integer(1), BATCHING_DEFAULTS.parallel)
    .option(
      '--context <n>',
      `tokens of a prompt and its answer (default: the model's limit, at most ${BATCHING_DEFAULTS.context})`,
      integer(2),
    )
    .option(
      '--max-waiting <n>',
      'requests that may wait for a model; further requests get 429 with Retry-After',
      integer(0),
      BATCHING_DEFAULTS.maxWaiting,
    )
    .option(
      '--drain <seconds>',
      'at SIGTERM, seconds to finish current requests',
      integer(0, 86_400),
      SERVE_DEFAULTS.drainSeconds,
    )
    .addOption(weightsOption())
    .addOption(cacheOption(`${PACKED_CACHE} if weights are packed, otherwise ${CACHE_TYPES[0]}`))
    .action(serveModels);
}

async function serveModels(names: string[], options: Options, command: Command): Promise<void> {
  const { apiKey, drain, weights, cache, imageHost: imageHosts, ...others } = options;
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
      if (cache === undefined && hasPackedWeights(model)) model.cacheType = PACKED_CACHE;
      models[id] = model;
    }
    const environment = process.env.SIMDFORMER_API_KEY;
    const apiKeys = apiKey ?? (environment ? [environment] : []);
    const server = await serve({ ...others, imageHosts, models, apiKeys, drainSeconds: drain });
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
