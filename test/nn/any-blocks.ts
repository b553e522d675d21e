// Bytes as files have them, for tests of packed weights.
import type { PackedFormat } from '../../src/ops/index.js';
import type { Random } from '../random.js';

/** Bytes of a block, its inputs, and where its floats of 16 bits lie. */
const blocks = {
  float16: [64, 32, Array.from({ length: 32 }, (_, i) => 2 * i)],
  bfloat16: [64, 32, Array.from({ length: 32 }, (_, i) => 2 * i)],
  q8_0: [34, 32, [0]],
  q4_0: [18, 32, [0]],
  q4_1: [20, 32, [0, 2]],
  q5_0: [22, 32, [0]],
  q5_1: [24, 32, [0, 2]],
  q4_k: [144, 256, [0, 2]],
  q5_k: [176, 256, [0, 2]],
  q6_k: [210, 256, [208]],
} as const satisfies Partial<Record<PackedFormat, readonly [number, number, readonly number[]]>>;
export type FileFormat = keyof typeof blocks;
export const formats = Object.keys(blocks) as FileFormat[];

/** Any blocks, with small scales. */
export function anyBlocks(random: Random, format: FileFormat, rows: number, cols: number): Uint8Array {
  const [size, inputs, scales] = blocks[format];
  const bytes = Uint8Array.from({ length: (rows * cols * size) / inputs }, () => random.below(256));
  for (let at = 0; at < bytes.length; at += size) {
    for (const scale of scales) bytes[at + scale + 1] = (format === 'bfloat16' ? 0x3c : 0x18) + random.below(3);
  }
  return bytes;
}
