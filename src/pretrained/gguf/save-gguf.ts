// Saves a model as a GGUF file, for llama.cpp and programs based on it.

import { checkMethod, checkOneOf, checkOptions, describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import { inSlices } from '../../core/slices.js';
import { writeAtomically } from '../../io/atomic-write.js';
import { pathOf } from '../../io/folder.js';
import type { GgufValue } from '../../io/gguf-values.js';
import { type GgufEntry, ggufParts } from '../../io/gguf-writer.js';
import type { Family, GgufFamily } from '../../models/family.js';
import { type Json, ModelConfig } from '../../models/model-config.js';
import type { PretrainedModel } from '../../models/pretrained-model.js';
import { familyOf, ggufNameOf, ggufSavedTypes } from '../../models/registry.js';
import { settingsOf } from './config.js';
import { fileTypes, type GgufFileType } from './file-types.js';
import { GgufMetadata } from './metadata.js';
import { writtenPart } from './written-parts.js';
import { writtenRope } from './written-rope.js';
import { writtenTensors } from './written-tensors.js';
import { copiedEntries, writtenVocabulary } from './written-vocabulary.js';

export interface SaveGgufOptions {
  /**
   * The type of matrices. Vectors stay float32. The embedding has 8 bits if other matrices have 4. Weights that already
   * have this type are copied; others are unpacked and packed again. Default: 'f16'.
   */
  type?: GgufFileType | undefined;
}

/**
 * Writes a decoder that llama.cpp reads, with its tokenizer, to a GGUF file; see load-later.ts.
 */
export async function saveGguf(
  model: PretrainedModel,
  path: string | URL,
  options: SaveGgufOptions = {},
): Promise<void> {
  checkMethod('saveGguf', 'model', model, 'assertMerged', 'the result of loadModel');
  const { type: fileType = 'f16' } = checkOptions('saveGguf', options, { type: Object.keys(fileTypes) });
  const type = String(model.config.model_type);
  const family = await writableFamily(type);
  const { gguf, rope } = family;
  model.assertMerged('saveGguf');
  if (model.headKind !== 'language-model')
    throw new ArgumentError(`saveGguf: the model's head is for ${model.headKind}, expected a language model`);
  const config = new ModelConfig(model.config);
  checkActivation(config, family.defaults);
  const usual = gguf.usual === undefined ? config : new ModelConfig({ ...model.config, ...gguf.usual(config) });
  const savedSizes = gguf.saved(config);
  const architecture = gguf.architecture?.(config) ?? ggufNameOf(type);
  const positions = rope ? writtenRope(usual, architecture, gguf) : null;
  const sizes = positions ? { ...decoderSizes(model.vocabSize, usual), ...positions.sizes, ...savedSizes } : savedSizes;
  const entries = await inSlices(metadataOf(model, architecture, sizes, fileType));
  const layout = gguf.variants?.find(({ isOf }) => isOf?.(config))?.gguf ?? gguf;
  const metadata = readBack(entries);
  const settings = settingsOf(metadata, { ...family, gguf: layout });
  const file = { device: model.device, layout, metadata, config, type: fileType };
  const tensors = writtenTensors(model, layout, settings).map((tensor) => writtenPart(tensor, file));
  const parts = ggufParts(entries, [...(positions?.parts ?? []), ...tensors]);
  await writeAtomically(new Map([[await pathOf(path), parts]]));
}

/** A family whose models can be written. */
type Writable = Family & { readonly gguf: GgufFamily & { readonly saved: NonNullable<GgufFamily['saved']> } };

/** Returns the family of a model type. Throws ArgumentError for a family that is not written. */
async function writableFamily(type: string): Promise<Writable> {
  const families = await Promise.all(
    ggufSavedTypes.map(async (typeName) => [typeName, await familyOf(typeName)] as const),
  );
  const writable = new Map(families.filter(([, { gguf }]) => gguf?.saved !== undefined));
  checkOneOf('saveGguf', 'the model_type', type, [...writable.keys()]);
  return writable.get(type) as Writable;
}

const ACTIVATIONS = ['hidden_act', 'hidden_activation', 'activation_function', 'activation'];

/** Throws ArgumentError unless the activation is the family's usual one, because GGUF files do not name it. */
function checkActivation({ values }: ModelConfig, defaults: Json): void {
  const kindOf = (activation: unknown) => (/^gelu/.test(String(activation)) ? 'gelu' : activation);
  for (const name of ACTIVATIONS)
    if (defaults[name] != null && kindOf(values[name]) !== kindOf(defaults[name]))
      throw new ArgumentError(
        `saveGguf: ${name} is ${describeValue(values[name])}, expected ${describeValue(defaults[name])}: llama.cpp computes nothing else. Save the model as safetensors`,
      );
}

/** The metadata. Pauses within long vocabularies. */
function* metadataOf(
  model: PretrainedModel,
  architecture: string,
  sizes: Readonly<Record<string, GgufEntry>>,
  type: GgufFileType,
): Generator<undefined, Map<string, GgufEntry>> {
  const vocabulary =
    model.origin?.vocabulary !== undefined
      ? copiedEntries(model.origin.vocabulary)
      : model.tokenizer === null
        ? new Map<string, GgufEntry>([['tokenizer.ggml.model', { string: 'none' }]])
        : yield* writtenVocabulary(model.tokenizer, model.vocabSize);
  return new Map<string, GgufEntry>([
    ['general.architecture', { string: architecture }],
    ['general.type', { string: 'model' }],
    ['general.file_type', { uint32: fileTypes[type] }],
    ['general.quantization_version', { uint32: 2 }],
    ...Object.entries(sizes).map(([name, value]) => [`${architecture}.${name}`, value] as const),
    ...vocabulary,
  ]);
}

/** The settings of decoders with rotary positions. `config` has Llama's names. */
function decoderSizes(vocabulary: number, config: ModelConfig): Record<string, GgufEntry> {
  const count = (name: string) => ({ uint32: config.size(name) });
  const headSize = config.size('head_dim');
  const norms = ['layer_norm_eps', 'layer_norm_epsilon', 'norm_epsilon', 'norm_eps', 'rms_norm_eps'];
  const epsilon = norms.find((name) => config.values[name] != null) as string;
  const kind = epsilon.startsWith('layer_') || epsilon === 'norm_epsilon' ? 'layer_norm' : 'layer_norm_rms';
  return {
    vocab_size: { uint32: vocabulary },
    context_length: count('max_position_embeddings'),
    embedding_length: count('hidden_size'),
    block_count: count('num_hidden_layers'),
    feed_forward_length: perLayer(config, 'intermediate_size'),
    'attention.head_count': count('num_attention_heads'),
    'attention.head_count_kv': count('num_key_value_heads'),
    'attention.key_length': { uint32: headSize },
    'attention.value_length': { uint32: headSize },
    [`attention.${kind}_epsilon`]: { float32: config.number(epsilon) },
  };
}

/** A size of all layers, or of each. */
function perLayer(config: ModelConfig, name: string): GgufEntry {
  const { [name]: value } = config.values;
  return Array.isArray(value) ? { int32s: value as number[] } : { uint32: config.size(name) };
}

/** The settings of a file, as a reader of it gets them. */
function readBack(entries: ReadonlyMap<string, GgufEntry>): GgufMetadata {
  const toValue = (entry: GgufEntry): GgufValue =>
    'int32s' in entry ? Int32Array.from(entry.int32s) : (Object.values(entry)[0] as GgufValue);
  const values = [...entries].map(([name, entry]) => [name, toValue(entry)] as const);
  return new GgufMetadata({ version: 3, alignment: 32, tensors: new Map(), metadata: new Map(values) });
}
