import { describe, expect, it } from 'vitest';
import type { Tensor } from '../../src/index.js';
import { separateGradOf } from '../../src/ops/backward.js';
import { deviceFor, isas } from '../describe-op.js';

/** The words of a view. */
function wordsOf({ size, shape, rowStride, offset }: Tensor): number[] {
  const cols = shape.at(-1)!;
  return Array.from({ length: size }, (_, i) => offset + Math.floor(i / cols) * rowStride + (i % cols));
}

describe('gradients that one command writes', () => {
  it('have separate memory if their inputs overlap, but not if these are columns of one matrix', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const root = device.zeros([6, 8]);
    root.requiresGrad = true;
    const shifted = root.reshape(48).columns(4, 44).reshape(5, 8); // rows that go on in the next one of the root
    const columns = [root, shifted, root.rows(1, 4)].flatMap((matrix) =>
      [
        [0, 4],
        [2, 5],
        [4, 8],
        [6, 8],
        [0, 8],
      ].map(([start, end]) => matrix.columns(start!, end!)),
    );
    const others = [root.rows(2, 3).reshape(8), root.reshape(12, 4).rows(3, 5), root.reshape(48).columns(11, 21)];
    const views = [...columns, ...others];
    for (const x of views) {
      for (const other of views) {
        const words = new Set(wordsOf(x));
        const share = wordsOf(other).some((word) => words.has(word));
        const isApart = separateGradOf(x, null, other)?.of === x;
        if (share) expect(isApart, `${wordsOf(x)} and ${wordsOf(other)}`).toBe(true);
        const areColumns = x.rowStride === 8 && other.rowStride === 8 && x.shape[0] === 6 && other.shape[0] === 6;
        if (!share && areColumns) expect(isApart, `${wordsOf(x)} and ${wordsOf(other)}`).toBe(false);
      }
    }
    expect(separateGradOf(root, root.detach())).toMatchObject({ tensor: { shape: [6, 8] } });
    expect(separateGradOf(root, root.detach())).not.toHaveProperty('of');
    expect(separateGradOf(root.detach(), root)).toBe(null);
  });
});
