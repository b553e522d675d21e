// Source of the modules of sentence-transformers.

import { describeValue } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { Initializer } from '../../nn/init.js';
import type { PretrainedTokenizer } from '../../tokenizers/pretrained-tokenizer.js';
import type { Json } from '../model-config.js';
import type { WeightEntry } from '../weight-entry.js';
import { OF_TEXTS, OF_TOKENS, type SentenceModule, type VectorNames } from './features.js';

/** The folder of a module. */
export interface ModuleFolder {
  /** Relative to the model's folder, '' for itself. */
  readonly path: string;
  readonly init: Initializer;
  /** True for a folder of PyLate, whose modules read vectors of tokens unless they say otherwise. */
  readonly readsTokens: boolean;
  /** The settings of the module: {} without the file. Default: config.json. */
  config(file?: string): Promise<Json>;
  /** Returns the tensors of the module's weights. Throws FormatError if the file is missing. */
  tensors(): Promise<ReadonlyMap<string, WeightEntry>>;
  /** A module below this one. */
  module(type: string, folder: string): Promise<SentenceModule>;
  /** The model's tokenizer. */
  tokenizer(): PretrainedTokenizer | null;
  /** The tokenizer of this folder. */
  ownTokenizer(): Promise<PretrainedTokenizer | null>;
}

/** Types that read texts by a table of words. */
const TABLE_TYPES = ['WordEmbeddings', 'BoW'];

/** Types that read texts: the first modules of a model or a route. */
export const INPUT_TYPES = ['Transformer', 'MLMTransformer', 'StaticEmbedding', 'CLIPModel', ...TABLE_TYPES];

/** The name of a type, such as `Pooling`, without the packages that Python has before it. */
export const shortType = (type: unknown): string => `${type}`.split('.').at(-1) as string;

/** True for types that read texts by a list of words. */
export const isWordList = (type: unknown): boolean => TABLE_TYPES.includes(shortType(type));

/** True for types whose model is a table of vectors. */
export const isTable = (type: unknown): boolean => shortType(type) === 'StaticEmbedding' || isWordList(type);

/** The vectors that a module reads and writes. Throws FormatError for names that do not fit. */
export function vectorNames(path: string, config: Json, readsTokens: boolean): VectorNames {
  const usual = readsTokens ? OF_TOKENS : OF_TEXTS;
  const input = config.module_input_name ?? usual.input;
  const output = config.module_output_name ?? input;
  const mixes = [OF_TEXTS.input, OF_TOKENS.input].every((name) => name === input || name === output);
  if (typeof input === 'string' && typeof output === 'string' && !mixes) return { input, output };
  throw new FormatError(
    `${path}/config.json: module_input_name is ${describeValue(input)} and module_output_name is ` +
      `${describeValue(output)}, expected names of vectors of one kind`,
  );
}

/** Returns the sizes of a tensor. Throws FormatError if it is missing, or has another rank. */
export function matrixSize(
  path: string,
  entries: ReadonlyMap<string, WeightEntry>,
  name: string,
  rank: number,
): readonly number[] {
  const shape = entries.get(name)?.shape ?? [];
  if (shape.length === rank && rank > 0) return shape;
  const expected = rank === 2 ? 'matrix' : 'vector';
  throw new FormatError(`${path || 'the folder'}: its weights have no ${expected} ${name}`);
}
