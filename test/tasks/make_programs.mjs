// Records results of transformers.js 4.3.2 for the programs of programs.ts, from ONNX exports of the same checkpoints:
//
//   npx tsx test/tasks/make_programs.mjs PACKAGES MODELS [PART OF A TASK'S NAME]
//
// PACKAGES is a folder with @huggingface/transformers in node_modules. MODELS has exports by optimum 2.3.0, one folder for
// each checkpoint, such as MODELS/bert-token/model.onnx. That of depth_anything is by torch.onnx.export of torch 2.13.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { modelFolders, writeModels } from './program-models.ts';
import { plain, programs } from './programs.ts';

const [packages, exports, only] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const path = createRequire(join(packages, 'x.js')).resolve('@huggingface/transformers');
const { env, pipeline } = await import(pathToFileURL(path).href);
const root = mkdtempSync(join(tmpdir(), 'programs-'));
writeModels(root);
for (const [name, { from }] of Object.entries(modelFolders)) {
  const folder = [name, from?.split('/').at(-1) ?? name]
    .map((each) => join(exports, each))
    .find((each) => existsSync(each));
  if (folder === undefined) continue;
  mkdirSync(join(root, 'org', name, 'onnx'), { recursive: true });
  for (const file of readdirSync(folder))
    if (/\.onnx$/.test(file)) copyFileSync(join(folder, file), join(root, 'org', name, 'onnx', file));
}
env.allowRemoteModels = false;
env.localModelPath = root;
const pictures = Object.fromEntries(['small', 'square'].map((name) => [name, join(here, 'programs', `${name}.png`)]));
const results = {};
for (const [task, program] of Object.entries(programs)) {
  if (only && !task.includes(only)) continue;
  try {
    results[task] = await program(
      (name, model, options) => pipeline(name, model, { dtype: 'fp32', ...options }),
      pictures,
    );
    console.log(task, JSON.stringify(plain(results[task])).slice(0, 300));
  } catch (error) {
    console.log(task, 'FAILS', error.stack.slice(0, 400));
  }
}
/** Six digits are enough to compare. */
const short = (_, value) => (typeof value === 'number' ? Number(value.toPrecision(6)) : value);
const file = join(here, 'programs', 'results.json');
const kept = only ? JSON.parse(readFileSync(file, 'utf8')) : {};
writeFileSync(file, `${JSON.stringify({ ...kept, ...plain(results) }, short)}\n`);
