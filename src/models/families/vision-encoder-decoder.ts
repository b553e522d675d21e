import { describeValue, isObject } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import { atOnce } from '../../core/slices.js';
import type { Tensor } from '../../core/tensor.js';
import type { Memory } from '../../nn/decoder-state.js';
import type { Encoder } from '../../nn/encoder-decoder.js';
import { Linear } from '../../nn/linear.js';
import type { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import type { Tokens } from '../../nn/token-batch.js';
import type { CausalModel } from '../causal-model.js';
import type { Family } from '../family.js';
import type { ModelInputs, PaddedBatch } from '../inputs.js';
import { type Json, ModelConfig } from '../model-config.js';
import type { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { type EncodedSource, Seq2SeqModel } from '../seq2seq-model.js';
import type { TowerModel } from '../tower-model.js';
import type { ImageTower } from '../towers.js';
import { bart } from './bart.js';
import { beit } from './beit.js';
import { BertDecoder, bert } from './bert.js';
import { Gpt2, gpt2 } from './gpt2.js';
import { mBart } from './mbart.js';
import { RobertaDecoder, roberta, xlmRoberta } from './roberta.js';
import { donutSwin, swin } from './swin.js';
import { BartDecoder, trocr } from './trocr.js';
import { deit, vit } from './vit.js';

/** A part of the model: how its config is completed, its class, and the name of its features in the config. */
interface Part<Model> {
  readonly family: Family;
  readonly model: new (context: FamilyContext) => Model;
  readonly width: string;
}

const reader = (family: Family): Part<TowerModel> => ({
  family,
  model: family.model as unknown as Part<TowerModel>['model'],
  width: 'hidden_size',
});
const readers: Readonly<Record<string, Part<TowerModel>>> = {
  beit: reader(beit),
  deit: reader(deit),
  'donut-swin': reader(donutSwin),
  swin: reader(swin),
  vit: reader(vit),
};
const writers: Readonly<Record<string, Part<CausalModel>>> = {
  bart: { family: bart, model: BartDecoder, width: 'd_model' },
  bert: { family: bert, model: BertDecoder, width: 'hidden_size' },
  gpt2: { family: gpt2, model: Gpt2, width: 'n_embd' },
  mbart: { family: mBart, model: BartDecoder, width: 'd_model' },
  roberta: { family: roberta, model: RobertaDecoder, width: 'hidden_size' },
  trocr: { family: trocr, model: BartDecoder, width: 'd_model' },
  'xlm-roberta': { family: xlmRoberta, model: RobertaDecoder, width: 'hidden_size' },
};

/**
 * An encoder of images and a decoder of text from two families, for captions, handwriting (TrOCR) and documents (Donut,
 * Kim et al. 2021, arXiv 2111.15664). The decoder attends to the encoder's patches.
 */
export class VisionEncoderDecoder extends Seq2SeqModel {
  readonly reader: TowerModel;
  readonly writer: CausalModel;
  /** Projects patches to the decoder's size. Null if both sizes are equal. */
  readonly projection: Linear | null;

  constructor(context: FamilyContext) {
    super(context, ['language-model']);
    const { init, config } = context;
    const parts = (['encoder', 'decoder'] as const).map((side) => new ModelConfig(config.object(side)));
    const [source, target] = parts as [ModelConfig, ModelConfig];
    const [Reader, Writer] = [readers[source.type], writers[target.type]] as [Part<TowerModel>, Part<CausalModel>];
    const { randomness } = this;
    this.reader = new Reader.model({ init, config: source, head: 'none', randomness });
    this.writer = new Writer.model({ init, config: target, head: 'language-model', randomness });
    const [from, to] = [source.size(Reader.width), target.size(Writer.width)];
    const reads = target.sizeOrNull('cross_attention_hidden_size');
    if (reads !== null && reads !== from)
      throw new FormatError(`config.json: cross_attention_hidden_size is ${reads}, expected the encoder's ${from}`);
    this.projection = from !== to && reads === null ? new Linear(init, from, to) : null;
  }

  get #tower(): ImageTower {
    return this.reader.vision as ImageTower;
  }

  get encoder(): Encoder {
    return this.#tower;
  }

  get decoder(): Stack {
    return this.writer.decoder;
  }

  get head(): PredictionHead | null {
    return this.writer.head;
  }

  /** The decoder reads all patches, never the pooled image. */
  override isOptional(name: string): boolean {
    return name.startsWith('encoder.pooler.');
  }

  override get attentions(): Seq2SeqModel['attentions'] {
    return { ...super.attentions, encoder: this.#tower.attentions };
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return ['pixelValues', 'decoderInputIds', 'decoderAttentionMask', 'labels'];
  }

  /** Sources are images: [channels, height, width]. */
  get featureShape(): readonly number[] {
    const { channels, image } = this.#tower.patches;
    return [channels, ...image];
  }

  /** Number of rows that an image becomes. */
  override get maxSourceLength(): number {
    return this.#tower.maxLength;
  }

  /** `source`: float32 [B, channels, height, width]. The result belongs to the current scope. Throws as `forward`. */
  override encode(source: Tokens): Memory;
  override encode(source: string | readonly string[]): never;
  override encode(source: unknown): Memory {
    return this.device.scope(() => atOnce(this.encodeInParts(source)));
  }

  /** @internal See `Model.encodeInParts`. */
  override *encodeInParts(source: unknown): Generator<unknown, Memory> {
    this.beginPass();
    return (yield* this.#read({ pixelValues: source as Tensor })).memory;
  }

  protected override readSource(source: unknown): Memory {
    return atOnce(this.#read({ pixelValues: source as Tensor })).memory;
  }

  protected override encodeInputs(inputs: ModelInputs, hiddenStates?: Tensor[]): EncodedSource {
    const { memory, encoderHidden } = atOnce(this.#read(inputs, hiddenStates));
    return { memory, encoderHidden, unpack: (x) => x.reshape(memory.batch.size, -1, x.shape[1] as number) };
  }

  /** Yields after each layer or stage. */
  *#read(
    { pixelValues }: ModelInputs,
    hiddenStates?: Tensor[],
  ): Generator<unknown, { memory: Memory; encoderHidden: Tensor }> {
    const { features, batch, hiddenStates: states } = yield* this.#tower.forwardInParts({ pixelValues });
    hiddenStates?.push(...states);
    return { memory: { hidden: this.projection?.forward(features) ?? features, batch }, encoderHidden: features };
  }

  protected override embedSource(): Tensor {
    throw new FormatError('encode: the model reads images, expected a tensor [B, channels, height, width]');
  }

  protected override embedTarget(ids: Tensor, positions: Tensor): Tensor {
    return this.writer.embedTokens(ids, positions);
  }

  protected override positionsOf(padded: PaddedBatch): Tensor {
    return this.writer.positionIdsOf(padded);
  }

  override logitsOf(features: Tensor): Tensor {
    return this.writer.logitsOf(features);
  }

  override get vocabSize(): number {
    return this.writer.vocabSize;
  }

  override get maxLength(): number {
    return this.writer.maxLength;
  }

  override get startId(): number | null {
    return super.startId ?? this.writer.startId;
  }

  override get endIds(): readonly number[] {
    const ids = super.endIds;
    return ids.length > 0 ? ids : this.writer.endIds;
  }

  override moduleName(name: string): string {
    const [, encoderName] = /^encoder\.(.*)$/.exec(name) ?? [];
    return encoderName === undefined ? name : `encoder.${this.reader.moduleName(encoderName)}`;
  }

  protected override get stateNames(): StateNames {
    return {
      ...this.namesOf(this.reader, 'reader', 'encoder', true),
      ...this.namesOf(this.writer, 'writer', 'decoder', false),
      projection: 'enc_to_dec_proj',
    };
  }
}

/**
 * Returns the config of a part, completed with the defaults of its family. Throws FormatError for an unknown family.
 */
function completed<Model>(parts: Readonly<Record<string, Part<Model>>>, side: string, sideConfig: unknown): Json {
  const config = isObject(sideConfig) ? (sideConfig as Json) : {};
  const type = String(config.model_type ?? '');
  const part = Object.hasOwn(parts, type) ? parts[type] : undefined;
  if (part === undefined) {
    const known = Object.keys(parts).join(', ');
    throw new FormatError(
      `config.json: ${side}.model_type is ${describeValue(config.model_type)}, expected one of ${known}`,
    );
  }
  const all: Record<string, unknown> = { ...part.family.defaults, ...config };
  part.family.complete?.(all, config);
  return all;
}

export const visionEncoderDecoder: Family = {
  model: VisionEncoderDecoder,
  className: 'VisionEncoderDecoder',
  generationClass: 'VisionEncoderDecoderModel',
  defaults: { is_encoder_decoder: true, tie_word_embeddings: false },
  complete: (config) => {
    config.encoder = completed(readers, 'encoder', config.encoder);
    config.decoder = { ...completed(writers, 'decoder', config.decoder), is_decoder: true, add_cross_attention: true };
  },
};
