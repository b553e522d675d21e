import { describeShape, describeValue } from '../../core/check.js';
import { ArgumentError, ShapeError } from '../../core/errors.js';
import { atOnce } from '../../core/slices.js';
import { sameShape, Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Conv1d } from '../../nn/conv.js';
import type { Memory } from '../../nn/decoder-state.js';
import { Dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { inference } from '../../nn/module.js';
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
import { PredictionHead, vocabularyOutput } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { type EncodedSource, Seq2SeqModel } from '../seq2seq-model.js';

/**
 * Whisper (Radford et al. 2022, arXiv 2212.04356). Two convolutions turn every two frames of a log-mel spectrogram into
 * one vector. Pre-norm layers encode these vectors, and a decoder writes the text.
 */
export class Whisper extends Seq2SeqModel {
  readonly conv1: Conv1d;
  readonly conv2: Conv1d;
  /** float32 [positions, dModel]: sinusoids; not trained. */
  readonly sourcePositions: Tensor;
  readonly targetTokens: Embedding;
  readonly targetPositions: Embedding;
  readonly sourceDropout: Dropout;
  readonly targetDropout: Dropout;
  readonly encoder: Stack;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context, ['none', 'language-model']);
    const { init, config, head } = context;
    const [dModel, bins] = [config.size('d_model'), config.size('num_mel_bins')];
    const places = config.size('max_source_positions');
    this.conv1 = new Conv1d(init, { inputs: bins, outputs: dModel, kernel: 3, padding: 1, channelsLast: true });
    this.conv2 = new Conv1d(init, {
      inputs: dModel,
      outputs: dModel,
      kernel: 3,
      padding: 1,
      stride: 2,
      channelsLast: true,
    });
    const waves = { layout: 'halves', frequencies: 'tensor2tensor' } as const;
    this.sourcePositions = init.table(places, dModel, () => sinusoids(places, dModel, waves));
    this.targetTokens = new Embedding(init, config.size('vocab_size'), dModel);
    this.targetPositions = new Embedding(init, config.size('max_target_positions'), dModel);
    this.sourceDropout = new Dropout(config.number('dropout'), this.randomness);
    this.targetDropout = new Dropout(config.number('dropout'), this.randomness);
    const design = { wiring: 'pre', finalNorm: true } as const;
    this.encoder = bartStack(init, config, 'encoder', this.randomness, design);
    this.decoder = bartStack(init, config, 'decoder', this.randomness, design);
    const isTied = config.flag('tie_word_embeddings');
    const out = head === 'none' ? null : vocabularyOutput(init, this.targetTokens, isTied, false);
    this.head = out && new PredictionHead({ pick: 'tokens', out });
    // Keys have no bias here or in files, because it would shift all scores of a query equally.
    for (const part of this.modules())
      if (part instanceof MultiHeadAttention) part.qkv.bias?.write(new Float32Array(part.qkv.bias.size));
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
   * `source`: float32 [B, mel bins, frames], or [B, places, dModel] as an earlier result's `hidden`. The result belongs
   * to the current scope. Throws as `forward`.
   */
  override encode(source: Tokens): Memory;
  override encode(source: string | readonly string[]): never;
  override encode(source: unknown): Memory {
    return this.device.scope(() => atOnce(this.encodeInParts(source)));
  }

  /** @internal See `Model.encodeInParts`. */
  override *encodeInParts(source: unknown): Generator<unknown, Memory> {
    this.beginPass();
    const given = source instanceof Tensor && sameShape(source.shape.slice(1), this.encodedShape) ? source : null;
    if (given === null) return yield* this.#read(source);
    return { hidden: given.reshape(-1, given.shape[2] as number), batch: this.#places(given) };
  }

  /** Returns the sequences of the encoder's output: one per source, all of the same length. */
  #places({ shape }: Tensor): Sequences {
    return Sequences.of(this.device, Array<number>(shape[0] as number).fill(this.maxSourceLength));
  }

  /**
   * Cross-attention of tokens to audio, one sequence per source. `heads` lists pairs [layer, head]. Returns
   * probabilities, float32 [sequences, heads, longest sequence, places], zero after shorter sequences. `source` is as
   * in `encode`. Runs without gradients; the result belongs to the current scope. Throws as `forward`, and
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
    const { sum, batch } = this.#embed(features);
    return { hidden: yield* this.encoder.forwardInParts(sum, batch, { hiddenStates }), batch };
  }

  #embed(features: unknown): { sum: Tensor; batch: Sequences } {
    const [bins, frames] = this.featureShape as [number, number];
    const expected = `a tensor [batch, ${bins}, ${frames}]`;
    if (!(features instanceof Tensor))
      throw new ArgumentError(`forward: inputFeatures is ${describeValue(features)}, expected ${expected}`);
    const { shape } = features;
    if (shape.length !== 3 || shape[1] !== bins || shape[2] !== frames)
      throw new ShapeError(`forward: inputFeatures is ${describeShape(shape)}, expected ${expected}: pad or cut them`);
    const batch = this.#places(features);
    const x = gelu(this.conv2.forward(gelu(this.conv1.forward(transpose(features)))));
    const sum = this.sourceDropout.forward(add(x, this.sourcePositions)).reshape(batch.total, -1);
    return { sum, batch };
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
    const biases = (attention: string) => [`${attention}.q_proj.bias`, null, `${attention}.v_proj.bias`];
    return {
      conv1: 'model.encoder.conv1',
      conv2: 'model.encoder.conv2',
      source_positions: 'model.encoder.embed_positions.weight',
      target_tokens: 'model.decoder.embed_tokens',
      target_positions: 'model.decoder.embed_positions',
      'encoder.layers.*.self_attn.qkv.bias': biases('model.encoder.layers.*.self_attn'),
      'decoder.layers.*.self_attn.qkv.bias': biases('model.decoder.layers.*.self_attn'),
      'decoder.layers.*.multihead_attn.qkv.bias': biases('model.decoder.layers.*.encoder_attn'),
      ...bartStackNames,
      'head.out': 'proj_out',
    };
  }
}

export const whisper: Family = {
  model: Whisper,
  className: 'Whisper',
  generationClass: 'WhisperForConditionalGeneration',
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
  },
};
