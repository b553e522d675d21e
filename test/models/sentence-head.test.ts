import { expect, it } from 'vitest';
import { SentenceHead } from '../../src/models/sentence-head.js';
import { Sequences } from '../../src/nn/sequences.js';
import { deviceFor, isas } from '../describe-op.js';
import { assertClose } from '../tolerance.js';

it("pools as sentence-transformers' modules say, side by side, and normalises", async () => {
  const device = await deviceFor(isas.at(-1) as string, 1);
  const rows = [
    [
      [1, -2],
      [3, 5],
      [-4, 0.5],
    ],
    [
      [2, 7],
      [-1, -3],
    ],
  ];
  const x = device.tensor(rows.flat());
  const head = new SentenceHead(
    ['cls', 'max', 'mean', 'mean_sqrt_len_tokens', 'weightedmean', 'lasttoken'],
    ['normalize'],
  );
  const embedding = head.forward(x, Sequences.of(device, [3, 2]));
  const expected = rows.flatMap((row) => {
    const columns = [0, 1].map((column) => row.map((values) => values[column] as number));
    const sumOf = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
    const kinds: ((values: number[]) => number)[] = [
      (values) => values[0] as number,
      (values) => Math.max(...values),
      (values) => sumOf(values) / values.length,
      (values) => sumOf(values) / Math.sqrt(values.length),
      (values) => sumOf(values.map((value, i) => (i + 1) * value)) / sumOf(values.map((_, i) => i + 1)),
      (values) => values.at(-1) as number,
    ];
    const pooled = kinds.flatMap((kind) => columns.map(kind));
    return pooled.map((value) => value / Math.hypot(...pooled));
  });
  expect(embedding.shape).toEqual([2, 12]);
  // Sums of three and a norm of twelve, each rounded to float32; the values are at most 1.
  assertClose('embedding', await embedding.data(), expected, () => 16 * 2 ** -24);
});
