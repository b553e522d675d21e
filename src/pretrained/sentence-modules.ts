// The modules of sentence-transformers behind a Transformer: modules.json and a folder for each module.

import { describeValue, isCount, isObject } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import { readSafetensors } from '../io/safetensors.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import type { StoredElsewhere } from '../models/saved-pretrained.js';
import { SentenceHead, type SentencePooling, type SentenceStep } from '../models/sentence-head.js';
import type { WeightEntry } from '../models/weight-entry.js';
import type { Initializer } from '../nn/init.js';
import { Linear } from '../nn/linear.js';
import type { Activation } from '../ops/activation.js';
import { type ModelSource, parseJson } from './source.js';

/** The places of a head's parameters, by their names in the model that has it. */
export function sentenceFiles(model: PretrainedModel): Map<string, StoredElsewhere> {
  const projections = model.sentenceHead?.steps.filter((step) => step !== 'normalize') ?? [];
  const pieces = model.statePieces();
  return new Map(
    projections.flatMap(({ dense, folder }) =>
      Object.entries({ weight: dense.weight, bias: dense.bias }).flatMap(([key, tensor]) => {
        const piece = pieces.find((each) => each.tensor === tensor);
        return piece ? [[piece.name, { file: `${folder}/model.safetensors`, name: `linear.${key}` }] as const] : [];
      }),
    ),
  );
}

/** In the order in which several are put side by side. */
const POOLINGS: Readonly<Record<string, SentencePooling>> = {
  pooling_mode_cls_token: 'cls',
  pooling_mode_max_tokens: 'max',
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_mean_sqrt_len_tokens: 'mean_sqrt_len_tokens',
  pooling_mode_weightedmean_tokens: 'weightedmean',
  pooling_mode_lasttoken: 'lasttoken',
};

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  Tanh: 'tanh',
  Identity: 'none',
  ReLU: 'relu',
  GELU: 'gelu',
};

/** The modules behind the first one; null if there is no modules.json. Throws FormatError for what is not supported. */
export async function sentenceHead(source: ModelSource, init: Initializer): Promise<SentenceHead | null> {
  if (!(await source.has('modules.json'))) return null;
  const modules = parseJson(`${source.name}: modules.json`, await source.bytes('modules.json'));
  if (!Array.isArray(modules) || !modules.every(isObject))
    throw new FormatError(`modules.json: it holds ${describeValue(modules)}, expected a list of modules`);
  let poolings: SentencePooling[] | null = null;
  const steps: SentenceStep[] = [];
  for (const { type, path } of modules.slice(1) as Record<string, unknown>[]) {
    const kind = `${type}`.split('.').at(-1);
    if (kind === 'Pooling') poolings = poolingsOf(await source.json(`${path}/config.json`));
    else if (kind === 'Normalize') steps.push('normalize');
    else if (kind === 'Dense') steps.push(await denseOf(source, `${path}`, init));
    else throw new FormatError(`modules.json: module ${describeValue(type)}, expected Pooling, Dense or Normalize`);
  }
  if (poolings === null) throw new FormatError('modules.json: there is no Pooling, expected one');
  return new SentenceHead(poolings, steps, await maxTokensOf(source));
}

const SETTINGS = 'sentence_bert_config.json';

async function maxTokensOf(source: ModelSource): Promise<number | null> {
  const { max_seq_length: most } = (await source.has(SETTINGS)) ? await source.json(SETTINGS) : {};
  if (most === undefined || most === null) return null;
  if (typeof most === 'number' && isCount(most)) return most;
  throw new FormatError(`${SETTINGS}: max_seq_length is ${describeValue(most)}, expected a positive integer`);
}

function poolingsOf(config: Readonly<Record<string, unknown>>): SentencePooling[] {
  const { pooling_mode: mode } = config;
  const named = (Array.isArray(mode) ? mode : typeof mode === 'string' ? [mode] : []) as SentencePooling[];
  const chosen = Object.entries(POOLINGS).flatMap(([key, kind]) =>
    config[key] === true || named.includes(kind) ? [kind] : [],
  );
  if (chosen.length > 0 && named.every((kind) => chosen.includes(kind))) return chosen;
  throw new FormatError(`1_Pooling/config.json: expected one of ${Object.keys(POOLINGS).join(', ')}`);
}

async function denseOf(source: ModelSource, path: string, init: Initializer): Promise<SentenceStep> {
  const config = await source.json(`${path}/config.json`);
  const name = `${config.activation_function ?? 'Tanh'}`.split('.').at(-1) as string;
  const activation = Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined;
  if (activation === undefined)
    throw new FormatError(`${path}/config.json: activation_function is ${name}, expected Tanh, Identity, ReLU or GELU`);
  const given = source.projections?.get(path);
  if (given !== undefined) return { dense: await denseFrom(given, path, init), activation, folder: path };
  const file = await source.open(`${path}/model.safetensors`);
  try {
    const { tensors } = readSafetensors(file);
    const entries = new Map([...tensors].map(([key, entry]) => [key.replace('linear.', ''), entry]));
    return { dense: await denseFrom(entries, path, init), activation, folder: path };
  } finally {
    file.close();
  }
}

async function denseFrom(entries: ReadonlyMap<string, WeightEntry>, path: string, init: Initializer): Promise<Linear> {
  const shape = entries.get('weight')?.shape ?? [];
  const [outputs, inputs] = shape as [number, number];
  if (shape.length !== 2) throw new FormatError(`${path}/model.safetensors: there is no matrix linear.weight`);
  const dense = new Linear(init, inputs, outputs, entries.has('bias'));
  await dense.readState(entries);
  return dense;
}
