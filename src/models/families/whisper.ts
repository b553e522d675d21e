import { describeShape, describeValue } from '../../core/check.js';
import { ArgumentError, ShapeError } from '../../core/errors.js';
import { atOnce } from '../../core/slices.js';
import { sameShape, Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Conv1d } from '../../nn/conv.js';
import type { Memory } from '../../nn/decoder-state.js';
import { Dropout, type Randomness } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import type { Initializer } from '../../nn/init.js';
import { Linear } from '../../nn/linear.js';
import { inference, Module } from '../../nn/module.js';
import { sinusoids } from '../../nn/positions.js';
import { Sequences } from '../../nn/sequences.js';
import type { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import type { Tokens } from '../../nn/token-batch.js';
import { gelu } from '../../ops/activation.js';
import { add } from '../../ops/binary.js';
import { concat, slice, transpose } from '../../ops/move.js';
import { bartStack, bartStackNames } from '../bart-stack.js';
import type { Family } from '../family.js';
import type { ModelInputs } from '../inputs.js';
import { labelsOf } from '../labels.js';
import type { ModelConfig } from '../model-config.js';
import { checkHead, PredictionHead, vocabularyOutput } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { type EncodedSource, Seq2SeqModel } from '../seq2seq-model.js';
import { SoundModel } from '../sound-model.js';

/**
 * Whisper (Radford et al. 2022, arXiv 2212.04356). Two convolutions turn every two frames of a log-mel spectrogram into
 * one vector. Pre-norm layers encode these vectors, and a decoder writes the text.
 */
export class Whisper extends Seq2SeqModel {
  readonly spectrogram: Spectrogram;
  readonly targetTokens: Embedding;
  readonly targetPositions: Embedding;
  readonly targetDropout: Dropout;
  readonly encoder: Stack;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context, ['none', 'language-model']);
    const { init, config, head } = context;
    const dModel = config.size('d_model');
    this.spectrogram = new Spectrogram(init, config, this.randomness);
    this.targetTokens = new Embedding(init, config.size('vocab_size'), dModel);
    this.targetPositions = new Embedding(init, config.size('max_target_positions'), dModel);
    this.targetDropout = new Dropout(config.number('dropout'), this.randomness);
    this.encoder = bartStack(init, config, 'encoder', this.randomness, DESIGN);
    this.decoder = bartStack(init, config, 'decoder', this.randomness, DESIGN);
    const isTied = config.flag('tie_word_embeddings');
    const out = head === 'none' ? null : vocabularyOutput(init, this.targetTokens, isTied, false);
    this.head = out && new PredictionHead({ pick: 'tokens', out });
    clearKeyBiases(this);
  }

  /** Sources are log-mel spectrograms. */
  get featureShape(): readonly number[] {
    return [this.settings.size('num_mel_bins'), 2 * this.maxSourceLength];
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return ['inputFeatures', 'decoderInputIds', 'decoderAttentionMask', 'labels'];
  }

  /** Shape of an encoder's output, which is also accepted as a source. */
  get encodedShape(): readonly number[] {
    return [this.maxSourceLength, this.settings.size('d_model')];
  }

  /**
   * `source`: float32 [B, mel bins, frames], or [B, positions, dModel] as an earlier result's `hidden`. The result
   * belongs to the current scope. Throws as `forward`.
   */
  override encode(source: Tokens): Memory;
  override encode(source: string | readonly string[]): never;
  override encode(source: unknown): Memory {
    return this.device.scope(() => atOnce(this.encodeInParts(source)));
  }

  /** @internal See `Model.encodeInParts`. */
  override *encodeInParts(source: unknown): Generator<unknown, Memory> {
    this.beginPass();
    const encoded = source instanceof Tensor && sameShape(source.shape.slice(1), this.encodedShape) ? source : null;
    if (encoded === null) return yield* this.#read(source);
    return { hidden: encoded.reshape(-1, encoded.shape[2] as number), batch: this.#sequencesOf(encoded) };
  }

  /** Returns the sequences of the encoder's output: one per source, all of the same length. */
  #sequencesOf({ shape }: Tensor): Sequences {
    return Sequences.of(this.device, Array<number>(shape[0] as number).fill(this.maxSourceLength));
  }

  /**
   * Cross-attention of tokens to audio, one sequence per source. `heads` lists pairs [layer, head]. Returns
   * probabilities, float32 [sequences, heads, longest sequence, positions], zero after shorter sequences. `source` is
   * as in `encode`. Runs without gradients; the result belongs to the current scope. Throws as `forward`, and
   * ArgumentError for unknown heads.
   */
  crossAttention(source: Tensor, tokens: Tokens, heads: readonly (readonly [layer: number, head: number])[]): Tensor {
    const { layers } = this.decoder;
    const cross = layers.map((layer) => layer.multiheadAttn as MultiHeadAttention);
    for (const [layer, head] of heads) {
      if (head >= 0 && head < (cross[layer]?.heads ?? 0)) continue;
      const has = `${layers.length} layers of ${cross[0]?.heads} heads`;
      throw new ArgumentError(`crossAttention: there is no head ${head} in layer ${layer}, expected one of ${has}`);
    }
    return inference(this, () => {
      const memory = this.encode(source);
      const batch = this.toBatch('tokens', tokens);
      const found = new Map<number, Tensor>();
      const wanted = new Set(heads.map(([layer]) => layer));
      for (const layer of wanted)
        (cross[layer] as MultiHeadAttention).observe = ({ weights }) => found.set(layer, weights());
      try {
        this.decoder.forward(this.embedTarget(batch.ids, batch.positions), batch, { memory });
      } finally {
        for (const layer of wanted) (cross[layer] as MultiHeadAttention).observe = null;
      }
      return concat(
        heads.map(([layer, head]) => slice(found.get(layer) as Tensor, 1, head, head + 1)),
        1,
      );
    });
  }

  protected override readSource(source: unknown): Memory {
    return atOnce(this.#read(source));
  }

  protected override encodeInputs({ inputFeatures }: ModelInputs, hiddenStates?: Tensor[]): EncodedSource {
    const memory = atOnce(this.#read(inputFeatures, hiddenStates));
    return { memory, unpack: (x) => x.reshape(memory.batch.size, this.maxSourceLength, -1) };
  }

  /** Yields after each layer. */
  *#read(features: unknown, hiddenStates?: Tensor[]): Generator<unknown, Memory> {
    const spectrogram = checkSpectrogram(features, this.featureShape);
    const batch = this.#sequencesOf(spectrogram);
    const x = this.spectrogram.forward(transpose(spectrogram));
    return { hidden: yield* this.encoder.forwardInParts(x, batch, { hiddenStates }), batch };
  }

  protected embedSource(): Tensor {
    throw new ArgumentError('encode: Whisper reads features, not tokens');
  }

  protected embedTarget(ids: Tensor, positionIds: Tensor): Tensor {
    const paddingId = this.settings.numberOrNull('pad_token_id');
    const positions = this.targetPositions.weight;
    return this.targetDropout.forward(this.targetTokens.forward(ids, { positions, positionIds, paddingId }));
  }

  override get maxSourceLength(): number {
    return this.settings.size('max_source_positions');
  }

  override get maxLength(): number {
    return this.settings.size('max_target_positions');
  }

  protected override get stateNames(): StateNames {
    return {
      ...spectrogramNames,
      target_tokens: 'model.decoder.embed_tokens',
      target_positions: 'model.decoder.embed_positions',
      'decoder.layers.*.self_attn.qkv.bias': biasNames('model.decoder.layers.*.self_attn'),
      'decoder.layers.*.multihead_attn.qkv.bias': biasNames('model.decoder.layers.*.encoder_attn'),
      ...bartStackNames,
      'head.out': 'proj_out',
    };
  }
}

/** Wiring of both stacks. */
const DESIGN = { wiring: 'pre', finalNorm: true } as const;

/** The part of the encoder before its layers: a column of its output is the encoder's view of 20 ms. */
class Spectrogram extends Module {
  readonly conv1: Conv1d;
  readonly conv2: Conv1d;
  /** float32 [positions, dModel]: sinusoids; not trained. */
  readonly positions: Tensor;
  readonly dropout: Dropout;

  constructor(init: Initializer, config: ModelConfig, randomness: Randomness) {
    super();
    const [outputs, inputs] = [config.size('d_model'), config.size('num_mel_bins')];
    const options = { outputs, kernel: 3, padding: 1, channelsLast: true };
    this.conv1 = new Conv1d(init, { ...options, inputs });
    this.conv2 = new Conv1d(init, { ...options, inputs: outputs, stride: 2 });
    const waves = { layout: 'halves', frequencies: 'tensor2tensor' } as const;
    const maxPositions = config.size('max_source_positions');
    this.positions = init.table(maxPositions, outputs, () => sinusoids(maxPositions, outputs, waves));
    this.dropout = new Dropout(config.number('dropout'), randomness);
  }

  /** float32 [B, columns, mel bins] → [B · positions, dModel]. */
  forward(columns: Tensor): Tensor {
    const x = gelu(this.conv2.forward(gelu(this.conv1.forward(columns))));
    return this.dropout.forward(add(x, this.positions)).reshape(-1, x.shape[2] as number);
  }
}

/** `shape`: the expected shape of one spectrogram. */
function checkSpectrogram(features: unknown, shape: readonly number[]): Tensor {
  const expected = `a tensor [batch, ${shape.join(', ')}]`;
  if (!(features instanceof Tensor))
    throw new ArgumentError(`forward: inputFeatures is ${describeValue(features)}, expected ${expected}`);
  if (!sameShape(features.shape.slice(1), shape))
    throw new ShapeError(
      `forward: inputFeatures is ${describeShape(features.shape)}, expected ${expected}: pad or cut them`,
    );
  return features;
}

/** Keys have no bias here or in files, because it would shift all scores of a query equally. */
function clearKeyBiases(model: Module): void {
  for (const part of model.modules())
    if (part instanceof MultiHeadAttention) part.qkv.bias?.write(new Float32Array(part.qkv.bias.size));
}

const biasNames = (attention: string) => [`${attention}.q_proj.bias`, null, `${attention}.v_proj.bias`];

/** Names of the encoder's parts that other families lack. */
const spectrogramNames: StateNames = {
  'spectrogram.conv1': 'model.encoder.conv1',
  'spectrogram.conv2': 'model.encoder.conv2',
  'spectrogram.positions': 'model.encoder.embed_positions.weight',
  'encoder.layers.*.self_attn.qkv.bias': biasNames('model.encoder.layers.*.self_attn'),
};

/** Whisper's encoder with classes of sounds. */
export class WhisperClassifier extends SoundModel {
  readonly spectrogram: Spectrogram;
  readonly encoder: Stack;
  readonly endNorm = null;
  readonly head: PredictionHead;
  protected override readonly layerWeights: Tensor | null;

  constructor(context: FamilyContext) {
    super(context);
    checkHead(context, ['sequence-classification']);
    const { init, config } = context;
    this.spectrogram = new Spectrogram(init, config, this.randomness);
    this.encoder = bartStack(init, config, 'encoder', this.randomness, DESIGN);
    const states = config.size('encoder_layers') + 1;
    this.layerWeights = config.flag('use_weighted_layer_sum') ? init.constant([states], 1 / states) : null;
    const size = config.size('classifier_proj_size');
    const dense = new Linear(init, config.size('d_model'), size);
    this.head = new PredictionHead({
      pick: 'mean',
      dense,
      out: new Linear(init, size, labelsOf(config.values).length),
    });
    clearKeyBiases(this);
  }

  override get featureWidth(): number {
    return this.settings.size('num_mel_bins');
  }

  override framesOf(columns: number): number {
    return Math.ceil(columns / 2);
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return ['inputFeatures', 'labels'];
  }

  protected override columnsOf(features: unknown): Tensor {
    const columns = 2 * this.settings.size('max_source_positions');
    return transpose(checkSpectrogram(features, [this.featureWidth, columns]));
  }

  protected override embedSound(columns: Tensor): Tensor {
    return this.spectrogram.forward(columns);
  }

  override get lacksBodyName(): boolean {
    return true;
  }

  override moduleName(name: string): string {
    return name.replace(/^model\./, '');
  }

  /** The decoder of a model that writes text. */
  override ignores(name: string): boolean {
    return /^(model\.)?decoder\.|^proj_out\./.test(name);
  }

  protected override get stateNames(): StateNames {
    return { ...spectrogramNames, ...bartStackNames, 'head.dense': 'projector', 'head.out': 'classifier' };
  }
}

export const whisper: Family = {
  model: Whisper,
  encoder: WhisperClassifier,
  encoderOnly: 'ForAudioClassification',
  className: 'Whisper',
  generationClass: 'WhisperForConditionalGeneration',
  classificationClass: 'WhisperForAudioClassification',
  defaults: {
    num_mel_bins: 80,
    encoder_layers: 4,
    encoder_attention_heads: 6,
    decoder_layers: 4,
    decoder_attention_heads: 6,
    decoder_ffn_dim: 1536,
    encoder_ffn_dim: 1536,
    encoder_layerdrop: 0,
    decoder_layerdrop: 0,
    decoder_start_token_id: 50257,
    activation_function: 'gelu',
    d_model: 384,
    dropout: 0,
    attention_dropout: 0,
    activation_dropout: 0,
    scale_embedding: false,
    max_source_positions: 1500,
    max_target_positions: 448,
    pad_token_id: 50256,
    bos_token_id: 50256,
    eos_token_id: 50256,
    suppress_tokens: null,
    begin_suppress_tokens: [220, 50256],
    median_filter_width: 7,
    tie_word_embeddings: true,
    use_weighted_layer_sum: false,
    classifier_proj_size: 256,
  },
};
