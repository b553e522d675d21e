import { expect, it } from 'vitest';
import { InputModule } from '../../src/models/retrieval/features.js';
import { Normalize } from '../../src/models/retrieval/modules/normalize.js';
import { Pooling } from '../../src/models/retrieval/modules/pooling.js';
import { SentenceHead } from '../../src/models/retrieval/sentence-head.js';
import { Sequences } from '../../src/nn/sequences.js';
import { deviceFor, isas } from '../describe-op.js';
import { assertClose } from '../tolerance.js';

/** Stands for the Transformer, whose features the test gives. */
class NoInput extends InputModule {
  override readonly maxTokens = 0;
  override token(): undefined {}
  override encode(): never {
    throw new Error('there are no texts');
  }
  override read(): never {
    throw new Error('there are no texts');
  }
}

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
  const modes = ['cls', 'max', 'mean', 'mean_sqrt_len_tokens', 'weightedmean', 'lasttoken'] as const;
  const head = new SentenceHead([new NoInput(), new Pooling(modes), new Normalize()]);
  const embedding = head.forward(device.tensor(rows.flat()), Sequences.of(device, [3, 2]))!;
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
