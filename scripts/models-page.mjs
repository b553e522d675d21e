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
  [...readFileSync(join(root, 'docs/families.md'), 'utf8').matchAll(/^\| ([\w-]+) \|[^|]*\| `([^`]+)`/gm)].map(
    ([, type, path]) => [type, path],
  ),
);

/** Families without a case of their own, and the one whose code they have. */
const SAME_CODE = { owlvit: 'owlv2', mt5: 't5' };

const device = await createDevice({ threads: 1 });
/** Sizes by settings and head. */
const known = new Map();
const problems = [];
const rows = [];
for (const group of groups)
  for (const [files, entries] of Object.entries(group.ids))
    for (const entry of entries) rows.push(await rowOf(group, files, entry));
device.dispose();
if (problems.length > 0) throw new Error(`scripts/checkpoints.mjs:\n${problems.join('\n')}`);
const ids = rows.map(({ id }) => id);
const twice = ids.find((id, i) => ids.indexOf(id) !== i);
if (twice !== undefined) throw new Error(`scripts/checkpoints.mjs: ${twice} is there twice`);

async function rowOf(group, files, entry) {
  const [id, own = {}, published = group.millions] = [entry].flat(1);
  const count = group.labels ?? 0;
  const labels = count > 0 && { id2label: Object.fromEntries(Array.from({ length: count }, (_, i) => [i, `${i}`])) };
  const config = { ...group.config, ...labels, ...group.variant, ...own };
  const { task } = group;
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
  return `\`${path}\``;
}

const text = `# Checkpoints

<!-- made by npx tsx scripts/models-page.mjs -->

This page lists ${rows.length} widely used checkpoints with their sizes, by task. Other checkpoints of the same [families](families.md) load as well.
This command checks any checkpoint, by its id, its URL or its folder:

\`\`\`sh
npx simdformer info BAAI/bge-m3
\`\`\`

The command reads the config, the tokenizer and the headers of the weights, a few hundred kilobytes. It prints if every name and shape fits,
the memory, and the pipelines. If something cannot be read, it names the reason.

- **Parameters and memory** are computed by our own models from the settings of each checkpoint, and compared with the published number of
  parameters. Memory is that of the weights for \`weights: 'float32'\`, \`'int8'\` and \`'int4'\`. Activations and the cache of keys and values
  come on top.
- **Files** are the formats of weights that the repository had when the list was written. \`bin\` is \`pytorch_model.bin\`. Some repositories ask you
  to accept a licence first; \`HF_TOKEN\` then gives access.
- **Case** is the folder of \`test/data\` with transformers' results, with which the tests compare the family.

In a clone, \`npm run check:hub\` compares all ids with the hub, and \`npm run check:hub -- ID ID\` others. The list is in \`scripts/checkpoints.mjs\`.
The script that makes this page refuses a difference of more than ${100 * TOLERANCE} % from the published number of parameters.
${[...new Set(rows.map(({ task }) => task))].map(sectionOf).join('')}`;

function sectionOf(task) {
  const lines = rows
    .filter((row) => row.task === task)
    .map(({ id, millions, files, type, memory }) => {
      const { float32, int8, int4 } = memory;
      const cells = [`\`${id}\``, size(millions), files, bytes(float32), bytes(int8), bytes(int4), caseOf(type)];
      return `| ${cells.join(' | ')} |\n`;
    });
  return `
## ${task}

| id | parameters | files | float32 | int8 | int4 | case |
| --- | ---: | --- | ---: | ---: | ---: | --- |
${lines.join('')}`;
}

if (process.argv.includes('--check')) {
  if (readFileSync(page, 'utf8') !== text)
    throw new Error('docs/models.md is out of date: npx tsx scripts/models-page.mjs');
} else {
  writeFileSync(`${page}.new`, text);
  renameSync(`${page}.new`, page);
  console.log(`${rows.length} checkpoints`);
}
