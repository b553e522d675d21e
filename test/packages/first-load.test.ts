// A page downloads a family of models, a reader of a file format, or the training loop when it first uses them. Bundlers make
// files of them, but no entry of the package imports one of them statically.
import { readdirSync } from 'node:fs';
import { build } from 'esbuild';
import { expect, it } from 'vitest';

const folders = readdirSync('src', { withFileTypes: true }).filter((each) => each.isDirectory());
const entries = [
  'browser',
  'nn',
  'ops',
  'models',
  'generate',
  'train',
  'finetune',
  'tasks',
  'pretrained',
  'tokenizers',
  'constrain',
  'inspect',
  'io',
  'metrics',
  'prompt-api',
  'ai-sdk',
  'langchain',
].map((name) => (folders.some((folder) => folder.name === name) ? `src/${name}/index.ts` : `src/${name}.ts`));

/** `Transformer` is a class of the root. */
const LATER =
  /^src\/(models\/families\/(?!transformer\.ts)|pretrained\/(gguf|onnx|quantized)\/|train\/training-run|tokenizers\/huggingface-tokenizer)/;

const { outputs } = (
  await build({
    entryPoints: entries,
    outbase: 'src',
    outdir: 'out',
    external: ['node:*'],
    packages: 'external',
    bundle: true,
    splitting: true,
    format: 'esm',
    write: false,
    metafile: true,
  })
).metafile;

/** The modules in the file of an entry, and in all files that it imports statically. */
function modulesOf(entry: string): string[] {
  const loaded = new Set(Object.keys(outputs).filter((path) => outputs[path]?.entryPoint === entry));
  for (const path of loaded)
    for (const { path: other, kind } of outputs[path]?.imports ?? [])
      if (kind === 'import-statement' && other in outputs) loaded.add(other);
  return [...loaded].flatMap((path) => Object.keys(outputs[path]?.inputs ?? {}));
}

it.each(entries)('%s imports nothing that is rarely used', (entry) => {
  const modules = modulesOf(entry);
  expect(modules).toContain(entry);
  expect(modules.filter((path) => LATER.test(path))).toEqual([]);
});

it('the pattern matches families, which are files of their own', () => {
  const all = Object.values(outputs).flatMap(({ inputs }) => Object.keys(inputs));
  expect(all.filter((path) => LATER.test(path)).length).toBeGreaterThan(100);
});
