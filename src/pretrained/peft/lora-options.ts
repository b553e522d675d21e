// The options of `lora`. Their meaning is PEFT's.

import { checkKnown, checkNumber, checkOneOf, describeValue, isCount, isObject } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';

export interface LoraOptions {
  /** Rank of the adapter's matrices, at most 65,536. Default: 8. */
  r?: number | undefined;
  /** The product of the matrices is multiplied by alpha / r. Default: 8. */
  alpha?: number | undefined;
  /** Dropout of the adapter's input during training. Default: 0. */
  dropout?: number | undefined;
  /**
   * The linear layers and embeddings to adapt. A list has module names of the checkpoint, or their endings, such as
   * `q_proj`. A regular expression must match the whole name. 'all-linear' is every linear layer that PEFT can adapt,
   * except the head and the routers of mixtures. Default: queries and values, as in PEFT.
   */
  targets?: string | readonly string[] | RegExp | undefined;
  /**
   * Names of tensors, or their endings, that hold a matrix for each expert of a mixture: `experts.gate_up_proj`,
   * `experts.down_proj`. The weight of a target can be named, too: `mlp.gate.weight`. Default: none.
   */
  targetParameters?: readonly string[] | undefined;
  /** True to multiply the change by alpha / √r (Kalajdzievski 2023). Default: false. */
  rsLora?: boolean | undefined;
  /** True to train the magnitudes of the columns, too (DoRA, Liu et al. 2024). Default: false. */
  dora?: boolean | undefined;
  /**
   * Biases to train: none, those of the targets, or all of the model. The adapter trains copies, so the base model is
   * unchanged while the adapter is off. Default: 'none'.
   */
  bias?: 'none' | 'lora_only' | 'all' | undefined;
  /**
   * True to train a bias of the second matrix of each target, too. Embeddings have none, and DoRA excludes it. Default:
   * false.
   */
  loraBias?: boolean | undefined;
  /** Ranks of some targets: `{ 'layers.0.self_attn.q_proj': 4 }`. A key is a name's end, or a regular expression. */
  rankPattern?: Readonly<Record<string, number>> | undefined;
  /** Alphas for some targets, with the keys of `rankPattern`. */
  alphaPattern?: Readonly<Record<string, number>> | undefined;
  /**
   * Modules to train and save as a whole. The adapter trains copies, so the base model is unchanged while the adapter
   * is off. Default: the head of a classifier.
   */
  modulesToSave?: readonly string[] | undefined;
  /** Name of the adapter, for `model.setAdapter`. Default: 'default'. */
  name?: string | undefined;
  /** Seed of the initial matrices. Default: 0. */
  seed?: number | undefined;
}

export interface SaveLoraOptions {
  /** The base model's folder or hub id, for adapter_config.json. Default: the source that the model was loaded from. */
  readonly baseModel?: string | undefined;
}

/** Options of `lora` with defaults. Targets and modules to save stay open, because they depend on the model. */
export interface LoraSettings {
  readonly r: number;
  readonly alpha: number;
  readonly dropout: number;
  readonly rsLora: boolean;
  readonly dora: boolean;
  readonly bias: 'none' | 'lora_only' | 'all';
  readonly loraBias: boolean;
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  readonly targetParameters: readonly string[];
  readonly name: string;
  readonly seed: number;
}

const NAMES = [
  'r',
  'alpha',
  'dropout',
  'targets',
  'targetParameters',
  'rsLora',
  'dora',
  'bias',
  'loraBias',
  'rankPattern',
  'alphaPattern',
  'modulesToSave',
  'name',
  'seed',
] as const;

/** Maximum rank. Greater ranks than the sizes of a matrix add nothing but memory. */
const MAX_RANK = 2 ** 16;
const isRank = (value: number) => isCount(value) && value <= MAX_RANK;
const RANK = `an integer from 1 to ${MAX_RANK}`;

/** Fills in defaults. Throws ArgumentError for invalid options. */
export function loraSettings(options: LoraOptions): LoraSettings {
  const loraOptions = checkKnown('lora', options, NAMES);
  const { r = 8, alpha = 8, dropout = 0, rsLora = false, dora = false, loraBias = false, bias = 'none' } = loraOptions;
  const { rankPattern = {}, alphaPattern = {}, modulesToSave = [], name = 'default', seed = 0 } = loraOptions;
  const { targetParameters = [] } = loraOptions;
  checkNumber('lora', 'r', r, isRank, RANK);
  checkNumber('lora', 'alpha', alpha, (value) => value > 0, 'a positive number');
  checkNumber('lora', 'dropout', dropout, (value) => value >= 0 && value < 1, 'a number from 0 to below 1');
  for (const [option, value] of Object.entries({ rsLora, dora, loraBias }))
    checkOneOf('lora', option, value, [true, false]);
  if (dora && loraBias) throw new ArgumentError('lora: dora and loraBias exclude each other: leave one of them out');
  checkOneOf('lora', 'bias', bias, ['none', 'lora_only', 'all']);
  checkPattern('rankPattern', rankPattern, isRank, RANK);
  checkPattern('alphaPattern', alphaPattern, (value) => value > 0, 'a positive number');
  if (!isTexts(modulesToSave))
    throw new ArgumentError(
      `lora: modulesToSave is ${describeValue(modulesToSave)}, expected a list of modules' names`,
    );
  if (!isTexts(targetParameters))
    throw new ArgumentError(
      `lora: targetParameters is ${describeValue(targetParameters)}, expected a list of tensors' names`,
    );
  if (typeof name !== 'string' || !/^[\w-]+$/.test(name))
    throw new ArgumentError(`lora: name is ${describeValue(name)}, expected letters, digits, _ and -`);
  return { r, alpha, dropout, rsLora, dora, bias, loraBias, rankPattern, alphaPattern, targetParameters, name, seed };
}

function checkPattern(option: string, value: unknown, accepts: (value: number) => boolean, expected: string): void {
  if (!isObject(value))
    throw new ArgumentError(`lora: ${option} is ${describeValue(value)}, expected an object like { q_proj: 4 }`);
  for (const [key, number] of Object.entries(value)) {
    patternOf(option, key);
    checkNumber('lora', `${option}['${key}']`, number as number, accepts, expected);
  }
}

function patternOf(option: string, key: string): RegExp {
  try {
    return new RegExp(`^(.*\\.)?(${key})$`);
  } catch (cause) {
    throw new ArgumentError(`lora: ${option} has the key "${key}", which is not a regular expression`, { cause });
  }
}

/** The number that a pattern gives a name: the first matching key decides, as in PEFT. */
export function patternValue(option: string, pattern: Readonly<Record<string, number>>, name: string): number | null {
  const key = Object.keys(pattern).find((candidate) => patternOf(option, candidate).test(name));
  return key === undefined ? null : (pattern[key] as number);
}

export function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
