import { once } from 'node:events';
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { ArgumentError } from '../../core/errors.js';
import { loadOptional } from '../../io/optional-package.js';
import { loadModel } from '../../pretrained/index.js';
import { pipeline } from '../../tasks/index.js';
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
  const { folderServer } = await loadOptional('simdformer mcp', () => import('../../mcp/index.js'));
  const { StdioServerTransport } = await import('@modelcontextprotocol/sdk/server/stdio.js');
  using device = await openDevice(command);
  await using embedder = await pipeline('feature-extraction', model ?? null, { device });
  const ranker = reranker === undefined ? undefined : await pipeline('text-ranking', reranker, { device });
  const { server, index } = folderServer({
    folder: resolve(folder),
    version: device.info.version,
    embedder,
    ranker,
    chat: chat === undefined ? undefined : await loadModel(device, chat),
  });
  const left = once(process.stdin, 'end');
  await server.connect(new StdioServerTransport());
  // Clients wait only a few seconds for the first answer, so indexing runs in the background. The first search waits
  // for it.
  const indexed = index.update().then(
    () => console.error(`simdformer: serving ${index.passages} passages of ${folder}`),
    (error: Error) => console.error(`simdformer: ${error.message}`),
  );
  await left; // the client closes standard input when it leaves
  index.close();
  await indexed;
  await server.close();
}
