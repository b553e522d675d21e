import type { Device } from '../../core/device.js';
import type { Tensor } from '../../core/tensor.js';
import type { LoadOptions } from '../../io/folder.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { EncoderDecoder } from '../../nn/encoder-decoder.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear, TiedLinear } from '../../nn/linear.js';
import { LayerNorm, RMSNorm } from '../../nn/norm.js';
import { DistanceBias, RelativeVectors } from '../../nn/position-bias.js';
import { sinusoids } from '../../nn/positions.js';
import { RotaryEmbedding } from '../../nn/rotary-embedding.js';
import { Stack } from '../../nn/stack.js';
import { tensorOf } from '../../nn/weight.js';
import { resolveConfig, type TransformerConfig, type TransformerOptions } from '../config.js';
import type { GenerationDefaults, ModelFiles, SaveOptions, Tokenizers } from '../saved.js';
import { SequenceModel } from '../sequence-model.js';

/**
 * The Transformer (Vaswani et al. 2017, arXiv 1706.03762): encoder–decoder, encoder-only (`decoderLayers: 0`) or
 * decoder-only (`encoderLayers: 0`).
 *
 * A new model is in training mode; `eval()` turns dropout off. Its parameters live until `dispose()`.
 */
export class Transformer extends SequenceModel {
  readonly srcEmbed: Embedding | null;
  readonly tgtEmbed: Embedding | null;
  /** Trained positions, if there are any. */
  readonly srcPositions: Embedding | null;
  readonly tgtPositions: Embedding | null;
  readonly transformer: EncoderDecoder;
  /** Projects features to logits. */
  readonly generator: Linear | TiedLinear;
  readonly dropout: Dropout;
  readonly config: TransformerConfig;
  /** Tokenizers of the training, saved and loaded with the model. Their begin and end tokens replace the config's. */
  tokenizers: Tokenizers = {};
  /** Defaults of `generate`, saved and loaded with the model. */
  generationConfig: GenerationDefaults = {};
  /** float32 [maxLength, dModel], if positions are sinusoidal. */
  readonly #sinusoids: Tensor | null;

  /** Throws ArgumentError for invalid options, and OutOfMemoryError if the device is too small. */
  constructor(
    device: Device,
    options: TransformerOptions,
    /** @internal Leaves the parameters undefined. */
    blank = false,
  ) {
    const config = resolveConfig(options);
    super(device, config.seed);
    this.config = config;
    const { dModel, encoderLayers, decoderLayers, positions, maxLength, tieEmbeddings } = config;
    const init = new Initializer(device, config.seed, blank);
    const vectors = (rows: number) => new Embedding(init, rows, dModel);
    const isLearned = positions.kind === 'learned';
    try {
      this.dropout = new Dropout(config.dropout, this.randomness);
      this.#sinusoids =
        positions.kind === 'sinusoidal'
          ? init.table(maxLength, dModel, () => sinusoids(maxLength, dModel, positions))
          : null;
      this.srcEmbed = encoderLayers > 0 ? vectors(config.sourceVocab) : null;
      const shared = tieEmbeddings === 'all' ? this.srcEmbed : null;
      this.tgtEmbed = decoderLayers > 0 ? (shared ?? vectors(config.targetVocab)) : null;
      this.srcPositions = isLearned && this.srcEmbed ? vectors(maxLength) : null;
      this.tgtPositions = isLearned && this.tgtEmbed ? vectors(maxLength) : null;
      this.transformer = this.#stacks(init);
      const { weight } = (this.tgtEmbed ?? this.srcEmbed) as Embedding;
      this.generator = tieEmbeddings
        ? new TiedLinear(init, weight, config.bias)
        : new Linear(init, dModel, config.targetVocab, config.bias);
    } catch (error) {
      init.dispose();
      throw error;
    }
  }

  /** The encoder and the decoder of the paper's figure 1. */
  #stacks(init: Initializer): EncoderDecoder {
    const { dModel, heads, kvHeads, dFF, activation, gated, bias, positions, maxLength, ...config } = this.config;
    const { kind, layout, firstPosition, frequencies, maxDistance } = positions;
    const headSize = dModel / heads;
    const dropout = () => new Dropout(config.dropout, this.randomness);
    const ofHidden = () => new Dropout(config.activationDropout, this.randomness);
    const norm = () =>
      config.normalization === 'rms'
        ? new RMSNorm(init, dModel, config.layerNormEps)
        : new LayerNorm(init, dModel, config.layerNormEps, bias);
    const turning = { headSize, maxLength, layout, firstPosition, frequencies };
    const byPosition = {
      rotary: kind === 'rotary' ? new RotaryEmbedding(init, turning) : null,
      positionBias: kind === 'relativeBias' ? () => new DistanceBias(init, heads, maxDistance) : null,
      relative: kind === 'shaw' ? () => new RelativeVectors(init, headSize, maxDistance) : null,
    };
    const attention = (more: object) => new MultiHeadAttention(init, { dModel, heads, kvHeads, bias, ...more });
    const layer = (isDecoder: boolean) =>
      new TransformerLayer({
        selfAttn: () => attention({ ...byPosition, causal: isDecoder }),
        multiheadAttn: isDecoder && config.encoderLayers > 0 ? () => attention({}) : null,
        feedForward: () => new FeedForward(init, { dModel, dFF, activation, gated, bias, dropout: ofHidden() }),
        norm,
        dropout,
        wiring: config.norm,
        randomness: this.randomness,
      });
    const stack = (layers: number, isDecoder: boolean) =>
      layers > 0 ? new Stack(layers, () => layer(isDecoder), config.finalNorm ? norm : null) : null;
    return new EncoderDecoder(stack(config.encoderLayers, false), stack(config.decoderLayers, true));
  }

  protected embedSource(ids: Tensor, positions: Tensor): Tensor {
    return this.#embed(this.srcEmbed, this.srcPositions, ids, positions);
  }

  protected embedTarget(ids: Tensor, positions: Tensor): Tensor {
    return this.#embed(this.tgtEmbed, this.tgtPositions, ids, positions);
  }

  /** scale · table[id] + positions[position], then dropout. */
  #embed(table: Embedding | null, learned: Embedding | null, ids: Tensor, tokenPositions: Tensor): Tensor {
    const positions = learned ? tensorOf('Transformer', learned.weight) : this.#sinusoids;
    const options = { scale: this.config.embeddingScale, positions, positionIds: positions && tokenPositions };
    return this.dropout.forward((table as Embedding).forward(ids, options));
  }

  logitsOf(features: Tensor): Tensor {
    return this.generator.forward(features);
  }

  get encoder(): Stack | null {
    return this.transformer.encoder;
  }

  get decoder(): Stack | null {
    return this.transformer.decoder;
  }

  get vocabSize(): number {
    return this.config.targetVocab;
  }

  get maxLength(): number {
    return this.config.maxLength;
  }

  get padId(): number | null {
    return this.config.padId;
  }

  get startId(): number | null {
    return this.tokenizers.target?.bosId ?? this.config.bosId;
  }

  /** A tokenizer without an end token means that there is none, whatever the config says. */
  get endIds(): readonly number[] {
    const { target } = this.tokenizers;
    const eosId = target ? target.eosId : this.config.eosId;
    return eosId !== undefined && eosId !== null && eosId < this.vocabSize ? [eosId] : [];
  }

  /**
   * Writes `config.json`, `model.safetensors` and the tokenizers to a folder, which is created if necessary. Files are
   * replaced once all are written; an error leaves the old ones. Throws the file system's errors, and ArgumentError for
   * invalid options. In browsers, which have no folders, use `toFiles`.
   */
  async save(folder: string | URL, options: SaveOptions = {}): Promise<void> {
    this.assertUsable();
    const values = this.readStateDict();
    values.catch(() => {}); // the error is reported when the promise is awaited
    const { writeModel } = await import('../saved.js');
    await writeModel(folder, this, values, options);
  }

  /**
   * Loads a model that `save` wrote, in evaluation mode, from a path in Node or from a URL. In browsers, a URL may be
   * relative to the page. Throws FormatError, naming the file, if something is missing or damaged. Throws FetchError if
   * the network or server fails, and OutOfMemoryError if the device is too small.
   */
  static async load(device: Device, folder: string | URL, options?: LoadOptions): Promise<Transformer> {
    const { modelFromFolder } = await import('../saved.js');
    return modelFromFolder(folder, (sizes) => new Transformer(device, sizes, true), options);
  }

  /** The files that `save` writes, by name, in memory. */
  async toFiles(options: SaveOptions = {}): Promise<ModelFiles> {
    const values = this.readStateDict();
    values.catch(() => {}); // the error is reported when the promise is awaited
    const { toFiles } = await import('../saved.js');
    return toFiles(this, values, options);
  }

  /** Loads a model from bytes of files by name, fetched or dropped on a page. */
  static async fromFiles(device: Device, files: Readonly<Record<string, Uint8Array | Blob>>): Promise<Transformer> {
    const { modelFromFiles } = await import('../saved.js');
    return modelFromFiles(files, (sizes) => new Transformer(device, sizes, true));
  }

  protected override release(): void {
    super.release();
    this.#sinusoids?.dispose();
  }
}
