// The kinds of `mmproj` files: names of their tensors, and the settings of the model and of its image processor.

import type { GgufSettings } from '../../models/family.js';
import type { Json } from '../../models/model-config.js';
import {
  type Arranged,
  activationOf,
  ofLayers,
  type Projector,
  type ProjectorValues,
  shapeOf,
  sizesOf,
} from './projector-kind.js';
import { qwen2, qwen3 } from './qwen-projectors.js';

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
  qwen2vl_merger: [qwen2('qwen2_vl')],
  'qwen2.5vl_merger': [qwen2('qwen2_5_vl')],
  qwen3vl_merger: [qwen3('qwen3_vl', 'qwen3_vl_text'), qwen3('qwen3_5', 'qwen3_5_text')],
};
