import { ShapeError } from '../../core/errors.js';
import { lastOf, type Tensor } from '../../core/tensor.js';
import { Conv2d } from '../../nn/conv.js';
import { type Dropout, DropPath, type Randomness } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { Linear, type Projection } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import { Sequences } from '../../nn/sequences.js';
import type { StateNames } from '../../nn/state-names.js';
import { add, scale } from '../../ops/binary.js';
import { matmul } from '../../ops/matmul.js';
import { concat, permute, split } from '../../ops/move.js';
import { mean } from '../../ops/reduce.js';
import { softmax } from '../../ops/softmax.js';
import { activationOf } from '../config-values.js';
import type { Family } from '../family.js';
import { ImageReader, type ImageRows, renamed, textContext, visionConfig } from '../image-reader.js';
import { atPlaceholders, type PlacedImage, withRows } from '../image-tokens.js';
import type { ModelInputs, PaddedBatch } from '../inputs.js';
import type { Json, ModelConfig } from '../model-config.js';
import type { FamilyContext } from '../pretrained-model.js';
import { checkImages } from '../towers.js';
import { Bart, bartDesign } from './bart.js';
import { WindowAttention, windowsOf } from './swin.js';

/**
 * Florence-2 (Xiao et al. 2023, arXiv 2311.06242): BART, whose encoder reads the vectors of an image and the tokens of
 * a task together. The decoder writes boxes and polygons as special tokens.
 */
export class Florence2 extends Bart {
  override readonly images: FlorenceImages;

  constructor(context: FamilyContext) {
    const text = textContext(context, {
      tie_word_embeddings: context.config.object('text_config').tie_word_embeddings,
    });
    text.config.expect('tie_word_embeddings', true);
    super(text, { ...bartDesign, logitsBias: false, heads: ['none', 'language-model'] });
    this.images = new FlorenceImages(context, this.randomness);
  }

  protected override get tiesHead(): boolean {
    return this.config.tie_word_embeddings === true;
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return [...super.inputNames, 'pixelValues'];
  }

  /** Zeros in files of Microsoft's own code. */
  override ignores(name: string): boolean {
    return name.endsWith('language_model.final_logits_bias');
  }

  protected override embedInputs(padded: PaddedBatch, inputs: ModelInputs): Tensor {
    const { images } = this;
    const { batch } = padded;
    const placedImages = inputs.pixelValues
      ? atPlaceholders(this.rowsOf(batch), images.placeholder, images.read(inputs))
      : this.placedImages(batch);
    return this.#embed(batch.ids, this.positionsOf(padded), placedImages, batch.starts);
  }

  protected override embedSource(ids: Tensor, positions: Tensor): Tensor {
    return this.#embed(ids, positions, [this.placedAmong(ids)], [0]);
  }

  /**
   * Embeds tokens, and replaces placeholders by the vectors of images. `placedImages`: the images of each sequence.
   * `starts`: the first row of each sequence.
   */
  #embed(ids: Tensor, positions: Tensor, placedImages: readonly (readonly PlacedImage[])[], starts: ArrayLike<number>) {
    const words = this.embedWords(this.withoutImages(ids, placedImages, starts));
    const hasImages = placedImages.some(({ length }) => length > 0);
    return this.placeSource(hasImages ? withRows(words, placedImages, starts, ({ rows }) => rows) : words, positions);
  }

  protected override get stateNames(): StateNames {
    const [tower, projector] = ['model.vision_tower', 'model.multi_modal_projector'];
    const blocks = ['spatial', 'channel'].flatMap((kind) => {
      const [path, block] = [`images.stages.*.${kind}.*`, `${tower}.blocks.*.*.${kind}_block`];
      const attention = kind === 'spatial' ? 'window_attn' : 'channel_attn';
      return [
        [`${path}.attention.qkv`, `${block}.${attention}.qkv`],
        [`${path}.attention.out_proj`, `${block}.${attention}.proj`],
        [`${path}.feed_forward.linear1`, `${block}.ffn.fc1`],
        [`${path}.feed_forward.linear2`, `${block}.ffn.fc2`],
        [path, block],
      ];
    });
    return {
      ...renamed(super.stateNames, ['', ''], ['model.', 'model.language_model.']),
      'images.stages.*.patches': `${tower}.convs.*.conv`,
      'images.stages.*.patch_norm': `${tower}.convs.*.norm`,
      ...Object.fromEntries(blocks),
      'images.rows': `${projector}.image_position_embed.row_embeddings`,
      'images.columns': `${projector}.image_position_embed.column_embeddings`,
      'images.frames': `${projector}.visual_temporal_embed.pos_idx_to_embed`,
      'images.projection': `${projector}.image_projection`,
      'images.norm': `${projector}.image_proj_norm`,
    };
  }
}

/**
 * Reads images: DaViT (Ding et al. 2022, arXiv 2204.03645), position embeddings, and a projection to the encoder's
 * features.
 */
class FlorenceImages extends ImageReader {
  readonly inputNames = ['pixelValues'] as const;
  readonly placeholder: number;
  readonly stages: readonly DavitStage[];
  readonly rows: Embedding;
  readonly columns: Embedding;
  /** float32 [frames, features]: computed positions in time. A single image is the first frame. */
  readonly frames: Tensor;
  readonly projection: Projection;
  readonly norm: LayerNorm;

  constructor(context: FamilyContext, randomness: Randomness) {
    super();
    const { init, config } = context;
    const vision = visionConfig(context);
    this.placeholder = config.size('image_token_id');
    const depths = vision.sizes('depths', vision.sizes('embed_dim').length);
    const blocks = 2 * depths.reduce((sum, depth) => sum + depth, 0);
    let made = 0;
    const dropPath = () => {
      const rate = (vision.number('drop_path_rate') * made++) / Math.max(blocks - 1, 1);
      return () => new DropPath(rate, randomness);
    };
    this.stages = depths.map((_, i) => new DavitStage(init, vision, i, dropPath));
    const width = vision.sizes('embed_dim').at(-1) as number;
    const maxPositions = vision.size('max_position_embeddings');
    this.rows = new Embedding(init, maxPositions, Math.floor(width / 2));
    this.columns = new Embedding(init, maxPositions, Math.ceil(width / 2));
    const frames = vision.size('max_temporal_embeddings');
    this.frames = init.table(frames, width, () => waves(frames, width));
    this.projection = new Linear(init, width, vision.size('projection_dim'), false);
    this.norm = new LayerNorm(init, vision.size('projection_dim'));
  }

  /**
   * `pixelValues`: float32 [images, channels, height, width]. The rows of an image are the mean of its map, then the
   * map's cells, row by row.
   */
  *readInParts({ pixelValues }: ModelInputs): Generator<unknown, ImageRows> {
    const pixels = permute(checkImages(pixelValues, null), [0, 2, 3, 1]);
    let map: Tensor = pixels; // [B, H, W, C]
    for (const stage of this.stages) {
      map = stage.forward(map);
      yield;
    }
    const [size, height, width, features] = map.shape as [number, number, number, number];
    const max = this.rows.weight.shape[0] as number;
    if (Math.max(height, width) > max)
      throw new ShapeError(`forward: images have ${height} × ${width} places, expected at most ${max} a side`);
    const count = height * width;
    const ids = (of: (index: number) => number) =>
      map.device.tensor(Int32Array.from({ length: count }, (_, i) => of(i)));
    const column = this.columns.forward(ids((index) => index % width));
    const row = this.rows.forward(ids((index) => Math.floor(index / width)));
    const positions = add(concat([column, row], -1), this.frames.rows(0, 1)); // [H · W, C]
    const embedded = add(map.reshape(size, count, features), positions);
    const all = concat([mean(embedded, { axis: 1 }).reshape(size, 1, features), embedded], 1);
    const rows = this.norm.forward(this.projection.forward(all.reshape(-1, features)));
    return { rows, counts: Array<number>(size).fill(count + 1) };
  }
}

/** Returns sinusoidal positions, [positions, features]: sines in even columns, cosines in odd ones. */
function waves(positions: number, features: number): Float32Array {
  const half = features / 2;
  const speed = Math.fround(-Math.log(10000) / half);
  return Float32Array.from({ length: positions * features }, (_, i) => {
    const [position, feature] = [Math.floor(i / features), i % features];
    const angle = Math.fround(position * Math.fround(Math.exp(Math.fround(Math.floor(feature / 2) * speed))));
    return feature % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
  });
}

/**
 * A stage of DaViT: overlapping patches, then pairs of blocks. The first of a pair attends within windows, the second
 * among channels.
 */
class DavitStage extends Module {
  readonly patches: Conv2d;
  readonly patchNorm: LayerNorm;
  readonly spatial: readonly DavitBlock[];
  readonly channel: readonly DavitBlock[];
  readonly #isPreNorm: boolean;
  readonly #window: number;

  constructor(init: Initializer, config: ModelConfig, i: number, dropPath: () => () => Dropout) {
    super();
    const stages = config.sizes('embed_dim').length;
    const of = (name: string) => config.sizes(name, stages)[i] as number;
    const width = of('embed_dim');
    const before = i === 0 ? config.size('in_channels') : (config.sizes('embed_dim')[i - 1] as number);
    this.#isPreNorm = config.list('patch_prenorm')[i] === true;
    this.#window = config.size('window_size');
    const padding = config.list('patch_padding')[i] as number;
    const placing = { stride: of('patch_stride'), padding, channelsLast: true };
    this.patches = new Conv2d(init, {
      inputs: before,
      outputs: width,
      kernel: [of('patch_size'), of('patch_size')],
      ...placing,
    });
    this.patchNorm = new LayerNorm(init, this.#isPreNorm ? before : width);
    const [heads, groups, bias] = [of('num_heads'), of('num_groups'), config.flag('qkv_bias')];
    const windowed = () => new WindowAttention(init, { dModel: width, heads, bias, outBias: true });
    const pairs = Array.from({ length: of('depths') }, () => ({
      spatial: new DavitBlock(init, config, width, windowed, dropPath()),
      channel: new DavitBlock(init, config, width, () => new ChannelAttention(init, width, groups, bias), dropPath()),
    }));
    this.spatial = pairs.map(({ spatial }) => spatial);
    this.channel = pairs.map(({ channel }) => channel);
  }

  /** float32 [B, H, W, features of the stage before] → [B, H', W', features]. */
  forward(x: Tensor): Tensor {
    const embedded = this.patches.forward(this.#isPreNorm ? this.patchNorm.forward(x) : x);
    const map = this.#isPreNorm ? embedded : this.patchNorm.forward(embedded);
    const [size, height, width] = map.shape as [number, number, number];
    const windows = windowsOf(x, size, [height, width], this.#window, 0);
    return this.spatial.reduce((y, block, i) => {
      (block.attention as WindowAttention).start(windows);
      return (this.channel[i] as DavitBlock).forward(block.forward(y));
    }, map);
  }
}

/** Attention over the rows of whole maps, [B · H · W, features]. */
interface MapMixer extends Module {
  forward(x: Tensor, batch: Sequences): Tensor;
}

/** Attention and a feed-forward network, each after a depthwise convolution, which conveys positions. */
class DavitBlock extends Module {
  readonly conv1: Conv2d;
  readonly norm1: LayerNorm;
  readonly attention: MapMixer;
  readonly dropPath1: Dropout;
  readonly conv2: Conv2d;
  readonly norm2: LayerNorm;
  readonly feedForward: FeedForward;
  readonly dropPath2: Dropout;

  constructor(
    init: Initializer,
    config: ModelConfig,
    width: number,
    attention: () => MapMixer,
    dropPath: () => Dropout,
  ) {
    super();
    const depthwise = () =>
      new Conv2d(init, {
        inputs: width,
        outputs: width,
        kernel: [3, 3],
        padding: 1,
        groups: width,
        channelsLast: true,
      });
    const activation = activationOf(config.text('activation_function'));
    const dFF = Math.trunc(width * config.number('mlp_ratio'));
    this.conv1 = depthwise();
    this.norm1 = new LayerNorm(init, width);
    this.attention = attention();
    this.dropPath1 = dropPath();
    this.conv2 = depthwise();
    this.norm2 = new LayerNorm(init, width);
    this.feedForward = new FeedForward(init, { dModel: width, dFF, activation });
    this.dropPath2 = dropPath();
  }

  /** `x` and the result: float32 [B, H, W, features]. */
  forward(x: Tensor): Tensor {
    const { shape } = x;
    const [size, height, width] = shape as [number, number, number];
    const batch = Sequences.of(x.device, Array<number>(size).fill(height * width));
    const rows = (map: Tensor) => map.reshape(-1, lastOf(shape));
    const here = rows(add(this.conv1.forward(x), x));
    const mixed = this.attention.forward(this.norm1.forward(here), batch);
    const attended = add(here, this.dropPath1.forward(mixed, batch)).reshape(shape);
    const there = rows(add(this.conv2.forward(attended), attended));
    const changed = this.feedForward.forward(this.norm2.forward(there));
    return add(there, this.dropPath2.forward(changed, batch)).reshape(shape);
  }
}

/** Attention among the channels of a group. The features of a channel are its values in all cells of a map. */
class ChannelAttention extends Module implements MapMixer {
  readonly qkv: Projection;
  readonly outProj: Projection;

  constructor(
    init: Initializer,
    width: number,
    private readonly groups: number,
    bias: boolean,
  ) {
    super();
    this.qkv = new Linear(init, width, 3 * width, bias);
    this.outProj = new Linear(init, width, width);
  }

  forward(x: Tensor, { size, longest }: Sequences): Tensor {
    const { groups } = this;
    const channels = lastOf(x.shape) / groups;
    const parts = this.qkv.forward(x).reshape(size, longest, 3, groups, channels);
    const [q, k, v] = split(permute(parts, [2, 0, 3, 4, 1]), [1, 1, 1]).map((part) =>
      part.reshape(-1, channels, longest),
    ) as [Tensor, Tensor, Tensor];
    const weights = softmax(scale(matmul(q, k, { transposeB: true }), longest ** -0.5)); // [B · groups, c, c]
    const mixed = matmul(weights, v).reshape(size, groups, channels, longest);
    return this.outProj.forward(permute(mixed, [0, 3, 1, 2]).reshape(x.shape));
  }
}

const visionDefaults: Json = {
  in_channels: 3,
  depths: [1, 1, 9, 1],
  patch_size: [7, 3, 3, 3],
  patch_stride: [4, 2, 2, 2],
  patch_padding: [3, 1, 1, 1],
  patch_prenorm: [false, true, true, true],
  embed_dim: [128, 256, 512, 1024],
  num_heads: [4, 8, 16, 32],
  num_groups: [4, 8, 16, 32],
  window_size: 12,
  drop_path_rate: 0.1,
  mlp_ratio: 4,
  qkv_bias: true,
  activation_function: 'gelu',
  projection_dim: 1024,
  max_temporal_embeddings: 100,
  max_position_embeddings: 50,
};

/** Names in files of Microsoft's own code, and names of transformers. */
const microsoftNames: readonly (readonly [own: RegExp, name: string])[] = [
  [/(?<=^|\.)vision_tower\.convs\.(\d+)\.proj\./, 'vision_tower.convs.$1.conv.'],
  [/(?<=_block\.conv[12])\.fn\.dw\./, '.'],
  [/(?<=_block\.(window|channel)_attn)\.fn\./, '.'],
  [/(?<=_block\.)(window|channel)_attn\.norm\./, 'norm1.'],
  [/(?<=_block\.)ffn\.norm\./, 'norm2.'],
  [/(?<=_block\.ffn)\.fn\.net\./, '.'],
  [/(?<=^|^model\.)image_projection$/, 'multi_modal_projector.image_projection.weight'],
  [/(?<=^|^model\.)image_pos_embed\./, 'multi_modal_projector.image_position_embed.'],
  [/(?<=^|^model\.)(image_proj_norm|visual_temporal_embed)\./, 'multi_modal_projector.$1.'],
  [/(?<=^|^model\.)language_model\.model\./, 'language_model.'],
  [/(?<=^|^model\.)language_model\.lm_head\./, 'lm_head.'],
];

/** Tokens that Florence-2's processor adds to BART's. Microsoft's code has no token for images. */
const addedTokens = [
  '<od>',
  '</od>',
  '<ocr>',
  '</ocr>',
  ...Array.from({ length: 1000 }, (_, index) => `<loc_${index}>`),
  '<cap>',
  '</cap>',
  '<ncap>',
  '</ncap>',
  '<dcap>',
  '</dcap>',
  '<grounding>',
  '</grounding>',
  '<seg>',
  '</seg>',
  '<sep>',
  '<region_cap>',
  '</region_cap>',
  '<region_to_desciption>',
  '</region_to_desciption>',
  '<proposal>',
  '</proposal>',
  '<poly>',
  '</poly>',
  '<and>',
  '<image>',
];

/** The settings of images in a config.json, where those of Microsoft's own code have the names of transformers. */
function visionSettings(fileConfig: Json): Json {
  const { dim_embed: width, image_pos_embed: positionSettings, visual_temporal_embedding: frames } = fileConfig;
  const translated = {
    embed_dim: width,
    max_position_embeddings: (positionSettings as Json | undefined)?.max_pos_embeddings,
    max_temporal_embeddings: (frames as Json | undefined)?.max_temporal_embeddings,
  };
  const known = Object.entries(translated).filter(([, value]) => value !== undefined);
  return { ...visionDefaults, ...Object.fromEntries(known), ...fileConfig };
}

export const florence2: Family = {
  model: Florence2,
  className: 'Florence2',
  generationClass: 'Florence2ForConditionalGeneration',
  readsImages: true,
  defaults: { is_encoder_decoder: true, image_token_id: 51289, tie_word_embeddings: true },
  complete: (config, fileConfig) => {
    config.vision_config = visionSettings((fileConfig.vision_config ?? {}) as Json);
  },
  parts: { text_config: 'bart' },
  fileName: (name) => microsoftNames.reduce((changed, [pattern, ours]) => changed.replace(pattern, ours), name),
  transposedNames: ['image_projection'],
  addedTokens,
  vocabulary: 'roberta',
};
