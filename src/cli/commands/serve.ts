import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { ArgumentError } from '../../core/errors.js';
import { hasPackedWeights } from '../../models/quantize.js';
import { type LoadedModel, type LoadModelOptions, loadModel } from '../../pretrained/index.js';
import { serve } from '../../server/index.js';
import { openDevice } from '../common.js';
import { EXIT } from '../exit.js';
import { integer } from '../parsers.js';
import { cacheOption } from '../weights-option.js';

interface Options {
  port: number;
  host: string;
  apiKey?: string[];
  parallel?: number;
  context?: number;
  maxWaiting?: number;
  weights?: LoadModelOptions['weights'];
  cache?: LoadModelOptions['cache'];
}

export function serveCommand(): Command {
  return new Command('serve')
    .description("Serve models over HTTP, by OpenAI's API: chats, completions, embeddings, transcriptions.")
    .argument('<model...>', 'folders or hub ids of models; NAME=FOLDER gives one another name')
    .option('--port <n>', 'port to listen on, 0 for any that is free', integer(0, 65535), 8080)
    .option('--host <address>', 'address to listen at; others than this machine reach 0.0.0.0', '127.0.0.1')
    .option('--api-key <key...>', 'keys of which a request must have one (default: SIMDFORMER_API_KEY, or none)')
    .option('--parallel <n>', 'sequences that a model generates side by side (default: 8)', integer(1))
    .option('--context <n>', "tokens of a prompt and its answer (default: the model's limit, 2048 at most)", integer(2))
    .option('--max-waiting <n>', 'requests that wait at most, others are refused with 429 (default: 64)', integer(0))
    .addOption(
      new Option(
        '--weights <type>',
        "what matrices are packed as; auto keeps what the files have (default: 'float32')",
      ).choices([...(['float32', 'float16', 'bfloat16', 'int8', 'int4', 'auto'] as const)]),
    )
    .addOption(cacheOption("'float16' where weights are packed, otherwise 'float32'"))
    .action(serveModels);
}

async function serveModels(names: string[], options: Options, command: Command): Promise<void> {
  const { port, host, apiKey, parallel, context, maxWaiting, weights, cache } = options;
  const device = await openDevice(command);
  try {
    const models: Record<string, LoadedModel> = {};
    for (const name of names) {
      const { id, from } = named(name);
      if (models[id])
        throw new ArgumentError(`two models are called '${id}': give one another name, as in NAME=${from}`);
      const model = await loadModel(device, from, { weights, cache });
      // Keys and values of many sequences are as much to read as the weights: who packs those wants these small, too.
      if (cache === undefined && hasPackedWeights(model)) model.cacheType = 'float16';
      models[id] = model;
    }
    const environment = process.env.SIMDFORMER_API_KEY;
    const apiKeys = apiKey ?? (environment ? [environment] : []);
    const server = await serve({ models, apiKeys, port, host, parallel, context, maxWaiting });
    console.error(`simdformer: serving ${Object.keys(models).join(', ')} at ${server.url}/v1`);
    const signal = await nextSignal();
    console.error(`simdformer: ${signal}: finishing what runs, once more to leave at once`);
    for (const again of ['SIGTERM', 'SIGINT'] as const) process.once(again, () => process.exit(EXIT[again]));
    await server.close();
    for (const model of Object.values(models)) model.dispose();
  } finally {
    device.dispose();
  }
}

/** `NAME=FOLDER`, or a folder, which is called as its last part, or a hub id. */
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
