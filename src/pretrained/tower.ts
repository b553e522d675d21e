// One encoder of a model that compares texts with images or sounds, loaded alone.

import { checkOneOf } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Json } from '../models/model-config.js';
import type { HeadKind } from '../models/pretrained-model.js';
import { familyOf, isFamily } from '../models/registry.js';
import type { WeightEntry, Weights } from '../models/weight-entry.js';
import { architectureOf } from './architectures.js';
import { type OnnxChoice, onnxFiles, type Tower, towerOfFile, towers } from './onnx/files.js';
import type { ModelSource } from './source.js';
import { hasTensorFile } from './weights.js';

/** Options of `loadModel` that choose a part of the folder. */
export interface FolderOptions {
  readonly head?: HeadKind | undefined;
  readonly tower?: Tower | undefined;
  readonly dtype?: OnnxChoice | undefined;
  readonly onnxFile?: string | undefined;
}

/** Names of tensors that belong to another encoder, or to the comparison of both. */
const OF_OTHERS: Readonly<Record<Tower, RegExp>> = {
  text: /^(?:\w+\.)?(?:vision|visual|audio|logit)_/,
  vision: /^(?:\w+\.)?(?:text|audio|logit)_/,
  audio: /^(?:\w+\.)?(?:text|vision|visual|logit)_/,
};

/** Settings of the whole model that the projection of an encoder has. */
const SHARED = ['projection_dim', 'projection_hidden_act'];

/** Throws ArgumentError unless `tower` is undefined or the name of an encoder. */
export function checkTower(tower: unknown): void {
  if (tower !== undefined) checkOneOf('loadModel', 'tower', tower, towers);
}

/**
 * Returns the config of one encoder as that of a model of its own. `head` is the one that the caller requests. Throws
 * ArgumentError for a model that has no such encoder.
 */
export async function towerConfig(config: Json, tower: Tower, head: HeadKind | undefined): Promise<Json> {
  const { model_type: whole } = config;
  if (`${whole}`.endsWith(`_${tower}_model`)) return config;
  const { towerHead, parts = {} } = await familyOf(whole);
  const type = parts[`${tower}_config`];
  if (towerHead === undefined || typeof type !== 'string')
    throw new ArgumentError(
      `loadModel: tower is '${tower}', but the model is ${whole}, which has no such encoder: omit it`,
    );
  const { [`${tower}_config`]: settings, [`${tower}_config_dict`]: older } = config;
  const shared = SHARED.flatMap((name) => (config[name] == null ? [] : [[name, config[name]]]));
  const all = { ...(settings as Json), ...(older as Json), ...Object.fromEntries(shared), model_type: type };
  return { ...all, architectures: [architectureOf(await familyOf(type), {}, head ?? towerHead)] };
}

/** Returns the encoder whose ONNX file is all that a folder has of a model's weights; null for other folders. */
export async function loneTower(
  source: ModelSource,
  { model_type: type }: Json,
  { head, dtype, onnxFile }: FolderOptions,
): Promise<Tower | null> {
  const isWhole = head === undefined || head === 'none';
  if (!isWhole || !isFamily(type) || !(await familyOf(type)).towerHead || (await hasTensorFile(source))) return null;
  const found: Tower[] = [];
  const whole = await onnxFiles(source, dtype, onnxFile);
  if (whole !== null) return whole.length === 1 ? towerOfFile(whole[0] as string) : null;
  for (const tower of towers) if (await onnxFiles(source, dtype, undefined, tower)) found.push(tower);
  return found.length === 1 ? (found[0] as Tower) : null;
}

/** Returns the weights without those of other encoders. */
export function towerWeights(weights: Weights, tower: Tower): Weights {
  const isOwn = (name: string) => !OF_OTHERS[tower].test(name);
  const own = (tensors: ReadonlyMap<string, WeightEntry>) => new Map([...tensors].filter(([name]) => isOwn(name)));
  const { named } = weights;
  // Matrices without names could be those of another encoder.
  const hasOthers = [...weights.tensors.keys()].some((name) => !isOwn(name));
  return {
    ...weights,
    tensors: own(weights.tensors),
    ...(named && { named: (wanted) => own(named(wanted)) }),
    ...(hasOthers && { unnamed: [] }),
  };
}
