// Saves a model as a GGUF file, for llama.cpp and programs based on it.

import { checkMethod, checkOneOf, checkOptions } from '../../core/check.js';
import type { Device } from '../../core/device.js';
import { ArgumentError } from '../../core/errors.js';
import { inSlices } from '../../core/slices.js';
import { writeAtomically } from '../../io/atomic-write.js';
import { pathOf } from '../../io/folder.js';
import { type GgmlType, ggmlLayouts } from '../../io/ggml-types.js';
import { byteLengthOf } from '../../io/gguf.js';
import { type GgufEntry, type GgufPart, ggufParts } from '../../io/gguf-writer.js';
import { toHalf } from '../../io/half.js';
import type { Family, GgufFamily } from '../../models/family.js';
import { ModelConfig } from '../../models/model-config.js';
import { type PackedPiece, packedPieces } from '../../models/packed-state.js';
import type { PretrainedModel } from '../../models/pretrained-model.js';
import { familyOf, ggufNameOf, ggufTypes } from '../../models/registry.js';
import { entryOf } from '../../nn/state-entry.js';
import { transpose } from '../../nn/stored-layout.js';
import { blocksOfFloats } from '../../ops/packed.js';
import { fileTypes, type GgufFileType } from './file-types.js';
import { writtenRope } from './written-rope.js';
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
  const { gguf, rope } = await writableFamily(type);
  model.assertMerged('saveGguf');
  if (model.headKind !== 'language-model')
    throw new ArgumentError(`saveGguf: the model's head is for ${model.headKind}, expected a language model`);
  const config = new ModelConfig(model.config);
  const tensors = partsOf(model, gguf, fileType);
  const savedSizes = gguf.saved(config);
  const positions = rope ? writtenRope(config) : null;
  const sizes = positions ? { ...decoderSizes(model, config), ...positions.sizes, ...savedSizes } : savedSizes;
  const metadata = await inSlices(metadataOf(model, ggufNameOf(type), sizes, fileType));
  const parts = ggufParts(metadata, [...(positions?.parts ?? []), ...tensors]);
  await writeAtomically(new Map([[await pathOf(path), parts]]));
}

/** A family whose models can be written. */
type Writable = Family & { readonly gguf: GgufFamily & { readonly saved: NonNullable<GgufFamily['saved']> } };

/** Returns the family of a model type. Throws ArgumentError for a family that is not written. */
async function writableFamily(type: string): Promise<Writable> {
  const families = await Promise.all(ggufTypes.map(async (typeName) => [typeName, await familyOf(typeName)] as const));
  const writable = new Map(families.filter(([, { gguf }]) => gguf?.saved !== undefined));
  checkOneOf('saveGguf', 'the model_type', type, [...writable.keys()]);
  return writable.get(type) as Writable;
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

function decoderSizes(model: PretrainedModel, config: ModelConfig): Record<string, GgufEntry> {
  const count = (name: string) => ({ uint32: config.size(name) });
  const headSize = config.size('head_dim');
  return {
    vocab_size: { uint32: model.vocabSize },
    context_length: count('max_position_embeddings'),
    embedding_length: count('hidden_size'),
    block_count: count('num_hidden_layers'),
    feed_forward_length: count('intermediate_size'),
    'attention.head_count': count('num_attention_heads'),
    'attention.head_count_kv': count('num_key_value_heads'),
    'attention.key_length': { uint32: headSize },
    'attention.value_length': { uint32: headSize },
    'attention.layer_norm_rms_epsilon': {
      float32: config.number(config.values.norm_eps == null ? 'rms_norm_eps' : 'norm_eps'),
    },
  };
}

/** A tensor to write, named as in state dicts; `packed` if it consists of blocks. */
interface Written {
  readonly name: string;
  readonly shape: readonly number[];
  readonly floats: () => Promise<Float32Array>;
  readonly packed?: PackedPiece | undefined;
}

/** A tensor with its names in the file and within its layer. */
interface Named extends Written {
  readonly last: string;
}

function partsOf(model: PretrainedModel, architecture: GgufFamily, wanted: GgufFileType): GgufPart[] {
  const names = new Map(Object.entries(architecture.names).map(([modulePath, fileName]) => [fileName, modulePath]));
  const tensors = model.statePieces().map((piece): Written => {
    const { shape, data } = entryOf(piece);
    return { name: piece.name, shape, floats: data };
  });
  const packed = packedPieces(model).map((piece): Written => ({ ...piece, packed: piece }));
  const named = [...tensors, ...packed].map((tensor) => ({ ...tensor, ...nameOf(names, tensor.name) }));
  return withStackedExperts(named).map(({ name, last, shape, floats, packed }) => {
    const isTransposed = shape.length === 2 && (architecture.inOut?.includes(last) ?? false);
    const isTaps = architecture.stored?.[name.replace(/(?<=blk\.)\d+/, '*')] === 'taps';
    const stored = isTransposed ? [...shape].reverse() : isTaps ? [shape[0] as number, ...shape.slice(2)] : shape;
    const usual = isTaps ? 'F32' : typeOf(name, stored, wanted);
    const packedType = packed && (model.device.formats.get(packed.format)?.ggufName as GgmlType | undefined);
    const type = packedType?.toLowerCase() === wanted ? (packedType as GgmlType) : usual;
    const hasPairs = architecture.pairedRows?.includes(last) ?? false;
    const headSize = hasPairs ? new ModelConfig(model.config).size('head_dim') : null;
    const plus = architecture.plusOne === true && name.endsWith('norm.weight') ? 1 : 0;
    const bytes = async () => {
      if (packed !== undefined && packedType === type && packed.rowBytes === byteLengthOf(name, type, [packed.cols])) {
        const blocks = await packed.blocks(); // unchanged
        return headSize === null ? blocks : sideBySide(blocks, headSize, blocks.length / packed.rows);
      }
      const values = await floats();
      const added = plus === 0 ? values : values.map((value) => value + plus);
      const columns = shape.length > 1 ? (stored.at(-1) as number) : 1;
      const rows = isTransposed ? transpose(added, shape) : added;
      return bytesOf(model.device, type, headSize === null ? rows : sideBySide(rows, headSize, columns), columns);
    };
    return { name, type, shape: stored, bytes };
  });
}

/** Tensors in which the matrices of a layer's experts are one tensor, [experts, out, in], as in GGUF files. */
function withStackedExperts(tensors: readonly Named[]): Named[] {
  const groups = new Map<string, Named[]>();
  for (const tensor of tensors) groups.set(tensor.name, [...(groups.get(tensor.name) ?? []), tensor]);
  return [...groups.values()].map((experts) => {
    const [first] = experts as [Named];
    if (experts.length === 1) return first;
    const pieces = experts.flatMap(({ packed }) => packed ?? []);
    const { format, inOut } = pieces[0] ?? {};
    const isPacked = pieces.length === experts.length && !inOut && pieces.every((piece) => piece.format === format);
    return {
      ...first,
      shape: [experts.length, ...first.shape],
      floats: async () => joined(await eachOf(experts, ({ floats }) => floats())),
      packed: isPacked ? stackedPiece(pieces) : undefined,
    };
  });
}

/** The blocks of experts, one after the other. */
function stackedPiece(pieces: readonly PackedPiece[]): PackedPiece {
  const [first] = pieces as [PackedPiece];
  return {
    ...first,
    rows: pieces.length * first.rows,
    blocks: async () => joined(await eachOf(pieces, (piece) => piece.blocks())),
  };
}

/** Calls `read` for one element after the other, so that only one is unpacked at a time. */
async function eachOf<Item, Result>(items: readonly Item[], read: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  for (const item of items) results.push(await read(item));
  return results;
}

function joined<Values extends Float32Array | Uint8Array>(parts: readonly Values[]): Values {
  const [first] = parts as [Values];
  const all = new (first.constructor as new (size: number) => Values)(
    parts.reduce((sum, { length }) => sum + length, 0),
  );
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}

/** The name in a GGUF file, and the tensor's name within its layer. All experts of a layer have the same name. */
function nameOf(names: ReadonlyMap<string, string>, tensorName: string): { name: string; last: string } {
  const name = tensorName.replace(/(?<=\.experts\.)\d+/, '#').replace('.DenseReluDense.wi.', '.DenseReluDense.wi_1.');
  const whole = names.get(name.replace(/(?<=\.layers\.)\d+/, '*'));
  const end = name.lastIndexOf('.');
  const [stem, suffix] = whole === undefined ? [name.slice(0, end), name.slice(end)] : [name, ''];
  const number = /(?<=\.(layers|h|blocks?)\.)\d+/.exec(stem)?.[0] ?? '';
  const ggufName = names.get(number === '' ? stem : stem.replace(`.${number}.`, '.*.'));
  if (ggufName === undefined) throw new ArgumentError(`saveGguf: GGUF files have no name for ${name}`);
  return { name: ggufName.replace('*', number) + suffix, last: ggufName.split('.').at(-1) as string };
}

/** Values that are packed at a time. */
const VALUES_PER_WRITE = 1 << 20;

/** Rows of `columns` values as in a file. The engine packs whole blocks. */
async function bytesOf(device: Device, type: GgmlType, values: Float32Array, columns: number): Promise<Uint8Array> {
  if (type === 'F32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  if (type === 'F16') return new Uint8Array(toHalf(values).buffer); // allows any number of columns
  const name = [...device.formats.values()].find(({ ggufName }) => ggufName === type)?.name as string;
  const all = new Uint8Array(byteLengthOf('the tensor', type, [values.length / columns, columns]));
  const step = columns * Math.max(1, Math.floor(VALUES_PER_WRITE / columns));
  let offset = 0;
  for (let start = 0; start < values.length; start += step) {
    const part = values.subarray(start, start + step);
    const blocks = await blocksOfFloats(device, name, [part.length / columns, columns], part);
    all.set(blocks, offset);
    offset += blocks.length;
  }
  return all;
}

/**
 * Returns the type of a tensor. Vectors, tables of positions and routers stay float32. Rows that are not whole blocks
 * become float16.
 */
function typeOf(name: string, shape: readonly number[], wanted: GgufFileType): GgmlType {
  if (shape.length < 2 || /^position_embd\.weight$|\.ffn_gate_inp\.weight$/.test(name)) return 'F32';
  const isTable = name === 'token_embd.weight' || name === 'output.weight';
  const type = (isTable && wanted !== 'f16' ? 'Q8_0' : wanted.toUpperCase()) as GgmlType;
  return (shape.at(-1) as number) % ggmlLayouts[type].elements === 0 ? type : 'F16';
}

/**
 * Reorders rows for llama.cpp's rotary layout: row j · headSize / 2 + i of each head becomes row 2i + j. Rows have
 * `columns` values or bytes.
 */
function sideBySide<Values extends Float32Array | Uint8Array>(
  values: Values,
  headSize: number,
  columns: number,
): Values {
  const result = values.slice() as Values;
  const half = headSize / 2;
  for (let row = 0; row < values.length / columns; row++) {
    const inHead = row % headSize;
    const to = row - inHead + 2 * (inHead % half) + Math.floor(inHead / half);
    result.set(values.subarray(row * columns, (row + 1) * columns), to * columns);
  }
  return result;
}
