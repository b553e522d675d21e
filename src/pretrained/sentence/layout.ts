// The folder of a sentence-transformers model: its modules, and the module that is the model itself.

import { describeValue, isObject } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { HeadKind } from '../../models/pretrained-model.js';
import { INPUT_TYPES, isTable, shortType } from '../../models/retrieval/module-folder.js';
import { checkFileName } from '../file-name.js';
import { type ModelSource, parseJson } from '../source.js';

/** An entry of modules.json. */
export interface ListedModule {
  readonly type: string;
  /** The module's folder, or '' for the model's own folder. */
  readonly path: string;
}

export interface SentenceLayout {
  readonly modules: readonly ListedModule[];
  /** The module that is the model: the first one that reads text. In a router, it is that of the default route. */
  readonly backbone: ListedModule;
}

/** The modules of a folder, or null without modules.json. Throws FormatError for a damaged file. */
export async function sentenceLayout(source: ModelSource): Promise<SentenceLayout | null> {
  if (!(await source.has('modules.json'))) return null;
  const list = await parseJson(`${source.name}: modules.json`, await source.bytes('modules.json'));
  if (!Array.isArray(list) || list.length === 0 || !list.every(isObject))
    throw new FormatError(`${source.name}: modules.json holds ${describeValue(list)}, expected a list of modules`);
  const modules = list.map(({ type, path }) => ({ type: `${type}`, path: cleanPath(path) }));
  const backbone = await backboneOf(source, modules[0] as ListedModule);
  return { modules, backbone };
}

/** Python writes '.' for the folder itself. */
function cleanPath(path: unknown): string {
  if (path === undefined || path === '' || path === '.') return '';
  if (typeof path === 'string') return checkFileName(path);
  throw new FormatError(`modules.json: a path is ${describeValue(path)}, expected a folder's name`);
}

async function backboneOf(source: ModelSource, first: ListedModule): Promise<ListedModule> {
  if (shortType(first.type) !== 'Router' && shortType(first.type) !== 'Asym') return first;
  const { types = {}, structure = {}, parameters = {} } = await routerConfig(source, first.path);
  const routes = structure as Readonly<Record<string, readonly string[]>>;
  const { default_route: route } = parameters as { default_route?: string };
  const ids = [routes[route ?? ''], ...Object.values(routes)].flatMap((steps) => (steps?.[0] ? [steps[0]] : []));
  const modules = ids.map((id) => ({ type: `${(types as Json)[id]}`, path: pathInside(first.path, id) }));
  const found = modules.find(({ type }) => INPUT_TYPES.includes(shortType(type)));
  if (found) return found;
  throw new FormatError(`${source.name}: no route of its router begins with one of ${INPUT_TYPES.join(', ')}`);
}

type Json = Readonly<Record<string, unknown>>;

/** The settings of a router. Older versions name the file config.json. */
export async function routerConfig(source: ModelSource, path: string): Promise<Json> {
  const name = pathInside(path, 'router_config.json');
  return source.json((await source.has(name)) ? name : pathInside(path, 'config.json'));
}

/** The path of a file inside a module's folder. */
export const pathInside = (path: string, name: string) => (path === '' ? name : `${path}/${name}`);

/** A module's folder as a source of its own. */
export function partOf(source: ModelSource, path: string): ModelSource {
  if (path === '') return source;
  return {
    name: `${source.name}/${path}`,
    list: async () =>
      (await source.list())?.flatMap((file) => (file.startsWith(`${path}/`) ? [file.slice(path.length + 1)] : [])) ??
      null,
    has: (file) => source.has(pathInside(path, file)),
    bytes: (file) => source.bytes(pathInside(path, file)),
    json: (file) => source.json(pathInside(path, file)),
    open: (file) => source.open(pathInside(path, file)),
  };
}

/** True for a config.json of Stanford's ColBERT. */
export const isColbert = ({ architectures }: Json) => Array.isArray(architectures) && architectures[0] === 'HF_ColBERT';

/** True for a config.json of model2vec. */
export const isModel2vec = ({ model_type: type }: Json) => type === 'model2vec';

const SETTINGS = /^sentence_\w+_config\.json$/;
/** File names of sentence-transformers before version 2, for folders that cannot be listed. */
const SETTINGS_NAMES = [
  'sentence_bert_config.json',
  'sentence_roberta_config.json',
  'sentence_xlm-roberta_config.json',
];

/** The settings that control how a Transformer module reads texts, or {} if its folder has none. */
export async function readingConfig(source: ModelSource): Promise<Json> {
  const names = (await source.list())?.filter((name) => SETTINGS.test(name)) ?? SETTINGS_NAMES;
  for (const name of names) if (await source.has(name)) return source.json(name);
  return {};
}

const HEADS: Readonly<Record<string, HeadKind>> = {
  'feature-extraction': 'none',
  'fill-mask': 'masked-language-model',
  'sequence-classification': 'sequence-classification',
  'text-generation': 'language-model',
};

/** The head of the model that the modules expect. Throws FormatError for an unknown task. */
export async function headOfLayout(source: ModelSource, { backbone }: SentenceLayout): Promise<HeadKind> {
  if (shortType(backbone.type) === 'MLMTransformer') return 'masked-language-model';
  if (isTable(backbone.type)) return 'none';
  const { transformer_task: task = 'feature-extraction' } = await readingConfig(partOf(source, backbone.path));
  const head = Object.hasOwn(HEADS, `${task}`) ? HEADS[`${task}`] : undefined;
  if (head !== undefined) return head;
  throw new FormatError(
    `${source.name}: transformer_task is ${describeValue(task)}, expected ${Object.keys(HEADS).join(', ')}`,
  );
}
