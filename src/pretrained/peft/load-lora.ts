// Reads adapters that PEFT or this package wrote.

import { checkOptions, describeValue, isObject } from '../../core/check.js';
import { FormatError, ShapeError } from '../../core/errors.js';
import { sameShape } from '../../core/tensor.js';
import type { PretrainedModel } from '../../models/pretrained-model.js';
import { type StatePiece, shapeOf } from '../../nn/state-names.js';
import { toStored, writeStored } from '../../nn/stored-layout.js';
import { type ModelFileSet, openSource } from '../open-source.js';
import type { ModelSource } from '../source.js';
import { type AdapterTensor, adapterTensors } from './adapter-tensors.js';
import { Lora } from './lora.js';
import { isTexts, type LoraOptions } from './lora-options.js';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, PEFT_PREFIX, piecesOfLora } from './lora-parts.js';
import { moduleNames, ownNames } from './module-names.js';
import { within } from './trained-copies.js';

/**
 * Reads an adapter that PEFT or `Lora.save` wrote, and adds it to a model. The source is a folder, a hub id, or files
 * by name. The adapter is then active. `name`: default 'default'. Throws FormatError for a file that is damaged,
 * belongs to another model, or has a kind that is not supported.
 */
export async function loadLora(
  model: PretrainedModel,
  from: string | URL | ModelFileSet,
  options: Pick<LoraOptions, 'name'> & { signal?: AbortSignal | undefined } = {},
): Promise<Lora> {
  const { name, signal } = checkOptions('loadLora', options, { name: 'string', signal: 'signal' });
  return loraFrom(model, await openSource(from, { signal }), name);
}

/** Same as `loadLora`, for a source that is already open. */
export async function loraFrom(model: PretrainedModel, source: ModelSource, name?: string): Promise<Lora> {
  const options = optionsOf(await source.json(ADAPTER_CONFIG), source.name);
  const tensors = renamed(model, await adapterTensors(source), source.name);
  const ranks = new Map<string, number>();
  for (const [key, { shape }] of tensors) {
    const target = /^base_model\.model\.(.*)\.lora_(A\.weight|embedding_A)$/.exec(key)?.[1];
    if (target !== undefined) ranks.set(target, shape[0] as number);
  }
  if (ranks.size === 0) throw new FormatError(`${source.name}: ${ADAPTER_WEIGHTS} has no matrices of LoRA`);
  // PEFT lists the heads of all tasks, including those that this model does not have.
  const isStored = (module: string) => [...tensors.keys()].some((key) => within(key.slice(PEFT_PREFIX.length), module));
  const modulesToSave = (options.modulesToSave ?? []).filter(isStored);
  const file = { ranks, names: new Set(tensors.keys()) };
  const adapter = new Lora(model, { ...options, modulesToSave, name }, file);
  try {
    readPieces(piecesOfLora(adapter), tensors, source.name);
    checkBase(model, tensors, source.name);
  } catch (error) {
    adapter.dispose();
    throw error;
  }
  return adapter;
}

/** The tensors by the model's own names. Tensors of a head that the model does not have are left out. */
function renamed(
  model: PretrainedModel,
  tensors: ReadonlyMap<string, AdapterTensor>,
  source: string,
): Map<string, AdapterTensor> {
  const foreign = [...tensors.keys()].find((key) => !key.startsWith(PEFT_PREFIX));
  if (foreign !== undefined)
    throw new FormatError(
      `${source}: ${ADAPTER_WEIGHTS} has ${foreign}, expected names that begin with ${PEFT_PREFIX}`,
    );
  const savedNames = [...tensors.keys()].map((key) => key.slice(PEFT_PREFIX.length));
  const names = ownNames(model, savedNames);
  return new Map(
    savedNames.flatMap((name) => {
      const currentName = names.get(name) ?? null;
      return currentName === null
        ? []
        : [[PEFT_PREFIX + currentName, tensors.get(PEFT_PREFIX + name) as AdapterTensor]];
    }),
  );
}

function readPieces(pieces: StatePiece[], tensors: ReadonlyMap<string, AdapterTensor>, source: string): void {
  const unused = new Set([...tensors.keys()].filter((key) => !REPEATED.test(key)));
  const read = new Map<unknown, Float32Array>();
  for (const piece of pieces) {
    const entry = tensors.get(piece.name);
    unused.delete(piece.name);
    const before = piece.start === 0 ? read.get(piece.tensor) : undefined; // a tensor that has several names
    if (entry === undefined) {
      if (before !== undefined) continue;
      throw new FormatError(`${source}: ${ADAPTER_WEIGHTS} has no ${piece.name}`);
    }
    const expected = shapeOf(piece);
    if (!sameShape(entry.shape, expected))
      throw new ShapeError(`${source}: ${piece.name} is [${entry.shape}], expected [${expected}] by the model`);
    const values = Float32Array.from(entry.data() as Float32Array);
    if (before?.some((value, i) => value !== values[i]))
      throw new FormatError(`${source}: ${piece.name} differs from the parameter that the model shares with it`);
    read.set(piece.tensor, values);
    if (before === undefined) writeStored(piece, values);
  }
  if (unused.size > 0) throw new FormatError(`${source}: the model has no ${[...unused].slice(0, 5).join(', ')}`);
}

/** Tensors that PEFT writes in addition to the adapter's: parameters of the base, and second copies. */
const REPEATED = /\.base_layer\.weight$|\.(original_module|modules_to_save)\./;

/** PEFT also saves the base's embeddings if their number of rows was changed. They must be equal to this model's. */
function checkBase(model: PretrainedModel, tensors: ReadonlyMap<string, AdapterTensor>, source: string): void {
  const nameOf = moduleNames(model);
  const pieces = new Map(
    model.locatedParameters().flatMap(({ names, tensor, transposed, leading, path }) => {
      const [name] = names;
      if (names.length !== 1 || name == null || !name.endsWith('.weight')) return [];
      const all = { start: 0, end: tensor.shape.at(-1) ?? 1, order: null };
      return [[`${PEFT_PREFIX}${nameOf(name)}.base_layer.weight`, { path, name, tensor, transposed, leading, ...all }]];
    }),
  );
  for (const [key, entry] of tensors) {
    const piece = key.endsWith('.base_layer.weight') ? pieces.get(key) : undefined;
    if (piece === undefined) continue;
    const expected = shapeOf(piece);
    const isSame = () => {
      const modelValues = toStored(piece, piece.tensor.dataSync() as Float32Array);
      return (entry.data() as Float32Array).every((value, i) => value === modelValues[i]);
    };
    if (sameShape(entry.shape, expected) && isSame()) continue;
    throw new FormatError(
      `${source}: the adapter has a ${key} [${entry.shape}] that is not the model's [${expected}]: it belongs to another base`,
    );
  }
}

/** Settings of PEFT that change results and are not supported, with the only values that are accepted. */
const EXPECTED: Readonly<Record<string, readonly unknown[]>> = {
  peft_type: ['LORA'],
  bias: ['none', 'all', 'lora_only', null, undefined],
  use_qalora: [false, null, undefined],
  layer_replication: [null, undefined],
  trainable_token_indices: [null, undefined],
  alora_invocation_tokens: [null, undefined],
  use_bdlora: [null, undefined],
  arrow_config: [null, undefined],
  kasa_config: [null, undefined],
  monteclora_config: [null, undefined],
};

/** Initial values for which PEFT changes the weights of the base, also when it loads an adapter. */
const CHANGES_BASE = /^(pissa|olora|corda|loftq)/i;

/** The options of an adapter, from its adapter_config.json. Throws FormatError for settings that are not supported. */
export function optionsOf(config: Readonly<Record<string, unknown>>, source: string): LoraOptions {
  const refuse = (key: string, expected: unknown): never => {
    throw new FormatError(
      `${source}: ${ADAPTER_CONFIG} has ${key} ${describeValue(config[key])}, expected ${expected}`,
    );
  };
  for (const [key, known] of Object.entries(EXPECTED)) {
    const value = config[key];
    if (known.includes(value) || (Array.isArray(value) && value.length === 0)) continue;
    refuse(key, known[0]);
  }
  if (CHANGES_BASE.test(String(config.init_lora_weights)))
    refuse(
      'init_lora_weights',
      "true: the adapter belongs to a changed base. Save it with PEFT's path_initial_model_for_weight_conversion",
    );
  const { r, lora_alpha, lora_dropout, modules_to_save, target_parameters, bias, rank_pattern, alpha_pattern } = config;
  if (modules_to_save != null && !isTexts(modules_to_save)) refuse('modules_to_save', "a list of modules' names");
  if (target_parameters != null && !isTexts(target_parameters)) refuse('target_parameters', "a list of tensors' names");
  for (const key of ['rank_pattern', 'alpha_pattern'])
    if (config[key] != null && !isObject(config[key])) refuse(key, 'an object');
  return {
    r: r as number,
    alpha: lora_alpha as number,
    dropout: (lora_dropout as number | undefined) ?? 0,
    rsLora: config.use_rslora === true,
    dora: config.use_dora === true,
    loraBias: config.lora_bias === true,
    bias: (bias ?? 'none') as LoraOptions['bias'],
    rankPattern: (rank_pattern ?? {}) as Record<string, number>,
    alphaPattern: (alpha_pattern ?? {}) as Record<string, number>,
    targetParameters: (target_parameters ?? []) as readonly string[],
    modulesToSave: (modules_to_save ?? []) as readonly string[],
  };
}
