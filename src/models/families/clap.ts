import { checkDType, describeShape, describeValue } from '../../core/check.js';
import { ArgumentError, FormatError, ShapeError } from '../../core/errors.js';
import { Tensor } from '../../core/tensor.js';
import type { AttentionMaps, AttentionsByKind } from '../../inspect/attention-maps.js';
import type { MultiHeadAttention } from '../../nn/attention.js';
import { BatchNorm } from '../../nn/batch-norm.js';
import { Conv2d } from '../../nn/conv.js';
import type { Randomness } from '../../nn/dropout.js';
import type { Initializer } from '../../nn/init.js';
import type { GridSize } from '../../nn/interpolation.js';
import { Linear, type Projection } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import { pool } from '../../nn/pooling.js';
import { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { rowsOf } from '../../nn/token-batch.js';
import { type Activation, relu, sigmoid } from '../../ops/activation.js';
import { add, mul, scale, sub } from '../../ops/binary.js';
import { interpolate } from '../../ops/interpolate.js';
import { matmul } from '../../ops/matmul.js';
import { concat, gather, permute, slice } from '../../ops/move.js';
import { pad } from '../../ops/pad.js';
import { mean } from '../../ops/reduce.js';
import { exp } from '../../ops/unary.js';
import { activationOf, heightAndWidth } from '../config-values.js';
import { contrast, pairLoss, wantsLoss } from '../dual-encoder-model.js';
import type { Family } from '../family.js';
import {
  type ForwardOptions,
  type ModelInputs,
  type ModelOutput,
  PaddedBatch,
  type Rows,
  unpackMaps,
} from '../inputs.js';
import { ModelConfig } from '../model-config.js';
import { checkHead, type PredictionHead } from '../prediction-head.js';
import { type BatchLayout, type FamilyContext, PretrainedModel } from '../pretrained-model.js';
import { embeddingNames, type TextEmbeddings } from '../text-embeddings.js';
import { bertEmbeddings, bertLayer, bertLayerNames, bertPooler } from './bert.js';
import { type Patches, type SwinStage, swinStageNames, swinStages } from './swin.js';

/**
 * CLAP (Wu et al. 2022, arXiv 2211.06687): an encoder of texts, which is RoBERTa, and an encoder of sounds, which is
 * Swin over a spectrogram (HTS-AT, arXiv 2202.00874). Their vectors are comparable. The model types `clap_text_model`
 * and `clap_audio_model` have one of them.
 */
export class Clap extends PretrainedModel {
  readonly text: ClapText | null;
  readonly audio: ClapAudio | null;
  readonly textProjection: ClapProjection | null;
  readonly audioProjection: ClapProjection | null;
  /** Scalars: logarithms of the factors that turn cosines into logits, one for texts (T) and one for sounds (A). */
  readonly logitScaleT: Tensor | null;
  readonly logitScaleA: Tensor | null;
  override readonly head = null;
  override readonly decoder = null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config, head } = context;
    const isBoth = config.type === 'clap';
    checkHead(context, isBoth ? ['none'] : ['none', 'projection']);
    const configOf = (side: 'text' | 'audio') => {
      if (isBoth) return new ModelConfig(config.object(`${side}_config`));
      return config.type === `clap_${side}_model` ? config : null;
    };
    const [text, audio] = [configOf('text'), configOf('audio')];
    this.text = text && new ClapText(init, text, this.randomness);
    this.audio = audio && new ClapAudio(init, audio, this.randomness);
    const projection = (side: ModelConfig | null) =>
      side && (isBoth || head === 'projection') ? new ClapProjection(init, side.size('hidden_size'), config) : null;
    this.textProjection = projection(text);
    this.audioProjection = projection(audio);
    const logarithm = () => (isBoth ? init.constant([], Math.log(config.number('logit_scale_init_value'))) : null);
    this.logitScaleT = logarithm();
    this.logitScaleA = logarithm();
  }

  override get encoder(): Stack | null {
    return this.text && !this.audio ? this.text.encoder : null;
  }

  override get attentions(): AttentionsByKind {
    const texts = this.text?.encoder.layers.flatMap((layer) => layer.selfAttentions) ?? [];
    return { encoder: [...texts, ...(this.audio?.attentions ?? [])], decoder: [], cross: [] };
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    const names: (keyof ModelInputs)[] = [];
    if (this.text) names.push('inputIds', 'attentionMask');
    if (this.audio) names.push('inputFeatures');
    if (this.audio?.patches.fusion) names.push('isLonger');
    return names;
  }

  protected override *runInParts(
    inputs: ModelInputs,
    options: ForwardOptions,
    layout: BatchLayout,
  ): Generator<unknown, ModelOutput> {
    const { inputIds, inputFeatures } = inputs;
    // Inputs of one kind give the output of its encoder.
    const hasBoth = this.text !== null && this.audio !== null && !inputIds === !inputFeatures;
    const [text, audio] = [hasBoth || !inputFeatures ? this.text : null, hasBoth || !inputIds ? this.audio : null];
    const read = text && (yield* this.#read(text, inputs, options, layout));
    const heard = audio && (yield* this.#encodeSound(audio, inputs, options));
    if (read && heard) return this.#compare(read, heard, options);
    if (this.text && this.audio && options.loss)
      throw new ArgumentError('forward: a loss is asked for, expected texts and sounds');
    const output = (read ?? heard) as TowerResult;
    const projection = text ? this.textProjection : this.audioProjection;
    if (!projection) return output;
    const { poolerOutput, ...rest } = output;
    return { ...rest, [text ? 'textEmbeds' : 'audioEmbeds']: projection.forward(poolerOutput) };
  }

  *#read(
    text: ClapText,
    inputs: ModelInputs,
    { hiddenStates }: ForwardOptions,
    layout: BatchLayout,
  ): Generator<unknown, TowerResult> {
    const { inputIds, attentionMask } = inputs;
    const padded = PaddedBatch.from(this.device, 'inputIds', inputIds, attentionMask, 'keptIfLeading');
    layout.source = padded;
    const states: Tensor[] = [];
    const features = yield* text.forward(padded, states);
    return {
      lastHiddenState: padded.unpack(features),
      poolerOutput: text.pooler.forward(features, padded.batch),
      ...(hiddenStates && { hiddenStates: states.map((state) => padded.unpack(state)) }),
    };
  }

  *#encodeSound(
    audio: ClapAudio,
    { inputFeatures, isLonger }: ModelInputs,
    { hiddenStates }: ForwardOptions,
  ): Generator<unknown, TowerResult> {
    const { states, x, batch, grid } = yield* audio.forward(inputFeatures, isLonger);
    return {
      lastHiddenState: audio.byFrequency(x, batch.size, grid),
      poolerOutput: pool(x, batch, 'mean'),
      ...(hiddenStates && { hiddenStates: states.map(imageOf) }),
    };
  }

  #compare(read: TowerResult, heard: TowerResult, options: ForwardOptions): ModelOutput {
    const texts = (this.textProjection as ClapProjection).forward(read.poolerOutput);
    const sounds = (this.audioProjection as ClapProjection).forward(heard.poolerOutput);
    const { logits, embeds } = contrast(texts, sounds, this.logitScaleT as Tensor);
    const [textEmbeds, audioEmbeds] = embeds;
    const cosines = matmul(audioEmbeds, textEmbeds, { transposeB: true });
    const logitsPerAudio = mul(cosines, exp(this.logitScaleA as Tensor));
    const output: ModelOutput = {
      logitsPerText: logits,
      logitsPerAudio,
      textEmbeds,
      audioEmbeds,
      textModelOutput: read,
      audioModelOutput: heard,
    };
    if (wantsLoss(texts, sounds, 'sounds', options)) output.loss = pairLoss(logits, logitsPerAudio);
    return output;
  }

  protected override mapsOf({ encoder }: AttentionMaps, output: ModelOutput, { source }: BatchLayout): ModelOutput {
    const { textModelOutput, audioModelOutput } = output;
    if (!textModelOutput || !audioModelOutput) return { attentions: unpackMaps(encoder, source) };
    const layers = this.text?.encoder.layers.length;
    return {
      textModelOutput: { ...textModelOutput, attentions: unpackMaps(encoder.slice(0, layers), source) },
      audioModelOutput: { ...audioModelOutput, attentions: encoder.slice(layers) },
    };
  }

  protected override embedSource(ids: Tensor, positions: Tensor): Tensor {
    if (this.text) return this.text.embeddings.forward(ids, positions, null);
    throw new ArgumentError('encode: the model reads sound, expected forward() with inputFeatures');
  }

  protected override embedTarget(): Tensor {
    throw new ArgumentError('step: the model has no decoder');
  }

  override get vocabSize(): number {
    return this.text?.embeddings.tokens.weight.shape[0] ?? 0;
  }

  override get maxLength(): number {
    return this.text?.embeddings.positionLimit ?? 0;
  }

  override get startId(): number | null {
    return null;
  }

  override get endIds(): readonly number[] {
    return [];
  }

  /** @internal Checkpoints contain the token type ids of all positions. They are 0. */
  override ignores(name: string): boolean {
    return name.endsWith('embeddings.token_type_ids');
  }

  /** Checkpoints of one encoder without a projection name its parts without a prefix. */
  protected override get bodyName(): string {
    if (this.settings.type === 'clap') return 'clap';
    return this.text ? 'text_model' : 'audio_model';
  }

  protected override get stateNames(): StateNames {
    const [audio, fusion] = ['audio_model.audio_encoder', 'audio_model.audio_encoder.patch_embed.fusion_model'];
    return {
      ...embeddingNames('text_model.embeddings', 'text.embeddings'),
      ...bertLayerNames('text_model.encoder.layer.*', 'text.encoder'),
      'text.pooler': 'text_model.pooler',
      ...swinStageNames('audio.stages.*', `${audio}.layers.*`),
      'audio.patches.fusion.crops': `${audio}.patch_embed.mel_conv2d`,
      ...bottleneckNames('audio.patches.fusion.local', `${fusion}.local_att`, 0),
      ...bottleneckNames('audio.patches.fusion.global', `${fusion}.global_att`, 1),
      'audio.patches.projection': `${audio}.patch_embed.proj`,
      'audio.patches': `${audio}.patch_embed`,
      audio,
    };
  }
}

/** Output of one encoder. */
type TowerResult = ModelOutput & { readonly lastHiddenState: Tensor; readonly poolerOutput: Tensor };

/** RoBERTa without a head. */
class ClapText extends Module {
  readonly embeddings: TextEmbeddings;
  readonly encoder: Stack;
  readonly pooler: PredictionHead;
  readonly #paddingId: number;

  constructor(init: Initializer, config: ModelConfig, randomness: Randomness) {
    super();
    this.#paddingId = config.number('pad_token_id');
    this.embeddings = bertEmbeddings(init, config, randomness, { firstPosition: this.#paddingId + 1 });
    this.encoder = new Stack(config.size('num_hidden_layers'), () => bertLayer(init, config, randomness), null);
    this.pooler = bertPooler({ init, config, head: 'none' }) as PredictionHead;
  }

  /** Returns float32 [N, hidden]. `hiddenStates` receives the input of each layer and the result. Throws ShapeError. */
  *forward(padded: PaddedBatch, hiddenStates: Tensor[]): Generator<unknown, Tensor> {
    const { ids, counts } = padded.batch;
    const limit = this.embeddings.positionLimit;
    const long = padded.isToken === null ? counts.findIndex((count) => count > limit) : -1;
    if (long >= 0)
      throw new ShapeError(
        `forward: sequence ${long} of inputIds has ${counts[long]} tokens, expected at most ${limit}`,
      );
    const x = this.embeddings.forward(ids, padded.positionsWithout(this.#paddingId), null);
    return yield* this.encoder.forwardInParts(x, padded.sequences, { hiddenStates });
  }
}

/** Swin over spectrograms that are folded into squares. */
class ClapAudio extends Module {
  readonly batchNorm: BatchNorm;
  readonly patches: ClapPatches;
  readonly stages: readonly SwinStage[];
  readonly norm: LayerNorm;
  readonly #bins: number;
  /** Height and width of a spectrogram after `#fold`. */
  readonly #side: number;
  /** Number of sections in time that `#fold` stacks on the frequency axis. */
  readonly #sections: number;

  constructor(init: Initializer, config: ModelConfig, randomness: Randomness) {
    super();
    const [bins, side] = [config.size('num_mel_bins'), config.size('spec_size')];
    const sections = Math.floor(side / bins);
    if (sections < 1 || side % sections !== 0)
      refuse(`spec_size is ${side}, expected a multiple of ⌊spec_size / num_mel_bins⌋, which is at least 1`);
    this.#bins = bins;
    this.#side = side;
    this.#sections = sections;
    this.batchNorm = new BatchNorm(init, bins, { channelsLast: true });
    this.patches = new ClapPatches(init, config);
    const dModel = config.size('patch_embeds_hidden_size');
    const heads = 'num_attention_heads';
    this.stages = swinStages(init, config, randomness, {
      dModel,
      heads,
      attentionDropout: 'attention_probs_dropout_prob',
    });
    const halves = 2 ** (this.stages.length - 1);
    const width = dModel * halves;
    if (config.size('hidden_size') !== width)
      refuse(`hidden_size of the audio encoder is ${config.size('hidden_size')}, expected ${width} after its stages`);
    const rows = this.patches.grid[0] / halves;
    if (
      this.patches.grid.some((size) => size % halves !== 0) ||
      rows < sections ||
      rows % Math.floor(rows / sections) !== 0
    )
      refuse(`spec_size is ${side}, whose patches cannot be halved for each stage and split by frequency`);
    this.norm = new LayerNorm(init, width);
  }

  /** Attention of the last layer of each stage. transformers returns the maps of these layers. */
  get attentions(): readonly MultiHeadAttention[] {
    return this.stages.flatMap(({ layers }) => layers.at(-1)?.selfAttentions ?? []);
  }

  /**
   * `features`: float32 [B, channels, frames, mel bins]. The result also has the input of the first stage and the
   * output of each. Yields after each layer. Throws ArgumentError, DTypeError, ShapeError.
   */
  *forward(
    features: Tensor | undefined,
    isLonger: Rows | undefined,
  ): Generator<unknown, Patches & { states: readonly Patches[] }> {
    const folded = this.#fold(this.batchNorm.forward(this.#checked(features)));
    const states = [this.patches.forward(folded, isLonger)];
    for (const stage of this.stages) states.push(yield* stage.forwardInParts(states.at(-1) as Patches));
    const last = states.at(-1) as Patches;
    return { ...last, x: this.norm.forward(last.x), states };
  }

  #checked(features: Tensor | undefined): Tensor {
    if (!(features instanceof Tensor))
      throw new ArgumentError(`forward: inputFeatures is ${describeValue(features)}, expected a tensor`);
    checkDType('forward', 'inputFeatures', features, 'float32');
    const { shape } = features;
    const [channels, max] = [this.patches.channels, this.#side * this.#sections];
    const [, givenChannels, frames = 0, bins] = shape;
    if (shape.length === 4 && givenChannels === channels && frames >= 1 && frames <= max && bins === this.#bins)
      return features;
    throw new ShapeError(
      `forward: inputFeatures is ${describeShape(shape)}, expected [B, ${channels}, up to ${max} frames, ${this.#bins}]`,
    );
  }

  /**
   * Folds spectrograms, [B, channels, frames, bins], into squares, [B, channels, side, side]. Sections in time are
   * stacked on the frequency axis.
   */
  #fold(features: Tensor): Tensor {
    const [side, sections] = [this.#side, this.#sections];
    const [batch, channels, frames, bins] = features.shape as [number, number, number, number];
    const size: GridSize = [side * sections, side / sections];
    const isWhole = frames === size[0] && bins === size[1];
    const whole = isWhole ? features : interpolate(features, { size, mode: 'bicubic', alignCorners: true });
    const stacked = permute(whole.reshape(batch, channels * sections, side, size[1]), [0, 1, 3, 2]);
    return stacked.reshape(batch, channels, side, side);
  }

  /** Reverses `#fold` for the last features: [B · rows · columns, width] → [B, width, frequencies, frames]. */
  byFrequency(x: Tensor, batch: number, [rows, columns]: GridSize): Tensor {
    const frequencies = Math.floor(rows / this.#sections);
    const sections = x.reshape(batch, rows / frequencies, frequencies, columns, -1);
    const width = sections.shape[4] as number;
    return permute(sections, [0, 4, 2, 1, 3]).reshape(batch, width, frequencies, -1);
  }
}

/** Cuts folded spectrograms into patches, and projects and normalizes these. */
class ClapPatches extends Module {
  readonly projection: Conv2d;
  readonly norm: LayerNorm | null;
  readonly fusion: ClapFusion | null;
  /** Channels of the input. With fusion, these are the whole recording and three crops of it. */
  readonly channels: number;
  /** Rows and columns of patches. */
  readonly grid: GridSize;

  constructor(init: Initializer, config: ModelConfig) {
    super();
    config.expect('flatten_patch_embeds', true);
    const fuses = config.flag('enable_fusion');
    if (fuses) config.expect('patch_embed_input_channels', 1);
    if (fuses && config.values.fusion_type === 'channel_map')
      refuse('fusion_type is channel_map, expected another one with enable_fusion');
    const inputs = config.size('patch_embed_input_channels');
    const dModel = config.size('patch_embeds_hidden_size');
    const [side, kernel, stride] = [
      config.size('spec_size'),
      heightAndWidth(config, 'patch_size'),
      heightAndWidth(config, 'patch_stride'),
    ];
    const padding: GridSize = [Math.floor((kernel[0] - stride[0]) / 2), Math.floor((kernel[1] - stride[1]) / 2)];
    const grid = stride.map((step) => Math.floor(side / step)) as unknown as GridSize;
    const isWhole = grid.every((size, i) => {
      const [taps, step, room] = [kernel, stride, padding].map((pair) => pair[i]) as [number, number, number];
      return room >= 0 && Math.floor((side + 2 * room - taps) / step) + 1 === size;
    });
    if (!isWhole)
      refuse(`patch_size is ${kernel.join(' × ')}, which does not make ${grid.join(' × ')} patches by patch_stride`);
    this.channels = fuses ? 1 + CROPS : inputs;
    this.grid = grid;
    this.projection = new Conv2d(init, { inputs, outputs: dModel, kernel, stride, padding, channelsLast: true });
    this.norm = config.flag('enable_patch_layer_norm') ? new LayerNorm(init, dModel) : null;
    this.fusion = fuses ? new ClapFusion(init, config, { kernel, stride, padding }) : null;
  }

  /** `images`: float32 [B, channels, side, side]. Throws ArgumentError, ShapeError for a wrong `isLonger`. */
  forward(images: Tensor, isLonger: Rows | undefined): Patches {
    const { fusion, grid } = this;
    const whole = fusion ? slice(images, 1, 0, 1) : images;
    const projected = this.projection.forward(permute(whole, [0, 2, 3, 1])); // [B, rows, columns, dModel]
    const patches = fusion?.forward(projected, images, isLonger) ?? projected;
    const batch = images.shape[0] as number;
    const count = grid[0] * grid[1];
    const x = patches.reshape(batch * count, -1);
    return { x: this.norm?.forward(x) ?? x, batch: Sequences.of(x.device, Array<number>(batch).fill(count)), grid };
  }
}

/** Number of crops of a long recording, which the model reads in addition to the whole. */
const CROPS = 3;

interface PatchShape {
  readonly kernel: GridSize;
  readonly stride: GridSize;
  readonly padding: GridSize;
}

/** Mixes the patches of long recordings with those of crops of them (attentional feature fusion, arXiv 2009.14082). */
class ClapFusion extends Module {
  readonly crops: Conv2d;
  readonly local: Bottleneck;
  readonly global: Bottleneck;

  constructor(init: Initializer, config: ModelConfig, { kernel, stride, padding }: PatchShape) {
    super();
    const dModel = config.size('patch_embeds_hidden_size');
    const inner = Math.floor(dModel / config.size('aff_block_r'));
    if (inner < 1) refuse(`aff_block_r is ${config.size('aff_block_r')}, expected at most ${dModel}`);
    const wide = ([height, width]: GridSize): GridSize => [height, width * CROPS];
    this.crops = new Conv2d(init, {
      inputs: 1,
      outputs: dModel,
      kernel: wide(kernel),
      stride: wide(stride),
      padding,
      channelsLast: true,
    });
    this.local = new Bottleneck(init, dModel, inner);
    this.global = new Bottleneck(init, dModel, inner);
  }

  /** `whole` and the result: float32 [B, rows, columns, dModel]. `images`: float32 [B, 1 + crops, side, side]. */
  forward(whole: Tensor, images: Tensor, isLonger: Rows | undefined): Tensor {
    const [batch, rows, columns, dModel] = whole.shape as [number, number, number, number];
    const long = longOf(isLonger, batch);
    if (long.length === 0) return whole;
    const ids = (indices: readonly number[]) => whole.device.tensor(Int32Array.from(indices));
    const { shape } = images;
    const crops = gather(slice(images, 1, 1, 1 + CROPS).reshape(batch, -1), ids(long));
    const count = long.length;
    const seen = this.crops.forward(crops.reshape(count * CROPS, shape[2] as number, shape[3] as number, 1));
    const width = seen.shape[2] as number;
    const beside = permute(seen.reshape(count, CROPS, rows, width, dModel), [0, 2, 1, 3, 4]);
    const residual = pad(beside.reshape(count, rows, CROPS * width, dModel), [0, 0, 0, columns - CROPS * width]);
    const flat = whole.reshape(batch, -1);
    const longRows = gather(flat, ids(long)).reshape(count, rows, columns, dModel);
    const mixed = this.#mix(longRows, residual).reshape(count, -1);
    const indices = Array.from({ length: batch }, (_, i) => (long.includes(i) ? batch + long.indexOf(i) : i));
    return gather(concat([flat, mixed]), ids(indices)).reshape(batch, rows, columns, dModel);
  }

  /** Returns 2 · (w ⊙ x + (1 − w) ⊙ residual). The weights w depend on each patch and on the mean of all patches. */
  #mix(x: Tensor, residual: Tensor): Tensor {
    const sum = add(x, residual);
    const overall = mean(sum, { axis: [1, 2], keepDims: true });
    const share = sigmoid(add(this.local.forward(sum), this.global.forward(overall)));
    return scale(add(residual, mul(share, sub(x, residual))), 2);
  }
}

/** Two 1 × 1 convolutions with batch norms. */
class Bottleneck extends Module {
  readonly conv1: Conv2d;
  readonly norm1: BatchNorm;
  readonly conv2: Conv2d;
  readonly norm2: BatchNorm;

  constructor(init: Initializer, dModel: number, inner: number) {
    super();
    this.conv1 = new Conv2d(init, { inputs: dModel, outputs: inner, kernel: [1, 1], channelsLast: true });
    this.norm1 = new BatchNorm(init, inner, { channelsLast: true });
    this.conv2 = new Conv2d(init, { inputs: inner, outputs: dModel, kernel: [1, 1], channelsLast: true });
    this.norm2 = new BatchNorm(init, dModel, { channelsLast: true });
  }

  /** `x` and the result: float32 [B, rows, columns, dModel]. */
  forward(x: Tensor): Tensor {
    const hidden = relu(this.norm1.forward(this.conv1.forward(x)));
    return this.norm2.forward(this.conv2.forward(hidden));
  }
}

/** Returns the names of a `Bottleneck` whose first layer has the index `first` in the checkpoint's list. */
function bottleneckNames(path: string, list: string, first: number): StateNames {
  return {
    [`${path}.conv1`]: `${list}.${first}`,
    [`${path}.norm1`]: `${list}.${first + 1}`,
    [`${path}.conv2`]: `${list}.${first + 3}`,
    [`${path}.norm2`]: `${list}.${first + 4}`,
  };
}

/** Indices of the recordings that are marked as long. Throws ArgumentError, ShapeError. */
function longOf(isLonger: Rows | undefined, batch: number): number[] {
  if (isLonger === undefined)
    throw new ArgumentError('forward: isLonger is missing, expected 0 or 1 for each recording');
  const { rows } = rowsOf('isLonger', isLonger, null);
  if (rows.length !== batch || rows.some(({ length }) => length !== 1))
    throw new ShapeError(`forward: isLonger has ${rows.length} rows, expected ${batch} of one number`);
  return rows.flatMap((row, i) => (row[0] === 1 ? [i] : []));
}

/** Two linear layers with an activation between them, which project an encoder's output to the shared space. */
class ClapProjection extends Module {
  readonly linear1: Projection;
  readonly linear2: Projection;
  readonly #activation: Activation;

  constructor(init: Initializer, inputs: number, config: ModelConfig) {
    super();
    const outputs = config.size('projection_dim');
    this.linear1 = new Linear(init, inputs, outputs);
    this.linear2 = new Linear(init, outputs, outputs);
    this.#activation = activationOf(config.text('projection_hidden_act'));
  }

  /** `x`: float32 [B, inputs]. Returns float32 [B, outputs]. */
  forward(x: Tensor): Tensor {
    return this.linear2.forward(this.linear1.forward(x, this.#activation));
  }
}

/** Returns patches as an image, [B, features, rows, columns]. */
function imageOf({ x, batch, grid }: Patches): Tensor {
  return permute(x.reshape(batch.size, grid[0], grid[1], -1), [0, 3, 1, 2]);
}

function refuse(reason: string): never {
  throw new FormatError(`config.json: ${reason}`);
}

const projection = { projection_dim: 512, projection_hidden_act: 'relu' };

export const clap: Family = {
  model: Clap,
  className: 'Clap',
  defaults: { ...projection, logit_scale_init_value: 1 / 0.07 },
  parts: { text_config: 'clap_text_model', audio_config: 'clap_audio_model' },
  towerHead: 'projection',
  vocabulary: 'roberta',
};

export const clapTextModel: Family = {
  model: Clap,
  className: 'ClapText',
  defaults: {
    ...projection,
    vocab_size: 50265,
    hidden_size: 768,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    intermediate_size: 3072,
    hidden_act: 'gelu',
    hidden_dropout_prob: 0.1,
    attention_probs_dropout_prob: 0.1,
    max_position_embeddings: 514,
    type_vocab_size: 1,
    layer_norm_eps: 1e-12,
    pad_token_id: 1,
    bos_token_id: 0,
    eos_token_id: 2,
  },
  vocabulary: 'roberta',
};

export const clapAudioModel: Family = {
  model: Clap,
  className: 'ClapAudio',
  defaults: {
    ...projection,
    window_size: 8,
    num_mel_bins: 64,
    spec_size: 256,
    hidden_act: 'gelu',
    patch_size: 4,
    patch_stride: [4, 4],
    hidden_size: 768,
    depths: [2, 2, 6, 2],
    num_attention_heads: [4, 8, 16, 32],
    enable_fusion: false,
    hidden_dropout_prob: 0.1,
    fusion_type: null,
    patch_embed_input_channels: 1,
    flatten_patch_embeds: true,
    patch_embeds_hidden_size: 96,
    enable_patch_layer_norm: true,
    drop_path_rate: 0,
    attention_probs_dropout_prob: 0,
    qkv_bias: true,
    mlp_ratio: 4,
    aff_block_r: 4,
    layer_norm_eps: 1e-5,
  },
};
