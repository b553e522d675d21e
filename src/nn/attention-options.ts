import { anyOf, checkOptions, checkSizes, orNull } from '../core/check.js';
import type { Complete } from '../core/complete.js';
import { ArgumentError } from '../core/errors.js';
import type { Dropout } from './dropout.js';
import type { Projection } from './linear.js';
import { partKinds, partRule } from './made-parts.js';
import type { Norm } from './norm.js';
import type { AttentionWindow } from './padding.js';
import type { DistanceTables, PositionBias } from './position-bias.js';
import type { Rotation } from './rotary-embedding.js';

/**
 * Options of `MultiHeadAttention`. Parts that it owns are given as functions, so that parameters are drawn in the order
 * of their definition. Parts that several layers share are given directly.
 */
export interface MultiHeadOptions {
  /** Number of features of a token. */
  readonly dModel: number;
  /** Number of heads of queries. */
  readonly heads: number;
  /**
   * Number of heads of keys and values. Each serves heads/kvHeads heads of queries (Ainslie et al. 2023). Default:
   * `heads`.
   */
  readonly kvHeads?: number | undefined;
  /** Number of features of a head. Default: dModel/heads. */
  readonly headSize?: number | undefined;
  /** True if the projections add a bias, or one flag for queries, one for keys and one for values. Default: true. */
  readonly bias?: boolean | readonly [queries: boolean, keys: boolean, values: boolean] | undefined;
  /** True if the output projection adds a bias. Default: same as `bias`; true if `bias` is a list. */
  readonly outBias?: boolean | undefined;
  /** True if a query of self-attention cannot attend to later keys. Default: false. */
  readonly causal?: boolean | undefined;
  /**
   * A query of self-attention attends to keys at a distance of less than this number. In a pair, the first number is
   * for earlier keys, and the second for later ones; 0 hides later keys. Default: null, all keys.
   */
  readonly window?: AttentionWindow | null | undefined;
  /** Factor of the scores. Default: 1/√headSize. */
  readonly scale?: number | undefined;
  /** Limits scores to softcap · tanh(score / softcap) (Gemma 2). Default: null, no limit. */
  readonly softcap?: number | null | undefined;
  /**
   * Normalizes queries and keys. If the norm has headSize features, it normalizes each head, otherwise all features
   * together. Default: none.
   */
  readonly qNorm?: (() => Norm) | null | undefined;
  readonly kNorm?: (() => Norm) | null | undefined;
  /** Rotates queries and keys of self-attention. Default: none. */
  readonly rotary?: Rotation | null | undefined;
  /** Adds biases to the scores of self-attention that depend on the distance of query and key. Default: none. */
  readonly positionBias?: PositionBias | (() => PositionBias) | null | undefined;
  /** Adds vectors to keys and values of self-attention that depend on the distance of query and key. Default: none. */
  readonly relative?: (() => DistanceTables) | null | undefined;
  /** Dropout of the probabilities, in training. Default: none. */
  readonly dropout?: Dropout | null | undefined;
  /**
   * Makes the projection to queries, keys and values, which are sections of its result. Default: a `Linear`.
   */
  readonly qkv?: (() => Projection) | null | undefined;
  /** Makes the projection of the outputs of the heads. Default: a `Linear`. */
  readonly outProj?: (() => Projection) | null | undefined;
}

const maker = orNull('function');

const isFlag = (value: unknown) => typeof value === 'boolean';
const isBias = (value: unknown) => isFlag(value) || (Array.isArray(value) && value.length === 3 && value.every(isFlag));
const part = orNull(partRule(partKinds.module));
/** The kinds of the options. Some are checked by `checkSizes`. */
export const multiHeadKinds = {
  dModel: 'any',
  heads: 'any',
  kvHeads: 'any',
  headSize: 'any',
  window: 'any',
  bias: { accepts: isBias, expected: 'true or false, or a list of three' },
  outBias: [true, false],
  causal: [true, false],
  scale: 'positive',
  softcap: orNull('positive'),
  qNorm: maker,
  kNorm: maker,
  relative: maker,
  rotary: part,
  dropout: part,
  qkv: maker,
  outProj: maker,
  positionBias: orNull(anyOf(partRule(partKinds.positionBias), 'function')),
} as const;

/** Throws ArgumentError for invalid options. */
export function checkMultiHead(op: string, options: MultiHeadOptions): void {
  const { dModel, heads, kvHeads = heads, headSize = 1, window } = checkOptions(op, options, multiHeadKinds);
  checkSizes(op, { dModel, heads, kvHeads, headSize }, 1);
  const [before, after] = Array.isArray(window) && window.length === 2 ? window : [window ?? 1, window ?? 1];
  checkSizes(op, { window: before }, 1);
  checkSizes(op, { window: after }, Array.isArray(window) ? 0 : 1);
  if (options.headSize === undefined && dModel % heads)
    throw new ArgumentError(`${op}: dModel is ${dModel}, expected a multiple of heads, ${heads}`);
  if (heads % kvHeads) throw new ArgumentError(`${op}: heads is ${heads}, expected a multiple of kvHeads, ${kvHeads}`);
}

/** All options with their defaults, and with lists and pairs taken apart. */
type CompleteMultiHead = Complete<Omit<MultiHeadOptions, 'bias' | 'window'>> & {
  /** Biases of queries, keys and values. */
  readonly biases: readonly boolean[];
  readonly window: number | null;
  /** The window after a query, if it differs from the one before it; otherwise null. */
  readonly windowAfter: number | null;
};

/** Adds the defaults. Throws ArgumentError for invalid options. */
export function completeMultiHead(op: string, options: MultiHeadOptions): CompleteMultiHead {
  checkMultiHead(op, options);
  const { dModel, heads, kvHeads = heads, headSize = dModel / heads, bias = true, outBias = bias !== false } = options;
  const { causal = false, scale = 1 / Math.sqrt(headSize), softcap = null } = options;
  const { window: windows = null } = options;
  const [window, windowAfter] = typeof windows === 'object' && windows !== null ? windows : [windows, null];
  const sizes = { dModel, heads, kvHeads, headSize };
  const biases = typeof bias === 'boolean' ? [bias, bias, bias] : bias;
  return { ...sizes, biases, outBias, causal, window, windowAfter, scale, softcap, ...partsOf(options) };
}

function partsOf(options: MultiHeadOptions) {
  const { qNorm = null, kNorm = null, rotary = null, positionBias = null, relative = null, dropout = null } = options;
  const { qkv = null, outProj = null } = options;
  return { qNorm, kNorm, rotary, positionBias, relative, dropout, qkv, outProj };
}
