// Opens the folder of an adapter as a model: the base model with the adapter applied.

import { isNode, nodeModule } from '../../backend/node.js';
import { describeValue, isObject } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { HeadKind, ProblemType } from '../../models/prediction-head.js';
import type { WeightFormat } from '../../models/quantize.js';
import { openSource } from '../open-source.js';
import type { ModelSource } from '../source.js';
import { adapterShapes } from './adapter-tensors.js';
import { ADAPTER_CONFIG, ADAPTER_HEAD } from './lora-parts.js';

/** The file of settings that `simdformer finetune` writes beside a model or an adapter. */
export const SETTINGS = 'finetune.json';

/** Heads by PEFT's `task_type`. */
const HEADS: Readonly<Record<string, HeadKind>> = {
  SEQ_CLS: 'sequence-classification',
  TOKEN_CLS: 'token-classification',
  QUESTION_ANS: 'question-answering',
  FEATURE_EXTRACTION: 'none',
};

/** True if a source holds an adapter and no model. */
export async function isAdapter(source: ModelSource): Promise<boolean> {
  if (source.weights !== undefined) return false;
  const names = await source.list();
  if (names === null) return !(await source.has('config.json')) && (await source.has(ADAPTER_CONFIG));
  return names.includes(ADAPTER_CONFIG) && !names.some((name) => /^model(-\d+-of-\d+)?\.safetensors$/.test(name));
}

/** Options of `loadModel` that apply to the base. */
interface BaseOptions {
  readonly head?: HeadKind | undefined;
  readonly labels?: readonly string[] | undefined;
  readonly problemType?: ProblemType | undefined;
  readonly weights?: 'float32' | WeightFormat | 'auto' | undefined;
  readonly revision?: string | undefined;
}

/** The base of an adapter, and the options to load it with. */
export interface AdapterBase {
  readonly from: string;
  readonly options: BaseOptions;
}

/**
 * The base that an adapter names, with the head that the adapter was trained with. A base is a URL, a hub id, or a
 * folder. The folder's path is absolute, or relative to the adapter or the working directory. Throws FormatError if the
 * adapter names no base.
 */
export async function adapterBase(source: ModelSource, requestedBase: string | undefined): Promise<AdapterBase> {
  const config = await source.json(ADAPTER_CONFIG);
  const base = requestedBase ?? config.base_model_name_or_path;
  if (typeof base !== 'string' || base === '') {
    const found = describeValue(base);
    throw new FormatError(
      `${source.name}: base_model_name_or_path of ${ADAPTER_CONFIG} is ${found}, expected a folder or an id: give baseModel`,
    );
  }
  const from = requestedBase ?? (await besides(source, base));
  const revision = typeof config.revision === 'string' ? config.revision : undefined;
  const head = HEADS[String(config.task_type)];
  const jsonOf = async (name: string) => ((await source.has(name)) ? await source.json(name) : undefined);
  const known = (await jsonOf(ADAPTER_HEAD)) as BaseOptions | undefined;
  const { weights } = ((await jsonOf(SETTINGS)) ?? {}) as Pick<BaseOptions, 'weights'>;
  if (known !== undefined) {
    const { head: requestedHead = head, labels, problemType } = known;
    return { from, options: { head: requestedHead, labels, problemType, weights, revision } };
  }
  const labels = !head || head === 'none' ? undefined : await labelsOf(source, from);
  return { from, options: { head, labels, weights, revision } };
}

/** Resolves a relative path against the adapter's folder if it exists there. Otherwise returns it unchanged. */
async function besides(source: ModelSource, base: string): Promise<string> {
  const isAddress = /^[a-z][a-z\d+.-]+:/i;
  if (isAddress.test(base)) return base;
  if (isAddress.test(source.name)) return /^\.{1,2}\//.test(base) ? new URL(base, `${source.name}/`).href : base;
  if (!isNode) return base;
  const { isAbsolute, join } = await nodeModule<typeof import('node:path')>('path');
  const { stat } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
  if (isAbsolute(base)) return base;
  const path = join(source.name, base);
  return (await stat(path).catch(() => null)) ? path : base;
}

/** Default labels, LABEL_0 and so on, for the head of an adapter. Undefined if the base has a head of this size. */
async function labelsOf(source: ModelSource, base: string): Promise<string[] | undefined> {
  const shapes = await adapterShapes(source);
  const matrix = [...shapes].find(([name]) => /\.(classifier|score|out_proj)\.weight$/.test(name))?.[1];
  if (matrix === undefined) return undefined;
  // If the base cannot be read, its loading tells why.
  const { id2label, num_labels: count } = await openSource(base)
    .then((opened) => opened.json('config.json'))
    .catch((): Record<string, unknown> => ({}));
  const known = isObject(id2label) ? Object.keys(id2label).length : count;
  const labels = matrix[0] as number;
  return known === labels ? undefined : Array.from({ length: labels }, (_, i) => `LABEL_${i}`);
}
