// What a Transformer can be made of.

import { checkNumber, checkOneOf, checkOptions, isNotNegative, isPart } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { type Positions, resolvePositions } from '../nn/positions.js';
import { type Activation, activationKind } from '../ops/activation.js';

/**
 * Defaults are those of the base model of "Attention Is All You Need" where not said otherwise. Other names are left
 * alone: configurations that come with weights say more than sizes.
 */
export interface TransformerOptions {
  /** Features of every token. Default 512. */
  dModel?: number;
  /** Attention heads; divides dModel. Default 8. */
  heads?: number;
  /** Heads of keys and values, each shared by heads/kvHeads heads of queries; divides heads. Default `heads`. */
  kvHeads?: number;
  /** Default 6. 0 makes a decoder-only model: a language model. */
  encoderLayers?: number;
  /** Default 6. 0 makes an encoder-only model: one output for each source token. */
  decoderLayers?: number;
  /** Hidden features of the feed-forward networks. Default 4 · dModel. */
  dFF?: number;
  /** Of the feed-forward networks. Default `relu`. */
  activation?: Activation;
  /**
   * Whether a second projection of the input multiplies the hidden features (Shazeer 2020, "GLU Variants Improve
   * Transformer"): SwiGLU with activation `silu`, GEGLU with `gelu`. Default false.
   */
  gated?: boolean;
  /** What is normalised: mean and variance (`layer`, default), or the root mean square alone, without a bias (`rms`). */
  normalization?: 'layer' | 'rms';
  /** Normalisation before the sub-layers or after the residual additions. Default `post`, as in the paper. */
  norm?: 'pre' | 'post';
  /** A normalisation after the last layer of each stack. Default true, as in PyTorch's nn.Transformer. */
  finalNorm?: boolean;
  /**
   * Whether linear layers, normalisations and the output projection add a bias: PyTorch's `bias` of nn.Transformer,
   * which has no output projection, and nanoGPT's. Default true.
   */
  bias?: boolean;
  /** How tokens know where they stand. Default `sinusoidal`. */
  positions?: Positions | Positions['kind'];
  /**
   * The probability of dropping, in training mode, an element of the embeddings, of each sub-layer's output and of the
   * hidden layer of the feed-forward networks (PyTorch's places; the attention probabilities, which never exist as a
   * whole here, are not dropped). Default 0; the paper's base model has 0.1.
   */
  dropout?: number;
  /** Ids of the source are below it. Needed with encoder layers. */
  sourceVocab?: number;
  /**
   * Ids of the target are below it, and it is the number of logits. Needed with decoder layers; otherwise
   * `sourceVocab`.
   */
  targetVocab?: number;
  /**
   * Whether the output projection is the target embedding (encoder-only: the source embedding). `all`, as in the paper:
   * source and target embedding are one, too. Default false.
   */
  tieEmbeddings?: boolean | 'all';
  /** The longest sequence, source or target. Default 1024. */
  maxLength?: number;
  /** Default 1e-5. */
  layerNormEps?: number;
  /** Multiplies the token embeddings; true (default) and `sqrt(dModel)`: √dModel as in the paper; false: 1. */
  embeddingScale?: number | boolean | 'sqrt(dModel)';
  /**
   * At the end of a row this id is padding, and no label to learn anywhere. null: none. Default 0, null for
   * decoder-only.
   */
  padId?: number | null;
  /** Begins what is generated, for which it must be below `targetVocab`. Default 1. */
  bosId?: number;
  /** Ends what is generated; nothing does if it is not below `targetVocab`. Default 2. */
  eosId?: number;
  /** Of the initial parameters and of dropout. Default 0. */
  seed?: number;
}

export interface TransformerConfig extends Required<TransformerOptions> {
  readonly positions: Required<Positions>;
  readonly embeddingScale: number;
}

/** All options with their defaults. Throws ArgumentError, naming the option, if they make no model. */
export function resolveConfig(options: TransformerOptions): TransformerConfig {
  checkOptions('Transformer', options);
  const {
    dModel = 512,
    heads = 8,
    encoderLayers = 6,
    decoderLayers = 6,
    finalNorm = true,
    bias = true,
    gated = false,
    normalization = 'layer',
    tieEmbeddings = false,
  } = options;
  const {
    kvHeads = heads,
    dFF = 4 * dModel,
    activation = 'relu',
    norm = 'post',
    dropout = 0,
    maxLength = 1024,
  } = options;
  const { layerNormEps = 1e-5, bosId = 1, eosId = 2, seed = 0, padId = encoderLayers > 0 ? 0 : null } = options;
  const { embeddingScale: scale = true } = options;
  const embeddingScale = scale === true || scale === 'sqrt(dModel)' ? Math.sqrt(dModel) : scale === false ? 1 : scale;
  const { sourceVocab = 0, targetVocab = decoderLayers > 0 ? 0 : sourceVocab } = options;

  checkCounts({ dModel, heads, kvHeads, dFF, maxLength }, 1);
  checkCounts({ encoderLayers, decoderLayers, bosId, eosId, seed, padId: padId ?? 0 }, 0);
  check(encoderLayers + decoderLayers > 0, 'encoderLayers and decoderLayers are both 0');
  if (encoderLayers > 0) checkCounts({ sourceVocab }, 1);
  checkCounts({ targetVocab }, 1);
  check(dModel % heads === 0, `dModel is ${dModel}, expected a multiple of heads, ${heads}`);
  check(heads % kvHeads === 0, `heads is ${heads}, expected a multiple of kvHeads, ${kvHeads}`);
  activationKind('Transformer', activation);
  checkOneOf('Transformer', 'norm', norm, ['pre', 'post']);
  checkOneOf('Transformer', 'normalization', normalization, ['layer', 'rms']);
  for (const [name, value] of Object.entries({ finalNorm, bias, gated })) {
    check(typeof value === 'boolean', `${name} is ${value}, expected true or false`);
  }
  checkNumber('Transformer', 'dropout', dropout, isPart, 'a probability below 1');
  checkNumber('Transformer', 'layerNormEps', layerNormEps, isNotNegative, 'a number, 0 or more');
  check(Number.isFinite(embeddingScale), `embeddingScale is ${scale}, expected a number, a boolean or 'sqrt(dModel)'`);
  check([true, false, 'all'].includes(tieEmbeddings), `tieEmbeddings is ${tieEmbeddings}, expected a boolean or 'all'`);
  const shares = tieEmbeddings === 'all' || (tieEmbeddings && decoderLayers === 0);
  const oneVocabulary = !shares || encoderLayers === 0 || sourceVocab === targetVocab;
  check(
    oneVocabulary,
    `tieEmbeddings needs one vocabulary, but sourceVocab is ${sourceVocab} and targetVocab ${targetVocab}`,
  );

  const positions = resolvePositions(options.positions);
  const width = dModel / heads;
  check(positions.kind !== 'rotary' || width % 2 === 0, `positions 'rotary' need heads of an even width, not ${width}`);

  return {
    dModel,
    heads,
    kvHeads,
    encoderLayers,
    decoderLayers,
    dFF,
    activation,
    gated,
    norm,
    normalization,
    finalNorm,
    bias,
    positions,
    dropout,
    sourceVocab,
    targetVocab,
    tieEmbeddings,
    maxLength,
    layerNormEps,
    embeddingScale,
    padId,
    bosId,
    eosId,
    seed,
  };
}

function checkCounts(values: Readonly<Record<string, number>>, least: number): void {
  for (const [name, value] of Object.entries(values)) {
    check(
      Number.isInteger(value) && value >= least && value < 2 ** 31,
      `${name} is ${value}, expected an integer from ${least} on`,
    );
  }
}

function check(condition: boolean, message: string): void {
  if (!condition) throw new ArgumentError(`Transformer: ${message}`);
}
