// `mmproj` files of Qwen's models.

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

const patchSizes = (vision: GgufSettings): Json => ({
  in_channels: 3,
  temporal_patch_size: 2,
  spatial_merge_size: vision.number('spatial_merge_size') ?? 2,
});

const tokensOf = ({ id }: ProjectorValues): Json => ({
  image_token_id: id('<|image_pad|>'),
  video_token_id: id('<|video_pad|>'),
  vision_start_token_id: id('<|vision_start|>'),
  vision_end_token_id: id('<|vision_end|>'),
});

const preprocessorOf = ({ vision }: ProjectorValues, minPixels: number, maxPixels: number): Json => ({
  image_processor_type: 'Qwen2VLImageProcessorFast',
  patch_size: vision.needed('patch_size'),
  temporal_patch_size: 2,
  merge_size: vision.number('spatial_merge_size') ?? 2,
  size: { shortest_edge: minPixels, longest_edge: maxPixels },
});

/** The projection of patches of two frames, of which the file has one tensor for each. */
function pairedFrames(vision: GgufSettings, name: string): Arranged {
  const of = ['v.patch_embd.weight', 'v.patch_embd.weight.1'] as const;
  const [features, channels, height, width] = shapeOf(vision, of[0], 4) as [number, number, number, number];
  const pixels = height * width;
  return {
    name,
    of,
    shape: [features, channels, 2, height, width],
    order: (frames) => {
      const moved = new Float32Array(2 * frames[0].length);
      for (const [frame, values] of frames.entries())
        for (let plane = 0; plane < features * channels; plane++)
          moved.set(values.subarray(plane * pixels, (plane + 1) * pixels), (2 * plane + frame) * pixels);
      return moved;
    },
  };
}

/** Qwen2-VL, and Qwen2.5-VL, whose layers have gated networks and windows. */
export const qwen2 = (type: 'qwen2_vl' | 'qwen2_5_vl'): Projector => ({
  type,
  texts: ['qwen2_vl_text'],
  text: 'model.',
  head: 'lm_head.',
  gguf: () => ({
    names: {
      'v.post_ln': 'visual.merger.ln_q',
      'mm.0': 'visual.merger.mlp.0',
      'mm.2': 'visual.merger.mlp.2',
      ...ofLayers('visual.blocks.*', {
        ln1: 'norm1',
        ln2: 'norm2',
        attn_out: 'attn.proj',
        ...(type === 'qwen2_vl' ? { ffn_up: 'mlp.fc1', ffn_down: 'mlp.fc2' } : gatedNetwork),
      }),
    },
    joined: ['weight', 'bias'].map((part) => ({
      name: `visual.blocks.*.attn.qkv.${part}`,
      of: ['q', 'k', 'v'].map((letter) => `v.blk.*.attn_${letter}.${part}`),
    })),
  }),
  arranged: (vision) => [pairedFrames(vision, 'visual.patch_embed.proj.weight')],
  config: (values) => {
    const { vision, text } = values;
    const features = vision.needed('embedding_length');
    // Old files hold 0 as sizes of networks and outputs.
    const [inner, out] = [vision.rows('v.blk.0.ffn_up.weight'), vision.rows('mm.2.weight')];
    const sizes =
      type === 'qwen2_vl'
        ? { embed_dim: features, hidden_size: out, mlp_ratio: inner / features }
        : { hidden_size: features, out_hidden_size: out, intermediate_size: inner, ...windowsOf(vision) };
    return {
      text_config: { ...text, model_type: `${type}_text` },
      vision_config: {
        model_type: `${type}_vision`,
        ...sizes,
        depth: vision.needed('block_count'),
        num_heads: vision.needed('attention.head_count'),
        patch_size: vision.needed('patch_size'),
        hidden_act: activationOf(values),
        ...patchSizes(vision),
      },
      ...tokensOf(values),
    };
  },
  // Qwen's own limits, which files do not hold.
  preprocessor: (values) => preprocessorOf(values, 56 ** 2, 28 ** 2 * 16384),
});

/** Windows of attention. One of so many layers attends to whole images. */
function windowsOf(vision: GgufSettings): Json {
  const period = vision.needed('n_wa_pattern');
  const layers = Array.from({ length: vision.layers }, (_, layer) => layer);
  return {
    window_size: vision.number('window_size') ?? 112,
    fullatt_block_indexes: layers.filter((layer) => period === 0 || (layer + 1) % period === 0),
  };
}

const gatedNetwork = { ffn_gate: 'mlp.gate_proj', ffn_up: 'mlp.up_proj', ffn_down: 'mlp.down_proj' };

const VISUAL = 'model.visual';

/** Indices of the tower's layers whose features the decoder adds. */
const earlyLayers = (vision: GgufSettings) =>
  Array.from({ length: vision.layers }, (_, i) => i).filter((i) => vision.tensors.has(`v.deepstack.${i}.fc1.weight`));

/** Qwen3-VL, and Qwen 3.5, whose decoder does not add features of early layers. */
export const qwen3 = (type: 'qwen3_vl' | 'qwen3_5', text: string): Projector => ({
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
  arranged: (vision) => [pairedFrames(vision, `${VISUAL}.patch_embed.proj.weight`)],
  config: (values) => {
    const { vision } = values;
    const { num_hidden_layers: depth, num_attention_heads: heads, ...sizes } = sizesOf(vision);
    return {
      vision_config: {
        model_type: `${type}_vision`,
        ...sizes,
        depth,
        num_heads: heads,
        hidden_act: activationOf(values),
        ...patchSizes(vision),
        out_hidden_size: vision.needed('projection_dim'),
        num_position_embeddings: vision.rows('v.position_embd.weight'),
        deepstack_visual_indexes: earlyLayers(vision),
      },
      ...tokensOf(values),
    };
  },
  // Qwen's own limits, which files do not hold.
  preprocessor: (values) => preprocessorOf(values, 256 ** 2, 4096 ** 2),
});
