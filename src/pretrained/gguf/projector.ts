// The images' part of a model in GGUF: llama.cpp's `mmproj` files, which lie beside the file of the language model.

import { describeValue } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { OpenFile } from '../../io/file.js';
import { GgufTexts } from '../../io/gguf-values.js';
import { inMemory } from '../../io/safetensors.js';
import type { GgufFamily, GgufSettings } from '../../models/family.js';
import type { Json } from '../../models/model-config.js';
import { familyOf } from '../../models/registry.js';
import type { WeightEntry } from '../../models/weight-entry.js';
import type { ModelSource } from '../source.js';
import { checkReadable } from './block-reader.js';
import { ggufSettings } from './config.js';
import { GgufMetadata } from './metadata.js';
import { readParts } from './split.js';
import { ggufWeights } from './weights.js';

/** The values of an `mmproj` file, and ids of the vocabulary. */
interface Values {
  readonly vision: GgufSettings;
  readonly metadata: GgufMetadata;
  /** The id of a token. Throws FormatError if the vocabulary does not have it. */
  id(token: string): number;
}

/** A kind of `mmproj` files, by `clip.projector_type`. */
interface Projector {
  /** `model_type` of the whole model, and of its tower. */
  readonly type: string;
  readonly tower: string;
  /** Model types of its language model. */
  readonly texts: readonly string[];
  /** Beginning of names of the language model's weights, instead of `model.`, and the name of the head. */
  readonly text: string;
  readonly head: string;
  readonly gguf: GgufFamily;
  config(values: Values): Json;
  preprocessor(values: Values): Json;
}

/** Names of SigLIP's tower. */
const towerNames = (tower: string): Record<string, string> => ({
  'v.patch_embd': `${tower}.embeddings.patch_embedding`,
  'v.position_embd': `${tower}.embeddings.position_embedding`,
  'v.post_ln': `${tower}.post_layernorm`,
  ...Object.fromEntries(
    Object.entries({
      ...{ ln1: 'layer_norm1', ln2: 'layer_norm2', ffn_up: 'mlp.fc1', ffn_down: 'mlp.fc2' },
      ...{ attn_q: 'self_attn.q_proj', attn_k: 'self_attn.k_proj', attn_v: 'self_attn.v_proj' },
      attn_out: 'self_attn.out_proj',
    }).map(([name, own]) => [`v.blk.*.${name}`, `${tower}.encoder.layers.*.${own}`]),
  ),
});

const gemma3: Projector = {
  ...{ type: 'gemma3', tower: 'siglip_vision_model', texts: ['gemma3_text'] },
  ...{ text: 'language_model.model.', head: 'language_model.lm_head.' },
  gguf: {
    names: {
      ...towerNames('vision_tower'),
      'mm.input_projection.weight': 'multi_modal_projector.mm_input_projection_weight',
      'mm.soft_emb_norm': 'multi_modal_projector.mm_soft_emb_norm',
    },
    plusOne: ['soft_emb_norm'],
  },
  config: ({ vision, id }) => ({
    mm_tokens_per_image:
      Math.floor(
        vision.needed('image_size') / vision.needed('patch_size') / (vision.number('projector.scale_factor') ?? 4),
      ) ** 2,
    image_token_index: id('<image_soft_token>'),
    boi_token_index: id('<start_of_image>'),
    eoi_token_index: id('<end_of_image>'),
  }),
  preprocessor: ({ vision }) => ({
    image_processor_type: 'Gemma3ImageProcessor',
    size: { height: vision.needed('image_size'), width: vision.needed('image_size') },
  }),
};

const idefics3: Projector = {
  ...{ type: 'idefics3', tower: 'smolvlm_vision', texts: ['llama'] },
  ...{ text: 'model.text_model.', head: 'lm_head.' },
  gguf: {
    names: {
      ...towerNames('model.vision_model'),
      'mm.model.fc': 'model.connector.modality_projection.proj',
    },
  },
  config: ({ vision, id }) => ({
    scale_factor: vision.needed('projector.scale_factor'),
    image_token_id: id('<image>'),
  }),
  preprocessor: ({ vision }) => ({
    image_processor_type: 'Idefics3ImageProcessor',
    size: { longest_edge: vision.number('preproc_image_size') ?? 4 * vision.needed('image_size') },
    max_image_size: { longest_edge: vision.needed('image_size') },
  }),
};

const projectors: Readonly<Record<string, Projector>> = { gemma3, idefics3 };

/**
 * The folder of a language model and of the file that reads images for it, which `open` opens. Both are closed with the weights, or if this
 * fails. Throws FormatError, naming the file, for a damaged file, an unknown kind, and another language model.
 */
export async function withProjector(
  language: ModelSource,
  name: string,
  open: () => Promise<OpenFile>,
): Promise<ModelSource> {
  let opened: OpenFile | undefined;
  try {
    opened = await open();
    return await composed(language, opened);
  } catch (error) {
    opened?.close();
    language.weights?.close();
    throw error instanceof FormatError ? new FormatError(`${name}: ${error.message}`, { cause: error }) : error;
  }
}

async function composed(language: ModelSource, opened: OpenFile): Promise<ModelSource> {
  const { gguf, file } = await readParts([opened]);
  const metadata = new GgufMetadata(gguf, 'clip.vision');
  const projector = projectorOf(metadata);
  const text = await language.json('config.json');
  if (!projector.texts.includes(String(text.model_type)))
    throw new FormatError(
      `it belongs to a language model of type ${projector.texts.join(' or ')}, but the model beside it has type ${text.model_type}`,
    );
  const family = await familyOf(projector.type);
  const vision = await ggufSettings(gguf, metadata, family, file);
  const values: Values = { vision, metadata, id: (token) => idOf(language, token) };
  const contents = new Map<string, Json>([
    ['config.json', configOf(projector, text, values, family.writer as string)],
    ['preprocessor_config.json', preprocessorOf(projector, values)],
  ]);
  const own = ggufWeights(gguf, metadata, projector.gguf, file, vision);
  const { weights } = language;
  const tensors = new Map<string, WeightEntry>(own);
  for (const [each, weight] of weights?.tensors ?? []) tensors.set(renamed(each, projector), weight);
  const bytes = async (path: string) => {
    const content = contents.get(path);
    return content ? new TextEncoder().encode(JSON.stringify(content, null, 1)) : language.bytes(path);
  };
  return {
    name: language.name,
    list: async () => [...new Set([...((await language.list()) ?? []), ...contents.keys()])],
    has: async (path) => contents.has(path) || language.has(path),
    bytes,
    json: async (path) => contents.get(path) ?? language.json(path),
    open: async (path) => ({ ...inMemory(await bytes(path)), close() {} }),
    vocabulary: language.vocabulary,
    weights: {
      tensors,
      metadata: new Map(),
      converted: weights?.converted,
      check: (device) => {
        weights?.check?.(device);
        for (const { name, type } of gguf.tensors.values()) checkReadable(device, name, type);
      },
      close: () => {
        weights?.close();
        file.close();
      },
    },
  };
}

function projectorOf(metadata: GgufMetadata): Projector {
  const architecture = metadata.text('general.architecture');
  if (architecture !== 'clip')
    throw new FormatError(`general.architecture is ${architecture}, expected clip for a file that reads images`);
  const kind = metadata.text('clip.projector_type') ?? metadata.text('clip.vision.projector_type');
  const projector = kind !== undefined && Object.hasOwn(projectors, kind) ? projectors[kind] : undefined;
  if (projector) return projector;
  const known = Object.keys(projectors).join(', ');
  throw new FormatError(`clip.projector_type is ${describeValue(kind)}, expected one of ${known}`);
}

const renamed = (name: string, { text, head }: Projector) =>
  name.startsWith('lm_head.') ? head + name.slice(8) : name.startsWith('model.') ? text + name.slice(6) : name;

function idOf({ vocabulary }: ModelSource, token: string): number {
  const tokens = vocabulary?.get('tokenizer.ggml.tokens');
  const id = tokens instanceof GgufTexts ? tokens.toArray().indexOf(token) : -1;
  if (id >= 0) return id;
  throw new FormatError(`the language model's vocabulary has no ${token}, which stands for images`);
}

function configOf(projector: Projector, text: Json, values: Values, writer: string): Json {
  const { vision } = values;
  const ids = ['bos_token_id', 'eos_token_id', 'pad_token_id', 'tie_word_embeddings'];
  return {
    architectures: [writer],
    model_type: projector.type,
    text_config: text,
    vision_config: {
      model_type: projector.tower,
      hidden_size: vision.needed('embedding_length'),
      intermediate_size: vision.needed('feed_forward_length'),
      num_hidden_layers: vision.needed('block_count'),
      num_attention_heads: vision.needed('attention.head_count'),
      layer_norm_eps: vision.needed('attention.layer_norm_epsilon'),
      image_size: vision.needed('image_size'),
      patch_size: vision.needed('patch_size'),
      num_channels: 3,
      hidden_act: activationOf(values),
      vision_use_head: false,
    },
    ...Object.fromEntries(ids.filter((key) => text[key] != null).map((key) => [key, text[key]])),
    ...projector.config(values),
  };
}

/** The name of the activation. ggml's GELU is the approximation by tanh. */
function activationOf({ metadata }: Values): string {
  if (metadata.flag('clip.use_gelu')) return 'gelu_pytorch_tanh';
  return metadata.flag('clip.use_silu') ? 'silu' : 'quick_gelu';
}

function preprocessorOf(projector: Projector, values: Values): Json {
  const colours = (name: string) => Array.from(values.metadata.numbers(`clip.vision.${name}`, 3) ?? [0.5, 0.5, 0.5]);
  return {
    ...projector.preprocessor(values),
    image_mean: colours('image_mean'),
    image_std: colours('image_std'),
  };
}
