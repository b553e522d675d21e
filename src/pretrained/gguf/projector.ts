// Reads the image encoder of a model in GGUF: llama.cpp's `mmproj` files, which lie beside the language model's file.

import { describeValue } from '../../core/check.js';
import type { Device } from '../../core/device.js';
import { FormatError } from '../../core/errors.js';
import { type ByteSource, inMemory } from '../../io/byte-source.js';
import type { OpenFile } from '../../io/file.js';
import type { Gguf, GgufTensor } from '../../io/gguf.js';
import { GgufTexts } from '../../io/gguf-values.js';
import type { Json } from '../../models/model-config.js';
import { familyOf } from '../../models/registry.js';
import type { WeightEntry } from '../../models/weight-entry.js';
import type { ModelSource } from '../source.js';
import { BlockReader, checkReadable } from './block-reader.js';
import { ggufSettings } from './config.js';
import { GgufMetadata } from './metadata.js';
import type { Arranged, Projector, ProjectorValues } from './projector-kind.js';
import { projectors } from './projectors.js';
import { readParts } from './split.js';
import { ggufWeights } from './weights.js';

/**
 * Combines a language model with its image encoder, whose file `open` opens. Both files are closed with the weights, or
 * if this function fails. Throws FormatError, which names the file, for a damaged file, an unknown kind, or another
 * language model.
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
  const { gguf: read, file } = await readParts([opened]);
  const metadata = new GgufMetadata(read, 'clip.vision');
  const gguf = { ...read, tensors: withPresentNames(read.tensors, metadata.architectureNumber('embedding_length')) };
  const text = await language.json('config.json');
  const projector = projectorOf(metadata, String(text.model_type));
  const family = await familyOf(projector.type);
  const vision = await ggufSettings(gguf, metadata, family, file);
  const values: ProjectorValues = { vision, metadata, text, id: (token) => idOf(language, token) };
  const contents = new Map<string, Json>([
    ['config.json', configOf(projector, values, family.generationClass as string)],
    ['preprocessor_config.json', preprocessorOf(projector, values)],
  ]);
  const arranged = projector.arranged?.(vision) ?? [];
  const sources = new Set(arranged.flatMap(({ of }) => of));
  const isOther = (tensorName: string) => !sources.has(tensorName) && !OF_SOUND.test(tensorName);
  const textModel = { ...gguf, tensors: new Map([...gguf.tensors].filter(([tensorName]) => isOther(tensorName))) };
  const tensors = new Map<string, WeightEntry>(ggufWeights(textModel, metadata, projector.gguf(vision), file, vision));
  for (const weight of arranged) tensors.set(weight.name, new ArrangedWeight(weight, gguf, file));
  const { weights } = language;
  for (const [tensorName, weight] of weights?.tensors ?? []) tensors.set(renamed(tensorName, projector), weight);
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

/**
 * Swaps the names of the two matrices of feed-forward networks in older files, where `ffn_down` reads the features of a
 * patch.
 */
function withPresentNames(tensors: Gguf['tensors'], features: number | undefined): Gguf['tensors'] {
  const [rows, columns] = tensors.get('v.blk.0.ffn_down.weight')?.shape ?? [];
  if (columns !== features || rows === columns) return tensors;
  const other: Readonly<Record<string, string>> = { ffn_up: 'ffn_down', ffn_down: 'ffn_up' };
  const present = (name: string) => name.replace(/ffn_(up|down)/, (part) => other[part] as string);
  return new Map([...tensors].map(([name, tensor]) => [present(name), tensor]));
}

/** Tensors of the audio encoder, which is not supported and not read. */
const OF_SOUND = /^(mm\.)?a\./;

function projectorOf(metadata: GgufMetadata, text: string): Projector {
  const architecture = metadata.text('general.architecture');
  if (architecture !== 'clip')
    throw new FormatError(`general.architecture is ${architecture}, expected clip for a file that reads images`);
  const kind = metadata.text('clip.projector_type') ?? metadata.text('clip.vision.projector_type');
  const found = kind !== undefined && Object.hasOwn(projectors, kind) ? projectors[kind] : undefined;
  if (found === undefined) {
    const known = Object.keys(projectors).join(', ');
    throw new FormatError(`clip.projector_type is ${describeValue(kind)}, expected one of ${known}`);
  }
  const projector = found.find(({ texts }) => texts.includes(text));
  if (projector) return projector;
  const wanted = found.flatMap(({ texts }) => texts).join(' or ');
  throw new FormatError(`it belongs to a language model of type ${wanted}, but the model beside it has type ${text}`);
}

const renamed = (name: string, { text, head }: Projector) =>
  name.startsWith('lm_head.') ? head + name.slice(8) : name.startsWith('model.') ? text + name.slice(6) : name;

function idOf({ vocabulary }: ModelSource, token: string): number {
  const tokens = vocabulary?.get('tokenizer.ggml.tokens');
  const id = tokens instanceof GgufTexts ? tokens.toArray().indexOf(token) : -1;
  if (id >= 0) return id;
  throw new FormatError(`the language model's vocabulary has no ${token}, which stands for images`);
}

function configOf(projector: Projector, values: ProjectorValues, textClass: string): Json {
  const { text } = values;
  const ids = ['bos_token_id', 'eos_token_id', 'pad_token_id', 'tie_word_embeddings'];
  return {
    architectures: [textClass],
    model_type: projector.type,
    text_config: text,
    ...Object.fromEntries(ids.filter((key) => text[key] != null).map((key) => [key, text[key]])),
    ...projector.config(values),
  };
}

function preprocessorOf(projector: Projector, values: ProjectorValues): Json {
  const colours = (name: string) => Array.from(values.metadata.numbers(`clip.vision.${name}`, 3) ?? [0.5, 0.5, 0.5]);
  return {
    image_mean: colours('image_mean'),
    image_std: colours('image_std'),
    ...projector.preprocessor(values),
  };
}

/** A weight whose values have another order or shape in the file. It is read as a whole. */
class ArrangedWeight implements WeightEntry {
  readonly dtype = 'F32';
  readonly shape: readonly number[];
  readonly size: number;
  readonly #tensors: readonly GgufTensor[];
  readonly #reader: BlockReader;

  constructor(
    private readonly arranged: Arranged,
    { tensors }: Gguf,
    file: ByteSource,
  ) {
    const { of, shape } = arranged;
    this.#tensors = of.flatMap((name) => tensors.get(name) ?? []);
    this.#reader = new BlockReader(file);
    this.shape = shape;
    this.size = shape.reduce((product, n) => product * n, 1);
    const valueCount = this.#tensors.reduce((sum, tensor) => sum + sizeOf(tensor), 0);
    if (valueCount !== this.size)
      throw new FormatError(
        `${of.join(' and ')} have ${valueCount} values, expected ${this.size} for ${arranged.name}`,
      );
  }

  data(): never {
    throw new FormatError(`${this.arranged.of.join(' and ')} cannot be read synchronously`);
  }

  async *stream(_buffer: Uint8Array, _multiple: number, device: Device): AsyncGenerator<Float32Array> {
    const parts: Float32Array[] = [];
    for (const tensor of this.#tensors) parts.push(await this.#reader.values(device, tensor, 0, sizeOf(tensor)));
    yield this.arranged.order(parts as [Float32Array, ...Float32Array[]]);
  }
}

const sizeOf = ({ shape }: GgufTensor) => shape.reduce((product, n) => product * n, 1);
