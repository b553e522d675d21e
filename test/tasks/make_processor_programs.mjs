// Records results of transformers.js 4.3.2 for the programs of processor-programs.ts:
//
//   npx tsx test/tasks/make_processor_programs.mjs PACKAGES
//
// PACKAGES is a folder with @huggingface/transformers in node_modules.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { processorPrograms } from './processor-programs.ts';
import { writeModels } from './program-models.ts';
import { plain } from './programs.ts';

const here = dirname(fileURLToPath(import.meta.url));
const path = createRequire(join(process.argv[2], 'x.js')).resolve('@huggingface/transformers');
const { AutoProcessor, env, load_image, Tensor } = await import(pathToFileURL(path).href);
const root = mkdtempSync(join(tmpdir(), 'programs-'));
writeModels(root);
env.allowRemoteModels = false;
env.localModelPath = root;
const api = { AutoProcessor, load_image, tensor: (data, dims) => new Tensor('float32', data, dims) };
const results = {};
for (const [name, program] of Object.entries(processorPrograms))
  results[name] = plain(await program(api, join(here, 'programs/square.png')));
/** Six digits, and of long tensors every 37th number, are enough to compare. */
const short = (key, value) => {
  if (key === 'data' && value.length > 400) return value.filter((_, i) => i % 37 === 0);
  return typeof value === 'number' ? Number(value.toPrecision(6)) : value;
};
writeFileSync(join(here, 'programs/processors.json'), `${JSON.stringify(results, short)}\n`);
