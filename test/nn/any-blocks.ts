// Bytes as files have them, for tests of packed weights.
import type { Random } from '../random.js';

/** Bytes of a block, its inputs, where its floats of 16 bits lie, and where an exponent of 8 bits lies. */
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
  iq4_nl: [18, 32, [0]],
  iq4_xs: [136, 256, [0]],
  q2_k: [84, 256, [80, 82]],
  q3_k: [110, 256, [108]],
  mxfp4: [17, 32, [], 0],
  nvfp4: [36, 64, []],
  tq2_0: [66, 256, [64]],
  q1_0: [18, 128, [0]],
  q2_0: [18, 64, [0]],
  uint4: [21, 32, [2]],
} as const satisfies Readonly<Record<string, readonly [number, number, readonly number[], number?]>>;
export type FileFormat = keyof typeof blocks;
/** The high byte of small scales that are not float16 numbers. */
const HIGH: Readonly<Record<string, number>> = { bfloat16: 0x3c, uint4: 0x3c };
export const formats = Object.keys(blocks) as FileFormat[];

/** Any blocks, with small scales. */
export function anyBlocks(random: Random, format: FileFormat, rows: number, cols: number): Uint8Array {
  const [size, inputs, scales, exponent] = blocks[format] as readonly [number, number, readonly number[], number?];
  const bytes = Uint8Array.from({ length: (rows * cols * size) / inputs }, () => random.below(256));
  for (let at = 0; at < bytes.length; at += size) {
    for (const scale of scales) bytes[at + scale + 1] = (HIGH[format] ?? 0x18) + random.below(3);
    if (format === 'uint4') bytes[at + 4] = random.below(17); // a zero point
    if (exponent !== undefined) bytes[at + exponent] = 120 + random.below(3);
  }
  return bytes;
}
