// docs/models.md: widely used checkpoints, with sizes that our own models compute from their settings.
//
//   npx tsx scripts/models-page.mjs            # writes the page
//   npx tsx scripts/models-page.mjs --check    # fails if the page is out of date

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createDevice } from '../src/core/create-device.ts';
import { ModelConfig } from '../src/models/model-config.ts';
import { familyOfConfig } from '../src/models/registry.ts';
import { Initializer } from '../src/nn/init.ts';
import { architectureOf, modelOf } from '../src/pretrained/architectures.ts';
import { memoryOf, sizeOf } from '../src/pretrained/check-model.ts';
import { completeConfig } from '../src/pretrained/config.ts';
import { taskOf } from '../src/tasks/registry.ts';
import { groups } from './checkpoints.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const page = join(root, 'docs/models.md');
/** The greatest difference between the published number of parameters and ours. */
const TOLERANCE = 0.015;

const FILES = { s: 'safetensors', b: 'bin', o: 'ONNX', g: 'GGUF' };

/** Checkpoints by the `model_type` of the reference case that stands for their family, from docs/families.md. */
const cases = new Map(
  [...readFileSync(join(root, 'docs/families.md'), 'utf8').matchAll(/^\| ([\w-]+) \|.*\| `([^`]+)` \|/gm)]
    .map(([, type, path]) => [type, path])
    .reverse(),
);

/** Families without a case of their own, and the one whose code they have. */
const SAME_CODE = { owlvit: 'owlv2', mt5: 't5' };

const device = await createDevice({ threads: 1 });
/** Sizes by settings and head. */
const known = new Map();
const problems = [];
const rows = [];
for (const group of groups) for (const entry of group.ids) rows.push(await rowOf(group, entry));
device.dispose();
if (problems.length > 0) throw new Error(`scripts/checkpoints.mjs:\n${problems.join('\n')}`);
const ids = rows.map(({ id }) => id);
const twice = ids.find((id, i) => ids.indexOf(id) !== i);
if (twice !== undefined) throw new Error(`scripts/checkpoints.mjs: ${twice} is there twice`);

async function rowOf(group, entry) {
  const [id, own = {}, published = group.millions] = [entry].flat(1);
  const count = group.labels ?? 0;
  const labels = count > 0 && { id2label: Object.fromEntries(Array.from({ length: count }, (_, i) => [i, `${i}`])) };
  const config = { ...group.config, ...labels, ...group.variant, ...own };
  const { task, files } = group;
  const head = group.head ?? (await taskOf(task)).head ?? 'sequence-classification';
  const formats = [...files].map((letter) => FILES[letter]).join(', ');
  try {
    const sizes = await sizesOf(config, head);
    if (!(Math.abs(sizes.millions / published - 1) <= TOLERANCE))
      problems.push(`${id} has ${sizes.millions.toFixed(1)} M parameters, published are ${published} M`);
    return { id, task: group.shown ?? task, type: config.model_type, files: formats, ...sizes };
  } catch (error) {
    problems.push(`${id}: ${error.message}`);
    return { id };
  }
}

/** Parameters and memory of a model with these settings. */
async function sizesOf(config, head) {
  const key = JSON.stringify([config, head]);
  const before = known.get(key);
  if (before !== undefined) return before;
  const family = await familyOfConfig(config);
  const Model = modelOf(family, architectureOf(family, config, head), config);
  // T5's files decide if the output projection is the embedding; here the settings say so.
  const { tie_word_embeddings: isTied } = config;
  const completed = await completeConfig(config);
  const values = new ModelConfig(isTied === undefined ? completed : { ...completed, tie_word_embeddings: isTied });
  const model = new Model({ init: new Initializer(device, 0, true), config: values, head });
  const sizes = { millions: sizeOf(model) / 1e6, memory: memoryOf(model) };
  model.dispose();
  known.set(key, sizes);
  return sizes;
}

/** A number with three digits. */
const short = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
const size = (millions) => (millions >= 1000 ? `${short(millions / 1000)} B` : `${short(millions)} M`);
const bytes = (count) => (count >= 1e9 ? `${short(count / 1e9)} GB` : `${short(count / 1e6)} MB`);

function caseOf(type) {
  const path = cases.get(type) ?? cases.get(SAME_CODE[type]);
  if (path === undefined) throw new Error(`docs/families.md has no case of ${type}`);
  return `\`${path.replace('test/data/', '')}\``;
}

const text = `# Checkpoints

<!-- made by npx tsx scripts/models-page.mjs -->

This page lists widely used checkpoints with their sizes. To check any checkpoint, give its id, its URL or a folder:

\`\`\`sh
npx simdformer info BAAI/bge-m3
\`\`\`

It reads the config, the tokenizer and the headers of weights, a few hundred kilobytes. It tells if every name and shape fits, the memory,
and the pipelines. If something cannot be read, it names the reason. In a clone, \`npm run check:hub\` does this for all ids below, and
\`npm run check:hub -- ID ID\` for others.

The ${rows.length} checkpoints below are widely used and belong to our [families](families.md). They are examples: other checkpoints of the same families load
as well.

- **Parameters and memory** are computed by our own models from the settings of each checkpoint, without its weights. The list is in
  \`scripts/checkpoints.mjs\`. The script compares each number with the published one and refuses a difference of more than
  ${100 * TOLERANCE} %. Memory is that of the weights for \`weights: 'float32'\`, \`'int8'\` and \`'int4'\`. Norms and tables of positions
  stay float32. Activations and the cache of keys and values come on top.
- **Files** are formats of weights that we read and that the repository had, to our knowledge, when the list was written. The script does
  not ask the hub. Owners may change their repositories; \`info\` reads what is there today. \`bin\` is \`pytorch_model.bin\`. Some
  repositories ask you to accept a licence first; \`HF_TOKEN\` then gives access.
- **Case** is the folder below \`test/data\` with transformers' results for the family, by which the tests compare our numbers.
  [Families](families.md) lists all cases.

| id | task | parameters | files | case | float32 | int8 | int4 |
| --- | --- | --- | --- | --- | --- | --- | --- |
${rows
  .map(({ id, task, millions, files, type, memory }) => {
    const { float32, int8, int4 } = memory;
    const cells = [`\`${id}\``, task, size(millions), files, caseOf(type), bytes(float32), bytes(int8), bytes(int4)];
    return `| ${cells.join(' | ')} |`;
  })
  .join('\n')}
`;

if (process.argv.includes('--check')) {
  if (readFileSync(page, 'utf8') !== text)
    throw new Error('docs/models.md is out of date: npx tsx scripts/models-page.mjs');
} else {
  writeFileSync(`${page}.new`, text);
  renameSync(`${page}.new`, page);
  console.log(`${rows.length} checkpoints`);
}
