// Options of a Transformer.

import {
  checkKnown,
  checkNumber,
  checkOneOf,
  checkOptions,
  checkSeed,
  checkSizes,
  describeValue,
  isFraction,
  isNotNegative,
  withDefaults,
} from '../core/check.js';
import type { Complete } from '../core/complete.js';
import { ArgumentError } from '../core/errors.js';
import { checkMultiHead } from '../nn/attention-options.js';
import { checkFeedForward } from '../nn/feed-forward.js';
import { type Positions, resolvePositions } from '../nn/positions.js';
import type { Activation } from '../ops/activation.js';

/** Seed of the initial weights, unless another is given. */
export const DEFAULT_SEED = 0;

/**
 * Options of a `Transformer`. Defaults are those of the base model of "Attention Is All You Need", unless another is
 * given. Unknown names are refused, because a model of unintended size would go unnoticed.
 */
export interface TransformerOptions {
  /** Features of every token. Default: 512. */
  dModel?: number | undefined;
  /** Attention heads; divides dModel. Default: 8. */
  heads?: number | undefined;
  /** Heads of keys and values. Each serves heads/kvHeads heads of queries. It divides heads. Default: `heads`. */
  kvHeads?: number | undefined;
  /** Number of encoder layers. Default: 6. 0 makes a decoder-only model: a language model. */
  encoderLayers?: number | undefined;
  /** Number of decoder layers. Default: 6. 0 makes an encoder-only model: one output for each source token. */
  decoderLayers?: number | undefined;
  /** Hidden features of the feed-forward networks. Default: 4 · dModel. */
  dFF?: number | undefined;
  /** The activation of the feed-forward networks. Default: `relu`. */
  activation?: Activation | undefined;
  /**
   * True if a second projection of the input multiplies the hidden features (Shazeer 2020, "GLU Variants Improve
   * Transformer"): SwiGLU with activation `silu`, GEGLU with `gelu`. Default: false.
   */
  gated?: boolean | undefined;
  /**
   * Kind of normalization: by mean and variance (`layer`, default), or by the root mean square alone, without a bias
   * (`rms`).
   */
  normalization?: 'layer' | 'rms' | undefined;
  /**
   * Place of the normalization: before the sub-layers, or after the residual additions. Default: `post`, as in the
   * paper.
   */
  norm?: 'pre' | 'post' | undefined;
  /** True adds a normalization after the last layer of each stack. Default: true, as in PyTorch's nn.Transformer. */
  finalNorm?: boolean | undefined;
  /**
   * True if linear layers, normalizations and the output projection add a bias. This is `bias` of PyTorch's
   * nn.Transformer, which has no output projection, and of nanoGPT. Default: true.
   */
  bias?: boolean | undefined;
  /** Encoding of positions. Default: `sinusoidal`. */
  positions?: Positions | Positions['kind'] | undefined;
  /**
   * Probability of dropping an element in training. It applies to the embeddings, the output of each sub-layer, and the
   * hidden layer of the feed-forward networks, as in PyTorch. Attention probabilities never exist as a whole here and
   * are not dropped. Default: 0; the paper's base model has 0.1.
   */
  dropout?: number | undefined;
  /** Dropout of the hidden layer of the feed-forward networks. Default: `dropout`; fairseq's models have 0. */
  activationDropout?: number | undefined;
  /** Size of the source vocabulary. Required with encoder layers. */
  sourceVocab?: number | undefined;
  /**
   * Size of the target vocabulary, which is the number of logits. Required with decoder layers. Default: `sourceVocab`.
   */
  targetVocab?: number | undefined;
  /**
   * True uses the target embedding as output projection (encoder-only: the source embedding). `all` also shares the
   * source and target embedding, as in the paper. Default: false.
   */
  tieEmbeddings?: boolean | 'all' | undefined;
  /** Maximum length of a source or target in tokens. Default: 1024. */
  maxLength?: number | undefined;
  /** Added to the variance in normalizations. Default: 1e-5. */
  layerNormEps?: number | undefined;
  /** Factor of the token embeddings. true (default) and `sqrt(dModel)`: √dModel, as in the paper; false: 1. */
  embeddingScale?: number | boolean | 'sqrt(dModel)' | undefined;
  /**
   * Id of padding at the end of rows, which is not computed; null for no padding. Default: 0, or null for decoder-only
   * models. Labels that are not learned have an id of their own: `ignoreIndex` of `loss`.
   */
  padId?: number | null | undefined;
  /** Id of the token that begins outputs. It must be below `targetVocab` for generation. null: none. Default: 1. */
  bosId?: number | null | undefined;
  /** Id of the token that ends outputs. Nothing ends them if it is null or not below `targetVocab`. Default: 2. */
  eosId?: number | null | undefined;
  /** Seed of the initial parameters and of dropout: an integer, 0 or more. Default: 0. */
  seed?: number | undefined;
}

/** All options of a model, defaults included. */
export interface TransformerConfig extends Complete<TransformerOptions> {
  readonly positions: Complete<Positions>;
  readonly embeddingScale: number;
}

/** Names of options in PyTorch, Hugging Face and nanoGPT, for error messages. */
const OTHER_NAMES = {
  hiddensize: 'dModel',
  nembd: 'dModel',
  embeddim: 'dModel',
  hiddendim: 'dModel',
  dim: 'dModel',
  nhead: 'heads',
  nheads: 'heads',
  numheads: 'heads',
  numattentionheads: 'heads',
  numkeyvalueheads: 'kvHeads',
  numencoderlayers: 'encoderLayers',
  numdecoderlayers: 'decoderLayers',
  numlayers: 'encoderLayers or decoderLayers',
  nlayer: 'encoderLayers or decoderLayers',
  nlayers: 'encoderLayers or decoderLayers',
  numhiddenlayers: 'encoderLayers or decoderLayers',
  layers: 'encoderLayers or decoderLayers',
  dimfeedforward: 'dFF',
  intermediatesize: 'dFF',
  ffndim: 'dFF',
  vocabsize: 'sourceVocab or targetVocab',
  srcvocabsize: 'sourceVocab',
  tgtvocabsize: 'targetVocab',
  maxpositionembeddings: 'maxLength',
  blocksize: 'maxLength',
  npositions: 'maxLength',
  maxseqlen: 'maxLength',
  padtokenid: 'padId',
  bostokenid: 'bosId',
  eostokenid: 'eosId',
  hiddenact: 'activation',
  normfirst: "norm: 'pre'",
  tiewordembeddings: 'tieEmbeddings',
  positionalencoding: 'positions',
  causal: 'decoderLayers, without encoderLayers,',
};

/** Options with defaults. Throws ArgumentError, naming the option, for unknown or contradicting ones. */
export function resolveConfig(options: TransformerOptions): TransformerConfig {
  const {
    dModel = 512,
    heads = 8,
    encoderLayers = 6,
    decoderLayers = 6,
    sourceVocab = 0,
    dropout = 0,
  } = checkOptions('Transformer', options);
  const { embeddingScale: scale = true, positions, ...remaining } = options;
  const config = withDefaults<TransformerConfig>(remaining, {
    dModel,
    heads,
    kvHeads: heads,
    encoderLayers,
    decoderLayers,
    dFF: 4 * dModel,
    activation: 'relu',
    gated: false,
    norm: 'post',
    normalization: 'layer',
    finalNorm: true,
    bias: true,
    positions: resolvePositions(positions),
    dropout,
    activationDropout: dropout,
    sourceVocab,
    targetVocab: decoderLayers > 0 ? 0 : sourceVocab,
    tieEmbeddings: false,
    maxLength: 1024,
    layerNormEps: 1e-5,
    embeddingScale: scale === true || scale === 'sqrt(dModel)' ? Math.sqrt(dModel) : scale === false ? 1 : scale,
    padId: encoderLayers > 0 ? 0 : null,
    bosId: 1,
    eosId: 2,
    seed: DEFAULT_SEED,
  });
  checkKnown('Transformer', options, Object.keys(config) as (keyof TransformerOptions)[], OTHER_NAMES);
  checkEach(config, options);
  checkTogether(config);
  return config;
}

/** Checks single values. `options` distinguishes omitted options from 0. */
function checkEach(config: TransformerConfig, options: TransformerOptions): void {
  const { maxLength, encoderLayers, decoderLayers, bosId, eosId, seed, padId, tieEmbeddings } = config;
  const { dModel, heads, kvHeads, bias, dFF, activation, gated } = config;
  checkMultiHead('Transformer', { dModel, heads, kvHeads, bias });
  checkFeedForward('Transformer', { dModel, dFF, activation, gated });
  checkOneOf('Transformer', 'norm', config.norm, ['pre', 'post']);
  checkOneOf('Transformer', 'normalization', config.normalization, ['layer', 'rms']);
  checkOneOf('Transformer', 'finalNorm', config.finalNorm, [true, false]);
  checkNumber('Transformer', 'layerNormEps', config.layerNormEps, isNotNegative, 'a number, 0 or more');
  checkSizes('Transformer', { maxLength }, 1);
  const ids = { bosId: bosId ?? 0, eosId: eosId ?? 0, padId: padId ?? 0 }; // null means that there is no such token
  checkSizes('Transformer', { encoderLayers, decoderLayers, ...ids }, 0);
  checkSeed('Transformer', seed);
  check(encoderLayers + decoderLayers > 0, 'encoderLayers and decoderLayers are both 0, expected one of them above');
  if (encoderLayers > 0) checkSizes('Transformer', { sourceVocab: options.sourceVocab }, 1);
  checkSizes('Transformer', { targetVocab: (decoderLayers > 0 ? options : config).targetVocab }, 1);
  for (const name of ['dropout', 'activationDropout'] as const) {
    checkNumber('Transformer', name, config[name], isFraction, 'a number from 0 to below 1');
  }
  const isScale = Number.isFinite(config.embeddingScale);
  check(
    isScale,
    `embeddingScale is ${describeValue(options.embeddingScale)}, expected a number, a boolean or 'sqrt(dModel)'`,
  );
  checkOneOf('Transformer', 'tieEmbeddings', tieEmbeddings, [true, false, 'all']);
}

function checkTogether(config: TransformerConfig): void {
  const { dModel, heads, encoderLayers, decoderLayers, sourceVocab, targetVocab, tieEmbeddings } = config;
  const shares = tieEmbeddings === 'all' || (tieEmbeddings && decoderLayers === 0);
  const oneVocabulary = !shares || encoderLayers === 0 || sourceVocab === targetVocab;
  const vocabularies = `sourceVocab is ${sourceVocab} and targetVocab ${targetVocab}`;
  check(oneVocabulary, `tieEmbeddings needs one vocabulary, but ${vocabularies}`);
  const width = dModel / heads;
  const turns = config.positions.kind !== 'rotary' || width % 2 === 0;
  check(turns, `positions 'rotary' need heads of an even width, not ${width}`);
}

function check(condition: boolean, message: string): void {
  if (!condition) throw new ArgumentError(`Transformer: ${message}`);
}
