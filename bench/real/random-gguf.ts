// GGUF files with the shapes of well-known models and random weights in Q4_K_M, to measure speed at real sizes. Their
// texts mean nothing.

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../src/io/atomic-write.js';
import { ggmlLayouts } from '../../src/io/ggml-types.js';
import { type GgufEntry, type GgufPart, ggufParts } from '../../src/io/gguf-writer.js';
import { toHalf } from '../../src/io/half.js';

export interface ModelShape {
  readonly architecture: 'qwen3' | 'llama';
  readonly layers: number;
  readonly width: number;
  readonly feedForward: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headWidth: number;
  readonly vocabulary: number;
}

const qwen3 = { architecture: 'qwen3', kvHeads: 8, headWidth: 128, vocabulary: 151936 } as const;

/** Output and input embeddings are one tensor in each of these models. */
export const modelShapes: Readonly<Record<string, ModelShape>> = {
  'Qwen3-0.6B': { ...qwen3, layers: 28, width: 1024, feedForward: 3072, heads: 16 },
  'Llama-3.2-1B': {
    architecture: 'llama',
    layers: 16,
    width: 2048,
    feedForward: 8192,
    heads: 32,
    kvHeads: 8,
    headWidth: 64,
    vocabulary: 128256,
  },
  'Qwen3-1.7B': { ...qwen3, layers: 28, width: 2048, feedForward: 6144, heads: 16 },
  'Qwen3-4B': { ...qwen3, layers: 36, width: 2560, feedForward: 9728, heads: 32 },
};

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
  readonly scales: { readonly from: number; readonly to: number; readonly mask: number };
}

const blocks: Readonly<Record<'Q4_K' | 'Q6_K', RandomBlock>> = {
  Q4_K: {
    halves: [
      [0, 250],
      [2, 34],
    ],
    scales: { from: 4, to: 16, mask: 0x3f },
  },
  Q6_K: { halves: [[208, 400]], scales: { from: 192, to: 208, mask: 0x1f } },
};

function matrix(random: RandomBytes, name: string, type: 'Q4_K' | 'Q6_K', rows: number, columns: number): GgufPart {
  const { elements, bytes: blockBytes } = ggmlLayouts[type];
  const { halves, scales } = blocks[type];
  const make = () => {
    const bytes = new Uint8Array(((rows * columns) / elements) * blockBytes);
    random.fill(bytes);
    const view = new DataView(bytes.buffer);
    const bits = toHalf(Float32Array.from(halves, ([, divisor]) => 1 / Math.sqrt(columns) / divisor));
    for (let block = 0; block < bytes.length; block += blockBytes) {
      for (const [i, [at]] of halves.entries()) view.setUint16(block + at, bits[i] as number, true);
      for (let at = block + scales.from; at < block + scales.to; at++) bytes[at] = (bytes[at] as number) & scales.mask;
    }
    return bytes;
  };
  return { name, type, shape: [rows, columns], bytes: make };
}

function ones(name: string, size: number): GgufPart {
  return {
    name,
    type: 'F32',
    shape: [size],
    bytes: () => new Uint8Array(new Float32Array(size).fill(1).buffer),
  };
}

/** Tensors of all layers. llama.cpp's Q4_K_M has more bits for some values and the outputs of some layers. */
function tensorsOf(shape: ModelShape): GgufPart[] {
  const { architecture, layers, width, feedForward, heads, kvHeads, headWidth, vocabulary } = shape;
  const random = new RandomBytes();
  const add = (name: string, type: 'Q4_K' | 'Q6_K', rows: number, columns: number) =>
    matrix(random, name, type, rows, columns);
  const parts = [add('token_embd.weight', 'Q6_K', vocabulary, width), ones('output_norm.weight', width)];
  const eighth = Math.floor(layers / 8);
  for (let i = 0; i < layers; i++) {
    const at = (name: string) => `blk.${i}.${name}.weight`;
    const isPrecise = i < eighth || i >= Math.floor((7 * layers) / 8) || (i - eighth) % 3 === 2;
    const type = isPrecise ? 'Q6_K' : 'Q4_K';
    parts.push(ones(at('attn_norm'), width), ones(at('ffn_norm'), width));
    if (architecture === 'qwen3') parts.push(ones(at('attn_q_norm'), headWidth), ones(at('attn_k_norm'), headWidth));
    parts.push(
      add(at('attn_q'), 'Q4_K', heads * headWidth, width),
      add(at('attn_k'), 'Q4_K', kvHeads * headWidth, width),
      add(at('attn_v'), type, kvHeads * headWidth, width),
      add(at('attn_output'), 'Q4_K', width, heads * headWidth),
      add(at('ffn_gate'), 'Q4_K', feedForward, width),
      add(at('ffn_up'), 'Q4_K', feedForward, width),
      add(at('ffn_down'), type, width, feedForward),
    );
  }
  return parts;
}

function metadataOf(name: string, shape: ModelShape): ReadonlyMap<string, GgufEntry> {
  const { architecture, layers, width, feedForward, heads, kvHeads, headWidth, vocabulary } = shape;
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
  const special = ['<unk>', '<s>', '</s>'];
  const words = Array.from({ length: vocabulary - 259 }, (_, i) => `▁t${i}`);
  const numbers = {
    context_length: 4096,
    embedding_length: width,
    block_count: layers,
    feed_forward_length: feedForward,
    'attention.head_count': heads,
    'attention.head_count_kv': kvHeads,
    'attention.key_length': headWidth,
    'attention.value_length': headWidth,
    'rope.dimension_count': headWidth,
    vocab_size: vocabulary,
  };
  return new Map<string, GgufEntry>([
    ['general.architecture', { string: architecture }],
    ['general.name', { string: name }],
    ['general.file_type', { uint32: 15 }],
    ...Object.entries(numbers).map(([key, uint32]) => [`${architecture}.${key}`, { uint32 }] as const),
    [`${architecture}.rope.freq_base`, { float32: 1e6 }],
    [`${architecture}.attention.layer_norm_rms_epsilon`, { float32: 1e-6 }],
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

/** Returns the file of a model in `folder`, and writes it at the first use: 0.4 GB for Qwen3-0.6B, 2.5 GB for 4B. */
export async function randomGguf(folder: string, name: string): Promise<string> {
  const shape = modelShapes[name] as ModelShape;
  const file = join(folder, `${name}.Q4_K_M.gguf`);
  if (existsSync(file)) return file;
  mkdirSync(folder, { recursive: true });
  await writeAtomically(new Map([[file, ggufParts(metadataOf(name, shape), tensorsOf(shape))]]));
  return file;
}
