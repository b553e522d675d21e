// The options of `lora`, with PEFT's meaning.

import { checkKnown, checkNumber, checkOneOf, describeValue, isCount, isObject } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';

export interface LoraOptions {
  /** Rank of the change. Default: 8. */
  r?: number | undefined;
  /** The change is multiplied by alpha / r. Default: 8. */
  alpha?: number | undefined;
  /** Dropout of the input of a change, in training. Default: 0. */
  dropout?: number | undefined;
  /**
   * The linears and embeddings to change. A list has names as in checkpoints, or their ends, such as `q_proj`. A
   * regular expression is for the whole name. 'all-linear' is all but the head. Default: queries and values, as in
   * PEFT.
   */
  targets?: string | readonly string[] | RegExp | undefined;
  /** True to multiply the change by alpha / √r (Kalajdzievski 2023). Default: false. */
  rsLora?: boolean | undefined;
  /** True to train magnitudes of the columns, too (DoRA). Default: false. */
  dora?: boolean | undefined;
  /**
   * Biases to train: those of the targets, or all of the model. The adapter has copies of them: switched off, the model is
   * the base. Default: 'none'.
   */
  bias?: 'none' | 'lora_only' | 'all' | undefined;
  /** Other ranks for some targets: `{ 'layers.0.self_attn.q_proj': 4 }`. A key is the end of a name, or a regular expression for it. */
  rankPattern?: Readonly<Record<string, number>> | undefined;
  /** Other alphas for some targets, as `rankPattern`. */
  alphaPattern?: Readonly<Record<string, number>> | undefined;
  /**
   * Modules that are trained and saved whole. The adapter has copies of them: switched off, the model is the base. Default:
   * the head of a classifier.
   */
  modulesToSave?: readonly string[] | undefined;
  /** Default: 'default'. */
  name?: string | undefined;
  /** Draws the matrices. Default: 0. */
  seed?: number | undefined;
}

export interface SaveLoraOptions {
  /** The folder or hub id of the model that the adapter belongs to. Default: what the model was loaded from. */
  readonly baseModel?: string | undefined;
}

/** Options of `lora`, complete, but for the targets and the modules to save, which depend on the model. */
export interface LoraSettings {
  readonly r: number;
  readonly alpha: number;
  readonly dropout: number;
  readonly rsLora: boolean;
  readonly dora: boolean;
  readonly bias: 'none' | 'lora_only' | 'all';
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  readonly name: string;
  readonly seed: number;
}

const NAMES = [
  ...(['r', 'alpha', 'dropout', 'targets', 'rsLora', 'dora', 'bias', 'rankPattern', 'alphaPattern'] as const),
  ...(['modulesToSave', 'name', 'seed'] as const),
];

/** Fills in defaults. Throws ArgumentError for options that make no sense. */
export function loraSettings(options: LoraOptions): LoraSettings {
  const given = checkKnown('lora', options, NAMES);
  const { r = 8, alpha = 8, dropout = 0, rsLora = false, dora = false, bias = 'none' } = given;
  const { rankPattern = {}, alphaPattern = {}, modulesToSave = [], name = 'default', seed = 0 } = given;
  checkNumber('lora', 'r', r, isCount, 'a positive integer');
  checkNumber('lora', 'alpha', alpha, (value) => value > 0, 'a positive number');
  checkNumber('lora', 'dropout', dropout, (value) => value >= 0 && value < 1, 'a number from 0 to below 1');
  for (const [option, value] of Object.entries({ rsLora, dora })) checkOneOf('lora', option, value, [true, false]);
  checkOneOf('lora', 'bias', bias, ['none', 'lora_only', 'all']);
  checkPattern('rankPattern', rankPattern, isCount, 'a positive integer');
  checkPattern('alphaPattern', alphaPattern, (value) => value > 0, 'a positive number');
  if (!isTexts(modulesToSave))
    throw new ArgumentError(
      `lora: modulesToSave is ${describeValue(modulesToSave)}, expected a list of modules' names`,
    );
  if (typeof name !== 'string' || !/^[\w-]+$/.test(name))
    throw new ArgumentError(`lora: name is ${describeValue(name)}, expected letters, digits, _ and -`);
  return { r, alpha, dropout, rsLora, dora, bias, rankPattern, alphaPattern, name, seed };
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
    throw new ArgumentError(`lora: ${option} has the key "${key}", which is no regular expression`, { cause });
  }
}

/** The number that a pattern has for a name: that of the first key that fits, as in PEFT. */
export function patternValue(option: string, pattern: Readonly<Record<string, number>>, name: string): number | null {
  const key = Object.keys(pattern).find((each) => patternOf(option, each).test(name));
  return key === undefined ? null : (pattern[key] as number);
}

export function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}
