// GGUF files with the shapes of well-known models and random weights, to measure speed at real sizes. Their
// texts mean nothing.

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { sizeOf } from '../../src/core/shape.js';
import { writeAtomically } from '../../src/io/atomic-write.js';
import { ggmlLayouts } from '../../src/io/ggml-types.js';
import { byteLengthOf } from '../../src/io/gguf.js';
import { type GgufEntry, type GgufPart, ggufParts } from '../../src/io/gguf-writer.js';
import { toHalf } from '../../src/io/half.js';
import type { FileFormat, ModelShape, RandomType } from './shapes.js';

/** A fast generator of random bytes: the quality does not matter. */
class RandomBytes {
  #state = 0x9e3779b9;

  fill(bytes: Uint8Array): void {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    let state = this.#state;
    for (let i = 0; i < words.length; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[i] = state;
    }
    this.#state = state;
  }
}

/** Positions of the parts of a block, and divisors of 1 / √columns that keep activations near 1. */
interface RandomBlock {
  readonly halves: readonly (readonly [at: number, divisor: number])[];
  /** Bytes of scales: those from `from` to below `to` are ANDed with `mask`. */
  readonly scales?: { readonly from: number; readonly to: number; readonly mask: number };
}

const fourOrFiveBits: RandomBlock = {
  halves: [
    [0, 250],
    [2, 34],
  ],
  scales: { from: 4, to: 16, mask: 0x3f },
};
const blocks: Readonly<Record<RandomType, RandomBlock>> = {
  Q4_0: { halves: [[0, 5]] },
  Q8_0: { halves: [[0, 74]] },
  Q4_K: fourOrFiveBits,
  Q5_K: {
    ...fourOrFiveBits,
    halves: [
      [0, 500],
      [2, 34],
    ],
  },
  Q6_K: { halves: [[208, 400]], scales: { from: 192, to: 208, mask: 0x1f } },
};

/** Values of a file's `general.file_type`. */
const fileTypes: Readonly<Record<FileFormat, number>> = { Q4_0: 2, Q8_0: 7, Q4_K_M: 15, Q5_K_M: 17, Q6_K: 18 };

function fillBlocks(random: RandomBytes, type: RandomType, rows: number, columns: number): Uint8Array {
  const { elements, bytes: blockBytes } = ggmlLayouts[type];
  const { halves, scales } = blocks[type];
  const bytes = new Uint8Array(((rows * columns) / elements) * blockBytes);
  random.fill(bytes);
  const view = new DataView(bytes.buffer);
  const bits = toHalf(Float32Array.from(halves, ([, divisor]) => 1 / Math.sqrt(columns) / divisor));
  for (let block = 0; block < bytes.length; block += blockBytes) {
    for (const [i, [at]] of halves.entries()) view.setUint16(block + at, bits[i] as number, true);
    if (scales)
      for (let at = block + scales.from; at < block + scales.to; at++) bytes[at] = (bytes[at] as number) & scales.mask;
  }
  return bytes;
}

/** Returns random blocks of a matrix. Throws RangeError for a type that is not in the table above. */
export function randomBlocks(type: string, rows: number, columns: number): Uint8Array {
  if (!(type in blocks))
    throw new RangeError(`no random blocks of ${type}, expected ${Object.keys(blocks).join(', ')}`);
  return fillBlocks(new RandomBytes(), type as RandomType, rows, columns);
}

function partsOf({ tensors }: ModelShape): GgufPart[] {
  const random = new RandomBytes();
  return tensors.map(({ name, type, shape, value = 1 }) =>
    type === 'F32'
      ? { name, type, shape, bytes: () => new Uint8Array(new Float32Array(sizeOf(shape)).fill(value).buffer) }
      : {
          name,
          type,
          shape,
          bytes: () => fillBlocks(random, type, sizeOf(shape.slice(0, -1)), shape.at(-1) as number),
        },
  );
}

/** Bytes of the weights that writing one token reads. */
export function bytesPerToken({ tensors }: ModelShape): number {
  const each = tensors.map(({ type, shape, read = 1, name }) => read * byteLengthOf(name, type, shape));
  return each.reduce((sum, bytes) => sum + bytes, 0);
}

function metadataOf(
  name: string,
  { format, architecture, vocabulary, settings }: ModelShape,
): ReadonlyMap<string, GgufEntry> {
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
  const special = ['<unk>', '<s>', '</s>'];
  const words = Array.from({ length: vocabulary - 259 }, (_, i) => `▁t${i}`);
  return new Map<string, GgufEntry>([
    ['general.architecture', { string: architecture }],
    ['general.name', { string: name }],
    ['general.file_type', { uint32: fileTypes[format] }],
    ...Object.entries(settings).map(([key, entry]) => [`${architecture}.${key}`, entry] as const),
    ['tokenizer.ggml.model', { string: 'llama' }],
    ['tokenizer.ggml.tokens', { strings: [...special, ...bytes, ...words] }],
    ['tokenizer.ggml.scores', { float32s: Array.from({ length: vocabulary }, (_, i) => Math.min(0, 259 - i)) }],
    [
      'tokenizer.ggml.token_type',
      { int32s: Array.from({ length: vocabulary }, (_, i) => (i === 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1)) },
    ],
    ['tokenizer.ggml.bos_token_id', { uint32: 1 }],
    ['tokenizer.ggml.eos_token_id', { uint32: 2 }],
    ['tokenizer.ggml.unknown_token_id', { uint32: 0 }],
    ['tokenizer.ggml.add_bos_token', { bool: false }],
  ]);
}

/** Returns the file of a model in `folder`, and writes it at the first use: 0.4 GB for Qwen3-0.6B, 4.2 GB for OLMoE. */
export async function randomGguf(folder: string, name: string, shape: ModelShape): Promise<string> {
  const file = join(folder, `${name.split(' ')[0]}.${shape.format}.gguf`);
  if (existsSync(file)) return file;
  mkdirSync(folder, { recursive: true });
  await writeAtomically(new Map([[file, ggufParts(metadataOf(name, shape), partsOf(shape))]]));
  return file;
}
