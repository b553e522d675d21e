// Presents a GGUF file as a model's folder. The files that transformers expects besides the weights are made from its
// metadata.

import type { Device } from '../../core/device.js';
import { FormatError } from '../../core/errors.js';
import { inMemory } from '../../io/byte-source.js';
import type { OpenFile } from '../../io/file.js';
import type { Gguf } from '../../io/gguf.js';
import type { Json } from '../../models/model-config.js';
import { familyOfGguf } from '../../models/registry.js';
import type { WeightEntry } from '../../models/weight-entry.js';
import { headOf } from '../architectures.js';
import type { ModelSource } from '../source.js';
import { checkReadable } from './block-reader.js';
import { ComposedWeight } from './composed.js';
import { ggufConfig, ggufSettings } from './config.js';
import { CONVERTED, isConverted } from './converted-names.js';
import { endIds } from './end-tokens.js';
import { GgufMetadata } from './metadata.js';
import { type OpenGguf, readParts } from './split.js';
import { ggufTokenizerConfig, ggufTokenizerJson, tokenizerKind } from './tokenizer.js';
import { type GgufWeight, ggufWeights } from './weights.js';

/** The poolings of token vectors, by the numbers of `pooling_type`. */
const POOLINGS: Readonly<Record<number, string>> = {
  1: 'pooling_mode_mean_tokens',
  2: 'pooling_mode_cls_token',
  3: 'pooling_mode_lasttoken',
};

/**
 * Makes the source of an open file, or of its parts. They are closed with the weights, or if this function fails.
 * Throws FormatError, which names the file, for a damaged file and for an unknown architecture.
 */
export async function ggufSource(name: string, files: readonly OpenFile[]): Promise<ModelSource> {
  try {
    return await openSource(name, await readParts(files));
  } catch (error) {
    for (const file of files) file.close();
    throw error instanceof FormatError ? new FormatError(`${name}: ${error.message}`, { cause: error }) : error;
  }
}

async function openSource(name: string, { gguf, file }: OpenGguf): Promise<ModelSource> {
  const metadata = new GgufMetadata(gguf);
  const vocabulary = new Map([...gguf.metadata].filter(([key]) => key.startsWith('tokenizer.')));
  if (gguf.tensors.size === 0) return vocabularySource(name, metadata, file, vocabulary);
  const { type, family: usual } = await familyOfGguf(metadata.architecture, {
    hasExperts: (metadata.architectureNumber('expert_count') ?? 0) > 0,
  });
  const variant = usual.gguf.variants?.find(({ tensor }) => gguf.tensors.has(tensor));
  const family = variant === undefined ? usual : { ...usual, gguf: variant.gguf };
  const settings = await ggufSettings(gguf, metadata, family, file);
  const tensors = ggufWeights(gguf, metadata, family.gguf, file, settings);
  const config = ggufConfig(gguf, metadata, type, family, settings);
  const projections = POOLINGS[metadata.architectureNumber('pooling_type') ?? 0]
    ? denseFiles(tensors)
    : new Map<string, WeightEntry>();
  const files = new Map<string, () => unknown>([
    ['config.json', () => config],
    ...tokenizerFiles(metadata),
    ...generationFiles(metadata, config),
    ...poolingFiles(metadata, config, projections),
  ]);
  const check = (device: Device) => {
    for (const { name, type } of gguf.tensors.values()) checkReadable(device, name, type);
  };
  return {
    ...folderOf(name, files),
    vocabulary,
    weights: {
      tensors,
      metadata: new Map(),
      converted: convertedIn(gguf.tensors, tensors),
      check,
      close: () => file.close(),
    },
    projections: new Map([...projections].map(([path, weight]) => [path, new Map([['weight', weight]])])),
  };
}

/** Makes the source of a file that holds only a vocabulary, of any architecture. It has no config.json to load a model. */
function vocabularySource(
  name: string,
  metadata: GgufMetadata,
  file: OpenFile,
  vocabulary: NonNullable<ModelSource['vocabulary']>,
): ModelSource {
  const refuse = () => {
    throw new FormatError(`${name}: the file has no tensors, only a vocabulary: load it with loadTokenizer`);
  };
  const files = new Map<string, () => unknown>([['config.json', refuse], ...tokenizerFiles(metadata)]);
  return {
    ...folderOf(name, files),
    vocabulary,
    weights: { tensors: new Map(), metadata: new Map(), close: () => file.close() },
  };
}

/** Files by path. A function makes the content when the file is read. */
type MadeFiles = (readonly [path: string, content: () => unknown])[];

function tokenizerFiles(metadata: GgufMetadata): MadeFiles {
  if (tokenizerKind(metadata) === null) return [];
  return [
    ['tokenizer.json', () => ggufTokenizerJson(metadata)],
    ['tokenizer_config.json', () => ggufTokenizerConfig(metadata)],
  ];
}

function generationFiles(metadata: GgufMetadata, config: Json): MadeFiles {
  if (headOf(config) !== 'language-model') return [];
  const { bos_token_id, pad_token_id, decoder_start_token_id } = config;
  const settings = { bos_token_id, eos_token_id: endIds(metadata), pad_token_id, decoder_start_token_id };
  return [['generation_config.json', () => withoutNothing(settings)]];
}

/** The modules of sentence-transformers: pooling, and projections after it. */
function poolingFiles(metadata: GgufMetadata, config: Json, projections: ReadonlyMap<string, WeightEntry>): MadeFiles {
  const pooling = POOLINGS[metadata.architectureNumber('pooling_type') ?? 0];
  if (pooling === undefined) return [];
  const word_embedding_dimension = config.hidden_size ?? config.d_model;
  return [
    ['modules.json', () => sentenceModules([...projections.keys()])],
    ['1_Pooling/config.json', () => ({ word_embedding_dimension, [pooling]: true })],
    ...[...projections].map(([path, { shape }]) => {
      const [out_features, in_features] = shape;
      const activation_function = 'torch.nn.modules.linear.Identity';
      return [`${path}/config.json`, () => ({ in_features, out_features, bias: false, activation_function })] as const;
    }),
  ];
}

/** Presents made files as a folder. */
function folderOf(name: string, files: ReadonlyMap<string, () => unknown>) {
  const contentOf = async (path: string): Promise<unknown> => {
    const make = files.get(path);
    if (make === undefined) throw new FormatError(`${name} has no ${path}`);
    return make();
  };
  const bytes = async (path: string) => {
    const content = await contentOf(path);
    return content instanceof Uint8Array ? content : new TextEncoder().encode(JSON.stringify(content, null, 1));
  };
  return {
    name,
    list: async () => [...files.keys()],
    has: async (path: string) => files.has(path),
    bytes,
    json: async (path: string) => (await contentOf(path)) as Readonly<Record<string, unknown>>,
    open: async (path: string) => ({ ...inMemory(await bytes(path)), close() {} }),
  };
}

/** Describes the types of a file that are converted, and their formats; undefined if there are none. */
function convertedIn(
  tensors: Gguf['tensors'],
  weights: ReadonlyMap<string, GgufWeight | ComposedWeight>,
): string | undefined {
  const types = new Set([...tensors.values()].map(({ type }) => type).filter(isConverted));
  const unpacked = [...weights.values()].flatMap((weight) =>
    weight instanceof ComposedWeight && weight.isUnpacked ? weight.tensors.map(({ type }) => type) : [],
  );
  const texts = [
    ...[...types].map((type) => `${type} as ${CONVERTED[type].format}`),
    ...[...new Set(unpacked)].map((type) => `${type} of heads in another order as float16`),
  ];
  return texts.length === 0 ? undefined : texts.join(', ');
}

const withoutNothing = (values: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value != null));

/** Separates the projections after the pooling, by folder. They do not belong to the model's own weights. */
function denseFiles(tensors: Map<string, WeightEntry>): Map<string, WeightEntry> {
  const found = new Map<string, WeightEntry>();
  for (const number of [2, 3]) {
    const name = `dense_${number}.weight`;
    const weight = tensors.get(name);
    if (weight && tensors.delete(name)) found.set(`${number}_Dense`, weight);
  }
  return found;
}

const sentenceModules = (projections: readonly string[]) =>
  [
    ['', 'Transformer'],
    ['1_Pooling', 'Pooling'],
    ...projections.map((path) => [path, 'Dense']),
    [`${2 + projections.length}_Normalize`, 'Normalize'],
  ].map(([path, kind], idx) => ({ idx, name: String(idx), path, type: `sentence_transformers.models.${kind}` }));
