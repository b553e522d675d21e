import { once } from 'node:events';
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import type { Device } from '../../core/device.js';
import { ArgumentError } from '../../core/errors.js';
import { tokenizerOf } from '../../frameworks/answer.js';
import { loadOptional } from '../../io/optional-package.js';
import { type LoadedModel, loadModel } from '../../pretrained/index.js';
import { type ChatModel, pipeline } from '../../tasks/index.js';
import { openDevice } from '../common.js';
import { example } from '../help.js';

interface Options {
  folder: string;
  model?: string;
  reranker?: string;
  chat?: string;
}

export function mcpCommand(): Command {
  return new Command('mcp')
    .description(
      'search the files of a folder for clients of the Model Context Protocol, over standard input and output',
    )
    .requiredOption('--folder <path>', 'folder whose text files are searched')
    .option('--model <model>', 'embedding model (default: that of the pipeline feature-extraction)')
    .option('--reranker <model>', 'model that orders the passages that were found (default: none)')
    .option('--chat <model>', 'language model that answers questions from the files (default: none)')
    .addHelpText('after', example('mcp --folder notes'))
    .action(serveFolder);
}

async function serveFolder({ folder, model, reranker, chat }: Options, command: Command): Promise<void> {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new ArgumentError(`mcp: --folder is '${folder}', expected a folder`);
  const { folderServer, leftOut } = await loadOptional('simdformer mcp', () => import('../../mcp/index.js'));
  const { StdioServerTransport } = await import('@modelcontextprotocol/sdk/server/stdio.js');
  using device = await openDevice(command);
  // Clients wait only a few seconds for the first answer, so models load and files are indexed in the background. The
  // first call of a tool waits for both.
  const leaving = new AbortController();
  const options = { device, signal: leaving.signal };
  const models = {
    embedder: pipeline('feature-extraction', model ?? null, options),
    ranker: reranker === undefined ? undefined : pipeline('text-ranking', reranker, options),
    chat: chat === undefined ? undefined : chatModel(chat, options),
  };
  const { server, index } = folderServer({ folder: resolve(folder), version: device.info.version, ...models });
  // The client closes standard input when it leaves.
  const left = once(process.stdin, 'end').then(() => {
    leaving.abort();
    index.close();
  });
  const ready = Promise.all(Object.values(models))
    .then(() => index.update())
    .then(() => {
      console.error(`simdformer: serving ${index.passages} passages of ${folder}`);
      for (const text of leftOut(index.skipped)) console.error(`simdformer: ${text}`);
    })
    .catch((error: Error) => {
      if (!leaving.signal.aborted) throw error;
    });
  await Promise.all([server.connect(new StdioServerTransport()), left, ready]);
  await server.close();
}

/** Loads a model for conversations. Rejects with ArgumentError for other models. */
async function chatModel(name: string, { device, signal }: { device: Device; signal: AbortSignal }) {
  const model = await loadModel(device, name, { signal });
  tokenizerOf(model);
  return model as LoadedModel & ChatModel;
}
