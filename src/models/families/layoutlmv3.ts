import { describeShape, describeValue } from '../../core/check.js';
import { ArgumentError, ShapeError } from '../../core/errors.js';
import { Tensor } from '../../core/tensor.js';
import type { AttentionMaps } from '../../inspect/attention-maps.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import { PatchEmbedding } from '../../nn/patch-embedding.js';
import { BucketBias } from '../../nn/position-bias.js';
import { positionsWithin, Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { rowsOf } from '../../nn/token-batch.js';
import { add, mul, scale } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { concat, gather, permute } from '../../ops/move.js';
import { activationOf, dropoutOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import { type ForwardOptions, type ModelInputs, type ModelOutput, PaddedBatch } from '../inputs.js';
import { labelsOf } from '../labels.js';
import { spanLoss } from '../losses.js';
import { chooseHead, PredictionHead } from '../prediction-head.js';
import type { BatchLayout, FamilyContext } from '../pretrained-model.js';
import { embeddingNames, type TextEmbeddings } from '../text-embeddings.js';
import { bertEmbeddings, bertLayerNames, classifierDropout } from './bert.js';
import { roberta } from './roberta.js';

/** Edges of a box: left, upper, right, lower. */
type Box = readonly [number, number, number, number];

/** Coordinates of boxes are thousandths of the page's width and height. */
const PAGE = 1000;

/**
 * LayoutLMv3 (Huang et al. 2022, arXiv 2204.08387): one encoder for the words of a page, their boxes and the page's
 * image. `bbox` has the boxes. With `pixelValues`, the image's patches follow the words. Biases of attention depend on
 * distances in the text and on the page. As in transformers, they get no gradient.
 */
export class LayoutLMv3 extends EncoderModel {
  readonly embeddings: TextEmbeddings;
  readonly boxes: BoxEmbeddings;
  readonly image: ImageEmbeddings | null;
  /**
   * Biases of the scores. `textBias` depends on the distance in the text; the others on the distances of left edges and
   * of lower edges on the page. Null if the model has none.
   */
  readonly textBias: BucketBias | null;
  readonly xBias: BucketBias | null;
  readonly yBias: BucketBias | null;
  readonly encoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    config.expect('text_embed', true);
    const [dModel, heads] = [config.size('hidden_size'), config.size('num_attention_heads')];
    const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_eps'));
    const dropout = () => new Dropout(config.number('hidden_dropout_prob'), this.randomness);
    this.embeddings = bertEmbeddings(init, config, this.randomness, {
      firstPosition: config.number('pad_token_id') + 1,
    });
    this.boxes = new BoxEmbeddings(context);
    this.image = config.values.visual_embed === false ? null : new ImageEmbeddings(context, norm(), dropout());
    const bias = (bins: string, distance: string) =>
      new BucketBias(init, {
        heads,
        buckets: config.size(bins),
        maxDistance: config.size(distance),
        bidirectional: true,
      });
    this.textBias = config.flag('has_relative_attention_bias') ? bias('rel_pos_bins', 'max_rel_pos') : null;
    const isSpatial = config.flag('has_spatial_attention_bias');
    this.xBias = isSpatial ? bias('rel_2d_pos_bins', 'max_rel_2d_pos') : null;
    this.yBias = isSpatial ? bias('rel_2d_pos_bins', 'max_rel_2d_pos') : null;
    const activation = activationOf(config.text('hidden_act'));
    const layer = () =>
      new TransformerLayer({
        selfAttn: () =>
          new PageAttention(init, {
            dModel,
            heads,
            dropout: dropoutOf(config, 'attention_probs_dropout_prob', this.randomness),
          }),
        feedForward: () => new FeedForward(init, { dModel, dFF: config.size('intermediate_size'), activation }),
        norm,
        dropout,
        wiring: 'post',
        randomness: this.randomness,
      });
    this.encoder = new Stack(config.size('num_hidden_layers'), layer, null);
    this.head = this.#headOf(context);
  }

  #headOf({ init, config, head }: FamilyContext): PredictionHead | null {
    const dModel = config.size('hidden_size');
    const labels = labelsOf(config.values).length;
    const out = () => new Linear(init, dModel, labels);
    const dropped = () => new Dropout(classifierDropout(config), this.randomness);
    const deep = (pick: 'tokens' | 'first', inner: Dropout | null = null) =>
      new PredictionHead({
        pick,
        inputDropout: inner ?? dropped(),
        dense: new Linear(init, dModel, dModel),
        activation: 'tanh',
        dropout: dropped(),
        out: out(),
      });
    const dropout = () => new Dropout(config.number('hidden_dropout_prob'), this.randomness);
    return chooseHead(config, head, {
      'sequence-classification': () => deep('first'),
      'token-classification': () =>
        labels < 10
          ? new PredictionHead({ pick: 'tokens', dropout: dropout(), out: out() })
          : deep('tokens', dropout()),
      'question-answering': () => deep('tokens'),
    });
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return [...super.inputNames, 'bbox', ...(this.image ? (['pixelValues'] as const) : [])];
  }

  protected override *runInParts(
    inputs: ModelInputs,
    options: ForwardOptions,
    layout: BatchLayout,
  ): Generator<unknown, ModelOutput> {
    const padded = this.#words(inputs);
    layout.source = padded;
    const page = this.#page(padded, inputs);
    const hiddenStates: Tensor[] | undefined = options.hiddenStates ? [] : undefined;
    const features = yield* this.encoder.forwardInParts(page.x, page.batch, { hiddenStates });
    const output: ModelOutput = {};
    if (hiddenStates) output.hiddenStates = hiddenStates.map((state) => unpacked(state, page.batch));
    if (this.head === null) return { ...output, lastHiddenState: unpacked(features, page.batch) };
    if (this.headKind === 'question-answering')
      return { ...output, ...answers(this.head.forward(features, page.batch), page.batch, inputs, options) };
    return { ...output, ...this.headOutput(this.head, ofWords(features, page.batch, padded), padded, inputs, options) };
  }

  protected override *passFeaturesInParts(inputs: ModelInputs): Generator<unknown, Tensor> {
    const padded = this.#words(inputs);
    const { x, batch } = this.#page(padded, inputs);
    return ofWords(yield* this.encoder.forwardInParts(x, batch), batch, padded);
  }

  /** Returns the words with padding, because the image's tokens begin at the same position in all rows. */
  #words({ inputIds, attentionMask }: ModelInputs): PaddedBatch {
    if (inputIds === undefined || attentionMask !== undefined)
      return PaddedBatch.from(this.device, 'inputIds', inputIds, attentionMask, 'kept');
    const { rows } = rowsOf('inputIds', inputIds as Parameters<typeof rowsOf>[1], null);
    const longest = rows.reduce((max, { length }) => Math.max(max, length), 0);
    const pad = this.settings.number('pad_token_id');
    const filled = (row: ArrayLike<number>, filler: number) => [
      ...Array.from(row),
      ...Array<number>(longest - row.length).fill(filler),
    ];
    const mask = rows.map((row) => filled(Array<number>(row.length).fill(1), 0));
    const ids = rows.map((row) => filled(row, pad));
    return PaddedBatch.from(this.device, 'inputIds', ids, mask, 'kept');
  }

  /**
   * Returns the embeddings of the words and of the image after them, float32 [B·L, hidden], and their sequences. L:
   * tokens of words and image, with padding.
   */
  #page(padded: PaddedBatch, inputs: ModelInputs): { x: Tensor; batch: PageSequences } {
    const { batch } = padded;
    const { size, longest } = batch;
    const boxes = boxesOf(inputs.bbox, size, longest, this.settings.size('max_2d_position_embeddings'));
    const types = inputs.tokenTypeIds && Int32Array.from(padded.pack('tokenTypeIds', inputs.tokenTypeIds));
    const positions = padded.positionsWithout(this.settings.number('pad_token_id'));
    const words = this.embeddings.forward(
      batch.ids,
      positions,
      types ? this.device.tensor(types) : null,
      this.boxes.forward(boxes.flat(), this.device),
    ); // [B·T, hidden]
    const { pixelValues } = inputs;
    const image = pixelValues && this.image ? this.image.forward(pixelValues, words, size) : null;
    const patches = image ? (this.image as ImageEmbeddings).boxes : [];
    const x = image ?? words;
    const isToken = padded.isToken?.map((row) => [...row, ...patches.map(() => true)]) ?? null;
    const counts = Array<number>(size).fill(longest + patches.length);
    const [sequencePositions, lengths] = [positionsWithin(counts), Int32Array.from(counts)].map((data) =>
      this.device.tensor(data),
    );
    const sequences = new Sequences(sequencePositions as Tensor, lengths as Tensor, counts, isToken);
    return { x, batch: new PageSequences(sequences, this.#biasOf(boxes, patches)) };
  }

  /** Returns the biases of the scores, [B, heads, L, L], or null if there are none. */
  #biasOf(boxes: readonly (readonly Box[])[], patches: readonly Box[]): Tensor | null {
    const { textBias, xBias, yBias, settings } = this;
    if (textBias === null) return null;
    const heads = settings.size('num_attention_heads');
    const all = boxes.map((row) => [...row, ...patches]);
    const positions = boxes.map((row) => [...row.keys(), ...patches.keys()]);
    return this.device.noGrad(() => {
      const terms = [byDistance(textBias, positions)];
      if (xBias && yBias)
        terms.push(
          byDistance(
            xBias,
            all.map((row) => row.map(([left]) => left)),
          ),
          byDistance(
            yBias,
            all.map((row) => row.map((box) => box[3])),
          ),
        );
      return scale(terms.reduce(add), 1 / Math.sqrt(Math.trunc(settings.size('hidden_size') / heads)));
    });
  }

  protected override mapsOf({ encoder }: AttentionMaps, _: ModelOutput, { source }: BatchLayout): ModelOutput {
    const marks = source?.isToken;
    if (!marks) return { attentions: encoder };
    return { attentions: encoder.map((map) => withoutPadding(map, marks)) };
  }

  protected embed(): Tensor {
    throw new ArgumentError('encode: LayoutLMv3 reads words with boxes: call forward({ inputIds, bbox, pixelValues })');
  }

  protected override get bodyName(): string {
    return 'layoutlmv3';
  }

  protected override get stateNames(): StateNames {
    const [body, embeddings] = ['layoutlmv3', 'layoutlmv3.embeddings'];
    const isDeep = this.head?.dense != null;
    const head = this.headKind === 'question-answering' ? 'qa_outputs' : 'classifier';
    const bias = (name: string) => ({ name: `${body}.encoder.${name}.weight`, inOut: false });
    return {
      'head.dense': `${head}.dense`,
      'head.out': isDeep ? `${head}.out_proj` : head,
      ...embeddingNames(embeddings),
      'boxes.x': `${embeddings}.x_position_embeddings`,
      'boxes.y': `${embeddings}.y_position_embeddings`,
      'boxes.height': `${embeddings}.h_position_embeddings`,
      'boxes.width': `${embeddings}.w_position_embeddings`,
      'image.patches.projection': `${body}.patch_embed.proj`,
      'image.patches.class_token': { name: `${body}.cls_token`, leading: [1, 1] },
      'image.patches.positions': { name: `${body}.pos_embed`, leading: [1] },
      'image.norm': `${body}.norm`,
      'image.joint_norm': `${body}.LayerNorm`,
      'text_bias.weight': bias('rel_pos_bias'),
      'x_bias.weight': bias('rel_pos_x_bias'),
      'y_bias.weight': bias('rel_pos_y_bias'),
      ...bertLayerNames(`${body}.encoder.layer.*`),
    };
  }
}

/** Sequences of pages, with a bias of the attention scores. */
class PageSequences extends Sequences {
  constructor(
    { positions, lengths, counts, isToken }: Sequences,
    /** [B, heads, L, L], or null. */
    readonly bias: Tensor | null,
  ) {
    super(positions, lengths, counts, isToken);
  }
}

class PageAttention extends MultiHeadAttention {
  override scoreBias(_q: Tensor, _kv: Tensor, batch: Sequences): Tensor | null {
    return batch instanceof PageSequences ? batch.bias : null;
  }
}

/** Embeds boxes: concatenates the vectors of the four edges, of the height and of the width. */
class BoxEmbeddings extends Module {
  readonly x: Embedding;
  readonly y: Embedding;
  readonly height: Embedding;
  readonly width: Embedding;

  constructor({ init, config }: FamilyContext) {
    super();
    const rows = config.size('max_2d_position_embeddings');
    const [edge, extent] = [config.size('coordinate_size'), config.size('shape_size')];
    this.x = new Embedding(init, rows, edge);
    this.y = new Embedding(init, rows, edge);
    this.height = new Embedding(init, rows, extent);
    this.width = new Embedding(init, rows, extent);
  }

  /** Returns float32 [boxes, hidden]. */
  forward(boxes: readonly Box[], device: Tensor['device']): Tensor {
    const ids = (of: (box: Box) => number) => device.tensor(Int32Array.from(boxes, of));
    const extent = (from: 0 | 1, to: 2 | 3) => ids((box) => Math.max(0, box[to] - box[from]));
    const edges = [this.x, this.y, this.x, this.y].map((table, i) => table.forward(ids((box) => box[i] as number)));
    return concat([...edges, this.height.forward(extent(1, 3)), this.width.forward(extent(0, 2))], -1);
  }
}

/** Appends the tokens of an image to those of the words, and normalizes both. */
class ImageEmbeddings extends Module {
  readonly patches: PatchEmbedding;
  readonly norm: LayerNorm;
  /** Boxes of the class token and of the patches. */
  readonly boxes: readonly Box[];

  constructor(
    { init, config }: FamilyContext,
    readonly jointNorm: LayerNorm,
    readonly dropout: Dropout,
  ) {
    super();
    const [dModel, image, patch] = [config.size('hidden_size'), config.size('input_size'), config.size('patch_size')];
    const channels = config.size('num_channels');
    this.patches = new PatchEmbedding(init, { dModel, channels, image: [image, image], patch: [patch, patch] });
    this.norm = new LayerNorm(init, dModel, 1e-6);
    const side = Math.floor(image / patch);
    const edge = (i: number) => Math.floor((PAGE * i) / side);
    const cells = Array.from({ length: side * side }, (_, i): Box => {
      const [row, column] = [Math.floor(i / side), i % side];
      return [edge(column), edge(row), edge(column + 1), edge(row + 1)];
    });
    this.boxes = [[1, 1, PAGE - 1, PAGE - 1], ...cells];
  }

  /** `pixels`: float32 [B, channels, height, width]; `words`: [B·T, hidden]. Returns [B·(T + tokens), hidden]. */
  forward(pixels: Tensor, words: Tensor, size: number): Tensor {
    if (pixels.shape[0] !== size)
      throw new ShapeError(`forward: there are ${size} texts, but pixelValues is ${describeShape(pixels.shape)}`);
    const image = this.norm.forward(this.patches.forward(pixels)); // [B, tokens, hidden]
    const hidden = words.shape[1] as number;
    const joint = concat([words.reshape(size, -1, hidden), image], 1).reshape(-1, hidden);
    return this.dropout.forward(this.jointNorm.forward(joint));
  }
}

/** Returns the box of each word, [B][T]; all edges are 0 if no boxes are given. Throws ShapeError, ArgumentError. */
function boxesOf(boxes: ModelInputs['bbox'], size: number, time: number, limit: number): Box[][] {
  if (boxes === undefined)
    return Array.from({ length: size }, () => Array.from({ length: time }, (): Box => [0, 0, 0, 0]));
  const values = boxes instanceof Tensor ? Array.from(boxes.dataSync()) : (boxes as unknown[]).flat(3);
  if (values.length !== size * time * 4) {
    const found = boxes instanceof Tensor ? describeShape(boxes.shape) : `${values.length} numbers`;
    throw new ShapeError(`forward: bbox is ${found}, expected ${describeShape([size, time, 4])}`);
  }
  const wrong = values.find((value) => !Number.isInteger(value) || (value as number) < 0 || (value as number) >= limit);
  if (wrong !== undefined)
    throw new ArgumentError(`forward: bbox has ${describeValue(wrong)}, expected integers from 0 to ${limit - 1}`);
  const numbers = values as number[];
  const boxAt = (i: number) => numbers.slice(4 * i, 4 * i + 4) as unknown as Box;
  return Array.from({ length: size }, (_, b) => Array.from({ length: time }, (_, i) => boxAt(b * time + i)));
}

/**
 * Returns the biases by distance from query to key, [B, heads, L, L]. `coordinates` has the coordinates of all rows.
 */
function byDistance({ weight, buckets }: BucketBias, coordinates: readonly (readonly number[])[]): Tensor {
  const { device } = weight;
  const max = (buckets.size - 1) / 2;
  const length = coordinates[0]?.length ?? 0;
  const rows = new Int32Array(coordinates.length * length * length);
  let index = 0;
  for (const row of coordinates)
    for (const query of row) for (const key of row) rows[index++] = Math.max(-max, Math.min(max, key - query)) + max;
  const values = gather(gather(weight, buckets), device.tensor(rows)); // [B·L·L, heads]
  return permute(values.reshape(coordinates.length, length, length, -1), [0, 3, 1, 2]);
}

/** Reshapes [B·L, features] to [B, L, features], with zeros at padding. */
function unpacked(x: Tensor, { size, longest, tokenMask }: Sequences): Tensor {
  return (tokenMask ? mul(x, tokenMask) : x).reshape(size, longest, -1);
}

/**
 * Returns the scores of the start and the end of an answer, [B, L] each. As in transformers, patches have scores, too.
 */
function answers(
  logits: Tensor,
  batch: Sequences,
  { startPositions, endPositions }: ModelInputs,
  { loss = true }: ForwardOptions,
): ModelOutput {
  const [start, end] = [0, 1].map((i) => contiguous(logits.columns(i, i + 1))) as [Tensor, Tensor];
  const shape = [batch.size, batch.longest];
  const [startLogits, endLogits] = [start, end].map((scores) => unpacked(scores, batch).reshape(shape));
  const output: ModelOutput = { startLogits: startLogits as Tensor, endLogits: endLogits as Tensor };
  if (loss && startPositions && endPositions)
    output.loss = spanLoss(start.reshape(shape), end.reshape(shape), startPositions, endPositions);
  return output;
}

/**
 * Sets the rows of padding in attention probabilities, [B, heads, L, L], to zero. `marks`: true for words, false for
 * padding.
 */
function withoutPadding(map: Tensor, marks: readonly (readonly boolean[])[]): Tensor {
  const length = map.shape[2] as number;
  const mask = marks.flatMap((row) => Array.from({ length }, (_, i) => Number(row[i] ?? true)));
  return mul(map, map.device.tensor(Float32Array.from(mask), [marks.length, 1, length, 1]));
}

/** Returns the rows of the words without those of the image, [B·T, features]. */
function ofWords(x: Tensor, { size, longest }: Sequences, { batch }: PaddedBatch): Tensor {
  const features = x.shape[1] as number;
  const words = x.reshape(size, longest * features).columns(0, batch.longest * features);
  return contiguous(words).reshape(-1, features);
}

export const layoutLMv3: Family = {
  model: LayoutLMv3,
  className: 'LayoutLMv3',
  defaults: {
    ...roberta.defaults,
    layer_norm_eps: 1e-5,
    max_2d_position_embeddings: 1024,
    coordinate_size: 128,
    shape_size: 128,
    has_relative_attention_bias: true,
    rel_pos_bins: 32,
    max_rel_pos: 128,
    rel_2d_pos_bins: 64,
    max_rel_2d_pos: 256,
    has_spatial_attention_bias: true,
    text_embed: true,
    visual_embed: true,
    input_size: 224,
    num_channels: 3,
    patch_size: 16,
  },
  vocabulary: 'roberta',
};
