// Options for bundling programs for Node. node.mjs uses them for the package, test/bundle.mjs for tests.
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Puts modules that pages load later into the same files. Programs that tsx treats as CommonJS would get a second copy
 * of dynamically imported modules, whose `fit` would not know their tensors.
 */
const atOnce = {
  name: 'at-once',
  setup: (build) =>
    build.onLoad(
      {
        filter:
          /src\/(train\/fit|inspect\/trace|core\/create-device|pretrained\/load-later|(models|tasks)\/registry)\.ts$/,
      },
      ({ path }) => {
        const imports = [];
        const text = readFileSync(path, 'utf8').replace(/import\(('\.[^']*')\)/g, (_, module) => {
          imports.push(`import * as later${imports.length} from ${module};\n`);
          return `Promise.resolve(later${imports.length - 1})`;
        });
        return { contents: text + imports.join(''), loader: 'ts' };
      },
    ),
};

export const forNode = {
  absWorkingDir: dirname(dirname(fileURLToPath(import.meta.url))),
  bundle: true,
  splitting: true,
  // One file each, or loaded only when used.
  external: [
    '@ai-sdk/provider',
    '@hono/node-server',
    '@langchain/core',
    '@modelcontextprotocol/sdk',
    '@opentelemetry/api',
    'bullmq',
    'cli-progress',
    'cmu-pronouncing-dictionary',
    'commander',
    'hono',
    'ioredis',
    'pino',
    'prom-client',
  ],
  format: 'esm',
  platform: 'node',
  target: 'node20',
  plugins: [atOnce],
};
