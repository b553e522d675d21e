import { once } from 'node:events';
import { createServer } from 'node:net';
import { Command } from 'commander';
import { BATCHING_DEFAULTS } from '../../generate/continuous-batching/options.js';
import { CACHE_TYPES } from '../../ops/kv-cache.js';
import type { LoadModelOptions } from '../../pretrained/index.js';
import { type ServeOptions, serve } from '../../server/index.js';
import { KEEP_ALIVE_SECONDS } from '../../server/openai.js';
import { SERVE_DEFAULTS } from '../../server/serve.js';
import { openDevice } from '../common.js';
import { EXIT } from '../exit.js';
import { example } from '../help.js';
import { bytes, integer, keepAlive } from '../parsers.js';
import { PACKED_CACHE, servedModels } from '../served-models.js';
import { cacheOption, weightsOption } from '../weights-option.js';

interface Options extends Pick<ServeOptions, 'parallel' | 'context' | 'maxWaiting' | 'cors' | 'sharePrefixes'> {
  imageHost?: string[];
  modelsDir?: string;
  keepAlive?: number;
  maxMemory?: number;
  pin?: string[];
  port: number;
  host: string;
  apiKey?: string[];
  drain: number;
  weights?: LoadModelOptions['weights'];
  cacheType?: LoadModelOptions['cacheType'];
}

export function serveCommand(): Command {
  return new Command('serve')
    .description('serve models over HTTP by the APIs of OpenAI, Anthropic, Ollama and Cohere')
    .argument('[model...]', 'folders, GGUF files or hub ids of models; NAME=FOLDER serves a model under another name')
    .option(
      '--models-dir <folder>',
      'folder whose models are all served; its adapters belong to their base (default: none)',
    )
    .option(
      '--keep-alive <duration>',
      `load models at their first request, and unload them after this time without a request, such as 90s, 5m or -1 for never (default: ${KEEP_ALIVE_SECONDS / 60}m with --models-dir or --max-memory, otherwise all models stay)`,
      keepAlive,
    )
    .option(
      '--max-memory <size>',
      'maximum memory of all loaded models, such as 4GiB; the least recently used model is unloaded first (default: no limit)',
      bytes,
    )
    .option(
      '--pin <model...>',
      'models that are loaded at the start and never unloaded (default: all, unless one of the three options above is given)',
    )
    .option('--port <n>', 'port to listen at, 0 for any free port', integer(0, 65535), SERVE_DEFAULTS.port)
    .option(
      '--host <address>',
      'address to listen at; 0.0.0.0 lets other machines connect, which then need API keys',
      SERVE_DEFAULTS.host,
    )
    .option(
      '--api-key <key...>',
      'API keys, one of which a request must have (default: the environment variable SIMDFORMER_API_KEY, otherwise none)',
    )
    .option('--share-prefixes', 'let requests with different keys share cached prompts, which makes prompts guessable')
    .option('--image-host <host...>', 'hosts that images of messages are fetched from (default: none, only data URLs)')
    .option('--cors <origin...>', 'origins of web pages that may use the API, * for all (default: none)')
    .option(
      '--parallel <n>',
      'maximum number of sequences that a model generates at the same time',
      integer(1),
      BATCHING_DEFAULTS.parallel,
    )
    .option(
      '--context <n>',
      `maximum number of tokens of a prompt and its answer (default: the model's limit, at most ${BATCHING_DEFAULTS.context})`,
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
    .addHelpText('after', example('serve HuggingFaceTB/SmolLM2-135M-Instruct --port 8080'))
    .action(serveModels);
}

async function serveModels(names: string[], options: Options, command: Command): Promise<void> {
  const { apiKey, drain, weights, cacheType, imageHost: imageHosts, modelsDir, pin, ...others } = options;
  const { keepAlive: keepAliveSeconds, maxMemory: maxMemoryBytes, ...settings } = others;
  if (names.length === 0 && modelsDir === undefined)
    command.error("error: missing argument 'model': give models, or their folder by --models-dir");
  await checkAddress(options);
  const isManaged = modelsDir !== undefined || keepAliveSeconds !== undefined || maxMemoryBytes !== undefined;
  const device = await openDevice(command);
  try {
    const pinned = pin ?? (isManaged ? [] : true);
    const models = await servedModels(device, names, modelsDir, { weights, cacheType, pinned });
    const environment = process.env.SIMDFORMER_API_KEY;
    const apiKeys = apiKey ?? (environment ? [environment] : []);
    const server = await serve({
      ...settings,
      imageHosts,
      models,
      apiKeys,
      keepAliveSeconds,
      maxMemoryBytes,
      drainSeconds: drain,
    });
    console.error(`simdformer: serving ${Object.keys(models).join(', ')} at ${server.url}/v1`);
    const signal = await nextSignal();
    console.error(`simdformer: ${signal}: finishing current requests; a second signal ends at once`);
    for (const again of ['SIGTERM', 'SIGINT'] as const) process.once(again, () => process.exit(EXIT[again]));
    await server.close();
  } finally {
    device.dispose();
  }
}

/** Throws the system's error if a server cannot listen at the address. Loading a model takes longer than this. */
async function checkAddress({ port, host }: Options): Promise<void> {
  const server = createServer().listen(port, host);
  await once(server, 'listening');
  server.close();
  await once(server, 'close');
}

function nextSignal(): Promise<string> {
  return new Promise((done) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, done);
  });
}
