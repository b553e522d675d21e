// Modules of sentence-transformers in folders that make_modules.py describes: with other modules than those of test/data.
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { type SafetensorsArray, serializeSafetensors } from '../../src/io/safetensors.js';
import { deviceFor, isas } from '../describe-op.js';
import { difference, folderOf, TOLERANCE } from './folders.js';

interface Case {
  /** A folder of test/data, whose first module is a Transformer; or the first module. */
  readonly base?: string;
  readonly input?: ModuleCase;
  readonly texts?: readonly string[];
  readonly kind?: 'pairs' | 'tokens';
  readonly prompt?: string;
  /** Settings that are added to files of JSON; null removes one. */
  readonly settings?: Readonly<Record<string, object>>;
  readonly modules?: readonly ModuleCase[];
  readonly expected: unknown;
}
interface ModuleCase {
  readonly type: string;
  readonly config: object;
  /** The file of the config. Default: config.json. */
  readonly file?: string;
  readonly files?: Readonly<Record<string, object>>;
  /** The shapes of parameters by their names. */
  readonly tensors?: Readonly<Record<string, readonly number[]>>;
}

const cases: Readonly<Record<string, Case>> = JSON.parse(readFileSync('test/retrieval/modules.json', 'utf8'));
const TEXTS = ['the river runs under the old bridge', 'good search'];

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

/** The parameters of make_modules.py. */
function sines(shape: readonly number[]): SafetensorsArray {
  const size = shape.reduce((product, n) => product * n, 1);
  return { dtype: 'F32', shape, data: Float32Array.from({ length: size }, (_, i) => Math.sin(i + 1)) };
}

/** Settings with others added; null removes one. */
const changed = (given: object, added: object) =>
  Object.fromEntries([
    ...Object.entries(given).filter(([key]) => !Object.hasOwn(added, key)),
    ...Object.entries(added).filter(([, value]) => value !== null),
  ]);

function filesOf({ base, input, settings = {}, modules }: Case): Record<string, Uint8Array> {
  const files: Record<string, Uint8Array> = {};
  const names =
    base === undefined
      ? []
      : readdirSync(folderOf(base), { withFileTypes: true })
          .filter((each) => each.isFile() && each.name !== 'expected.json')
          .map(({ name }) => name);
  for (const name of names) files[name] = readFileSync(`${folderOf(base as string)}/${name}`);
  for (const [name, added] of Object.entries(settings))
    files[name] = json(changed(files[name] ? JSON.parse(new TextDecoder().decode(files[name])) : {}, added));
  if (modules === undefined) return files;
  const listed = modules.map(({ type }, i) => ({ type, path: `${i + 1}` }));
  const first = input?.type ?? 'sentence_transformers.models.Transformer';
  files['modules.json'] = json([{ type: first, path: '' }, ...listed]);
  for (const [i, module] of [input, ...modules].entries()) {
    if (module === undefined) continue;
    const { config, file = 'config.json', files: others = {}, tensors } = module;
    const folder = i === 0 ? '' : `${i}/`;
    for (const [name, content] of Object.entries({ [file]: config, ...others })) files[folder + name] = json(content);
    const own = Object.entries(tensors ?? {}).map(([name, shape]) => [name, sines(shape)] as const);
    if (tensors) files[`${folder}model.safetensors`] = serializeSafetensors(Object.fromEntries(own));
  }
  return files;
}

async function load(given: Case) {
  const { loadModel } = await import('../../src/index.js');
  return loadModel(await deviceFor(isas.at(-1) as string, 2), filesOf(given));
}

it.each(Object.keys(cases))('%s', async (name) => {
  const given = cases[name] as Case;
  const { kind, prompt, expected, texts = TEXTS } = given;
  const model = await load(given);
  const options = prompt === undefined ? {} : { prompt };
  const found =
    kind === 'pairs'
      ? await model.predict(TEXTS.map((other) => [TEXTS[0] as string, other] as const))
      : kind === 'tokens'
        ? await model.encodeTokens(TEXTS, { task: 'document' })
        : await model.encode(texts, options);
  expect(difference(found, expected)).toBeLessThan(TOLERANCE);
  model.dispose();
});

it('refuses to save word lists, and tokenizers, strides and words that it does not read', async () => {
  const given = cases['word embeddings with convolutions'] as Case & { input: ModuleCase; modules: ModuleCase[] };
  const model = await load(given);
  await expect(model.save('unused')).rejects.toThrow(/word lists cannot be saved/);
  model.dispose();
  const phrases = { ...given.input.config, tokenizer_class: 'package.PhraseTokenizer' };
  await expect(load({ ...given, input: { ...given.input, config: phrases } })).rejects.toThrow(
    /tokenizer_class is "package.PhraseTokenizer", expected WhitespaceTokenizer .*needs NLTK/,
  );
  const [cnn, ...others] = given.modules as [ModuleCase, ...ModuleCase[]];
  const strides = { ...cnn, config: { ...cnn.config, stride_sizes: [1, 2, 1] } };
  await expect(load({ ...given, modules: [strides, ...others] })).rejects.toThrow(/stride_sizes .*strides of 1/);
  const bag = cases['a bag of words'] as Case & { input: ModuleCase };
  const numbers = { ...bag.input, config: { ...bag.input.config, vocab: [1] } };
  await expect(load({ ...bag, input: numbers })).rejects.toThrow(/vocab is .*expected a list of words/);
});

it('refuses modules whose vectors do not fit', async () => {
  const { modules = [], ...rest } = cases['named vectors'] as Case;
  const changed = (i: number, names: object) =>
    load({
      ...rest,
      modules: modules.map((each, j) => (j === i ? { ...each, config: { ...each.config, ...names } } : each)),
    });
  const mixed = changed(1, { module_input_name: 'token_embeddings', module_output_name: 'sentence_embedding' });
  await expect(mixed).rejects.toThrow(/module_input_name is "token_embeddings".*one kind/);
  const odd = await changed(2, { module_input_name: 'nothing' });
  await expect(odd.encode('a')).rejects.toThrow(/reads "nothing", which no module before it writes/);
  odd.dispose();
  const unknown = load({ ...rest, modules: [{ type: 'package.Other', config: {} }] });
  await expect(unknown).rejects.toThrow(/module "package.Other", expected one of .*WordWeights/);
  await expect(changed(1, { activation_function: 'torch.nn.modules.activation.PReLU' })).rejects.toThrow(
    /1.config.json|2.config.json: the activation is "torch.nn.modules.activation.PReLU", expected one of CELU/,
  );
});
