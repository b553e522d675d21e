// The kinds of `mmproj` files: names of their tensors, and the settings of the model and of its image processor.

import { FormatError } from '../../core/errors.js';
import type { GgufFamily, GgufSettings } from '../../models/family.js';
import type { Json } from '../../models/model-config.js';
import type { GgufMetadata } from './metadata.js';

/** The values of an `mmproj` file, and ids of the vocabulary. */
export interface ProjectorValues {
  readonly vision: GgufSettings;
  readonly metadata: GgufMetadata;
  /** The config of the language model. */
  readonly text: Json;
  /** The id of a token. Throws FormatError if the vocabulary does not have it. */
  id(token: string): number;
}

/** A weight of the checkpoint whose values have another order or shape in the file. */
export interface Arranged {
  readonly name: string;
  readonly shape: readonly number[];
  /** Names of the file's tensors that it consists of. */
  readonly of: readonly string[];
  /** Returns all values in the checkpoint's order, from the values of each tensor. */
  order(values: readonly [Float32Array, ...Float32Array[]]): Float32Array;
}

/** A kind of `mmproj` files, by `clip.projector_type` and the language model. */
export interface Projector {
  /** `model_type` of the whole model. */
  readonly type: string;
  /** Supported model types of its language model. */
  readonly texts: readonly string[];
  /** Prefix of the language model's weights in place of `model.`, and name of the output head. */
  readonly text: string;
  readonly head: string;
  gguf(vision: GgufSettings): GgufFamily;
  arranged?(vision: GgufSettings): readonly Arranged[];
  config(values: ProjectorValues): Json;
  preprocessor(values: ProjectorValues): Json;
}

/** Returns the names of SigLIP's vision tower. */
const towerNames = (tower: string): Record<string, string> => ({
  'v.patch_embd': `${tower}.embeddings.patch_embedding`,
  'v.position_embd': `${tower}.embeddings.position_embedding`,
  'v.post_ln': `${tower}.post_layernorm`,
  ...ofLayers(`${tower}.encoder.layers.*`, {
    ln1: 'layer_norm1',
    ln2: 'layer_norm2',
    ffn_up: 'mlp.fc1',
    ffn_down: 'mlp.fc2',
    attn_q: 'self_attn.q_proj',
    attn_k: 'self_attn.k_proj',
    attn_v: 'self_attn.v_proj',
    attn_out: 'self_attn.out_proj',
  }),
});

const ofLayers = (layer: string, names: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(names).map(([name, moduleName]) => [`v.blk.*.${name}`, `${layer}.${moduleName}`]));

/** Returns the settings of SigLIP's vision tower. */
function towerConfig(values: ProjectorValues, type: string): Json {
  const { vision } = values;
  return {
    model_type: type,
    ...sizesOf(vision),
    layer_norm_eps: vision.needed('attention.layer_norm_epsilon'),
    image_size: vision.needed('image_size'),
    num_channels: 3,
    hidden_act: activationOf(values),
    vision_use_head: false,
  };
}

const sizesOf = (vision: GgufSettings): Json => ({
  hidden_size: vision.needed('embedding_length'),
  intermediate_size: vision.needed('feed_forward_length'),
  num_hidden_layers: vision.needed('block_count'),
  num_attention_heads: vision.needed('attention.head_count'),
  patch_size: vision.needed('patch_size'),
});

/** The name of the activation. ggml's GELU is the approximation by tanh. */
function activationOf({ metadata }: ProjectorValues): string {
  if (metadata.flag('clip.use_gelu')) return 'gelu_pytorch_tanh';
  return metadata.flag('clip.use_silu') ? 'silu' : 'quick_gelu';
}

/** The sizes of a tensor. Throws FormatError if it is missing or has another number of dimensions. */
function shapeOf({ tensors }: GgufSettings, name: string, dimensions: number): readonly number[] {
  const shape = tensors.get(name)?.shape;
  if (shape === undefined) throw new FormatError(`the file has no tensor ${name}`);
  if (shape.length === dimensions) return shape;
  throw new FormatError(`tensor ${name} has ${shape.length} dimensions, expected ${dimensions}`);
}

/**
 * The projection of patches that are lists of pixels: [features, channels, height, width] becomes [features, height ·
 * width · channels].
 */
function flatPatches(vision: GgufSettings, name: string): Arranged {
  const of = 'v.patch_embd.weight';
  const [features, channels, height, width] = shapeOf(vision, of, 4) as [number, number, number, number];
  const pixels = height * width;
  return {
    name,
    of: [of],
    shape: [features, pixels * channels],
    order: ([values]) => {
      const moved = new Float32Array(values.length);
      for (let feature = 0; feature < features; feature++)
        for (let channel = 0; channel < channels; channel++)
          for (let pixel = 0; pixel < pixels; pixel++)
            moved[(feature * pixels + pixel) * channels + channel] = values[
              (feature * channels + channel) * pixels + pixel
            ] as number;
      return moved;
    },
  };
}

const gemma3: Projector = {
  type: 'gemma3',
  texts: ['gemma3_text'],
  text: 'language_model.model.',
  head: 'language_model.lm_head.',
  gguf: () => ({
    names: {
      ...towerNames('vision_tower'),
      'mm.input_projection.weight': 'multi_modal_projector.mm_input_projection_weight',
      'mm.soft_emb_norm': 'multi_modal_projector.mm_soft_emb_norm',
    },
    plusOne: ['soft_emb_norm'],
  }),
  config: (values) => {
    const { vision, id } = values;
    const side = vision.needed('image_size') / vision.needed('patch_size');
    return {
      vision_config: towerConfig(values, 'siglip_vision_model'),
      mm_tokens_per_image: Math.floor(side / (vision.number('projector.scale_factor') ?? 4)) ** 2,
      image_token_index: id('<image_soft_token>'),
      boi_token_index: id('<start_of_image>'),
      eoi_token_index: id('<end_of_image>'),
    };
  },
  preprocessor: ({ vision }) => ({
    image_processor_type: 'Gemma3ImageProcessor',
    size: { height: vision.needed('image_size'), width: vision.needed('image_size') },
  }),
};

const idefics3: Projector = {
  type: 'idefics3',
  texts: ['llama'],
  text: 'model.text_model.',
  head: 'lm_head.',
  gguf: () => ({
    names: {
      ...towerNames('model.vision_model'),
      'mm.model.fc': 'model.connector.modality_projection.proj',
    },
  }),
  config: (values) => ({
    vision_config: towerConfig(values, 'smolvlm_vision'),
    scale_factor: values.vision.needed('projector.scale_factor'),
    image_token_id: values.id('<image>'),
  }),
  preprocessor: ({ vision }) => ({
    image_processor_type: 'Idefics3ImageProcessor',
    size: { longest_edge: vision.number('preproc_image_size') ?? 4 * vision.needed('image_size') },
    max_image_size: { longest_edge: vision.needed('image_size') },
  }),
};

const LFM2 = 'model.vision_tower';

const lfm2: Projector = {
  type: 'lfm2_vl',
  texts: ['lfm2'],
  text: 'model.language_model.',
  head: 'lm_head.',
  gguf: () => ({
    names: {
      ...towerNames(LFM2),
      'mm.input_norm': 'model.multi_modal_projector.layer_norm',
      'mm.1': 'model.multi_modal_projector.linear_1',
      'mm.2': 'model.multi_modal_projector.linear_2',
    },
  }),
  arranged: (vision) => [flatPatches(vision, `${LFM2}.embeddings.patch_embedding.weight`)],
  config: (values) => {
    const { vision, id } = values;
    return {
      vision_config: {
        ...towerConfig(values, 'siglip2_vision_model'),
        num_patches: vision.rows('v.position_embd.weight'),
      },
      downsample_factor: vision.number('projector.scale_factor') ?? 2,
      projector_hidden_size: vision.rows('mm.1.weight'),
      projector_hidden_act: 'gelu',
      projector_bias: vision.tensors.has('mm.1.bias'),
      projector_use_layernorm: vision.tensors.has('mm.input_norm.weight'),
      image_token_id: id('<image>'),
    };
  },
  preprocessor: ({ vision }) => ({
    image_processor_type: 'Lfm2VlImageProcessorFast',
    encoder_patch_size: vision.needed('patch_size'),
    downsample_factor: vision.number('projector.scale_factor') ?? 2,
  }),
};

const VISUAL = 'model.visual';

/** Indices of the tower's layers whose features the decoder adds. */
const earlyLayers = (vision: GgufSettings) =>
  Array.from({ length: vision.layers }, (_, i) => i).filter((i) => vision.tensors.has(`v.deepstack.${i}.fc1.weight`));

/** Qwen3-VL, and Qwen 3.5, whose decoder does not add features of early layers. */
const qwen = (type: 'qwen3_vl' | 'qwen3_5', text: string): Projector => ({
  type,
  texts: [text],
  text: 'model.language_model.',
  head: 'lm_head.',
  gguf: (vision) => ({
    names: {
      'v.patch_embd': `${VISUAL}.patch_embed.proj`,
      'v.position_embd': `${VISUAL}.pos_embed`,
      'v.post_ln': `${VISUAL}.merger.norm`,
      'mm.0': `${VISUAL}.merger.linear_fc1`,
      'mm.2': `${VISUAL}.merger.linear_fc2`,
      ...ofLayers(`${VISUAL}.blocks.*`, {
        ln1: 'norm1',
        ln2: 'norm2',
        attn_qkv: 'attn.qkv',
        attn_out: 'attn.proj',
        ffn_up: 'mlp.linear_fc1',
        ffn_down: 'mlp.linear_fc2',
      }),
      ...Object.fromEntries(
        earlyLayers(vision).flatMap((layer, i) =>
          Object.entries({ norm: 'norm', fc1: 'linear_fc1', fc2: 'linear_fc2' }).map(([name, moduleName]) => [
            `v.deepstack.${layer}.${name}`,
            `${VISUAL}.deepstack_merger_list.${i}.${moduleName}`,
          ]),
        ),
      ),
    },
  }),
  arranged: (vision) => {
    const of = ['v.patch_embd.weight', 'v.patch_embd.weight.1'] as const;
    const [features, channels, height, width] = shapeOf(vision, of[0], 4) as [number, number, number, number];
    const pixels = height * width;
    return [
      {
        name: `${VISUAL}.patch_embed.proj.weight`,
        of,
        shape: [features, channels, 2, height, width],
        order: (frames) => {
          const moved = new Float32Array(2 * frames[0].length);
          for (const [frame, values] of frames.entries())
            for (let plane = 0; plane < features * channels; plane++)
              moved.set(values.subarray(plane * pixels, (plane + 1) * pixels), (2 * plane + frame) * pixels);
          return moved;
        },
      },
    ];
  },
  config: (values) => {
    const { vision, id } = values;
    const { num_hidden_layers: depth, num_attention_heads: heads, ...sizes } = sizesOf(vision);
    return {
      vision_config: {
        model_type: `${type}_vision`,
        ...sizes,
        depth,
        num_heads: heads,
        hidden_act: activationOf(values),
        in_channels: 3,
        temporal_patch_size: 2,
        spatial_merge_size: vision.number('spatial_merge_size') ?? 2,
        out_hidden_size: vision.needed('projection_dim'),
        num_position_embeddings: vision.rows('v.position_embd.weight'),
        deepstack_visual_indexes: earlyLayers(vision),
      },
      image_token_id: id('<|image_pad|>'),
      video_token_id: id('<|video_pad|>'),
      vision_start_token_id: id('<|vision_start|>'),
      vision_end_token_id: id('<|vision_end|>'),
    };
  },
  preprocessor: ({ vision }) => ({
    image_processor_type: 'Qwen2VLImageProcessorFast',
    patch_size: vision.needed('patch_size'),
    temporal_patch_size: 2,
    merge_size: vision.number('spatial_merge_size') ?? 2,
    // Qwen's own limits, which files do not hold.
    size: { shortest_edge: 256 ** 2, longest_edge: 4096 ** 2 },
  }),
});

const TOWER = 'model.vision_tower';
const LIMIT = /\.(in|out)put_(min|max)$/;

const gemma4: Projector = {
  type: 'gemma4',
  texts: ['gemma4_text'],
  text: 'model.language_model.',
  head: 'lm_head.',
  gguf: () => ({
    names: {
      'v.position_embd.weight': `${TOWER}.patch_embedder.position_embedding_table`,
      'v.std_bias': `${TOWER}.std_bias`,
      'v.std_scale': `${TOWER}.std_scale`,
      'mm.input_projection': 'model.embed_vision.embedding_projection',
      ...ofLayers(`${TOWER}.encoder.layers.*`, {
        ln1: 'input_layernorm',
        attn_post_norm: 'post_attention_layernorm',
        ln2: 'pre_feedforward_layernorm',
        ffn_post_norm: 'post_feedforward_layernorm',
        attn_q_norm: 'self_attn.q_norm',
        attn_k_norm: 'self_attn.k_norm',
        ...Object.fromEntries(
          Object.entries(gemma4Projections).map(([name, moduleName]) => [name, `${moduleName}.linear`]),
        ),
      }),
    },
  }),
  arranged: (vision) => [
    flatPatches(vision, `${TOWER}.patch_embedder.input_proj.weight`),
    // Limits of projections are scalars in the checkpoint.
    ...[...vision.tensors.keys()].flatMap((name) => {
      const [, layer, projection, limit] = /^v\.blk\.(\d+)\.(\w+)(\.\w+)$/.exec(name) ?? [];
      const moduleName = LIMIT.test(name) ? gemma4Projections[projection as string] : undefined;
      if (moduleName === undefined) return [];
      return [
        {
          name: `${TOWER}.encoder.layers.${layer}.${moduleName}${limit}`,
          of: [name],
          shape: [],
          order: ([values]: readonly [Float32Array, ...Float32Array[]]) => values,
        },
      ];
    }),
  ],
  config: ({ vision, text, id }) => {
    const headSize = shapeOf(vision, 'v.blk.0.attn_q_norm.weight', 1)[0] as number;
    // llama.cpp knows the two smaller models by the number of features. Only in larger ones, image tokens see later
    // ones.
    const isSmall = [1536, 2560].includes(Number(text.hidden_size));
    return {
      text_config: { ...text, ...(!isSmall && { use_bidirectional_attention: 'vision' }) },
      vision_config: {
        model_type: 'gemma4_vision',
        ...sizesOf(vision),
        head_dim: headSize,
        num_key_value_heads: vision.rows('v.blk.0.attn_k.weight') / headSize,
        rms_norm_eps: vision.needed('attention.layer_norm_epsilon'),
        pooling_kernel_size: vision.number('projector.scale_factor') ?? 3,
        position_embedding_size: shapeOf(vision, 'v.position_embd.weight', 3)[1],
        use_clipped_linears: [...vision.tensors.keys()].some((name) => name.startsWith('v.') && LIMIT.test(name)),
        standardize: vision.tensors.has('v.std_scale'),
      },
      image_token_id: id('<|image|>'),
      boi_token_id: id('<|image>'),
      eoi_token_id: id('<image|>'),
    };
  },
  preprocessor: ({ vision }) => ({
    image_processor_type: 'Gemma4ImageProcessor',
    do_normalize: false,
    patch_size: vision.needed('patch_size'),
    pooling_kernel_size: vision.number('projector.scale_factor') ?? 3,
  }),
};

/** Projections of a layer of Gemma 4's tower. */
const gemma4Projections: Readonly<Record<string, string>> = {
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_out: 'self_attn.o_proj',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

/** Projectors by `clip.projector_type`, one for each kind of language model. */
export const projectors: Readonly<Record<string, readonly Projector[]>> = {
  gemma3: [gemma3],
  gemma4v: [gemma4],
  idefics3: [idefics3],
  lfm2: [lfm2],
  qwen3vl_merger: [qwen('qwen3_vl', 'qwen3_vl_text'), qwen('qwen3_5', 'qwen3_5_text')],
};
