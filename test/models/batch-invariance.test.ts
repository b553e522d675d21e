import { describe, expect, it } from 'vitest';
import { type Device, type Tensor, Transformer } from '../../src/index.js';
import { attention } from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { Random } from '../random.js';

describe.each(isas)('%s: what a sequence gives has the same bits in every batch', (isa) => {
  // Blocks of keys and of queries, full and not, in tiles of every height.
  it.each([16, 33, 64])('attention, heads of %i', async (width) => {
    const device = await deviceFor(isa, 1);
    const random = new Random(`batches ${width}`);
    const all = 150;
    for (const keys of [100, 129, 300]) {
      const [q, k, v] = [all, keys, keys].map((rows) => random.normal([rows, width]).data) as Values;
      const first = (rows: number) =>
        results(device, () =>
          attention(
            device.tensor(q.slice(0, rows * width), [rows, width]),
            device.tensor(k, [keys, width]),
            device.tensor(v, [keys, width]),
            { heads: 1 },
          ),
        );
      const together = first(all);
      for (const rows of [5, 12, 17, 33, 40, 48, 97, 144]) {
        expect(first(rows), `${rows} queries, ${keys} keys`).toEqual(together.slice(0, rows * width));
      }
    }
  });

  it('a model', async () => {
    const device = await deviceFor(isa, 1);
    const layers = { dModel: 64, heads: 4, dFF: 96, encoderLayers: 1, decoderLayers: 1 };
    const model = new Transformer(device, { ...layers, sourceVocab: 20, targetVocab: 20, maxLength: 200, seed: 3 });
    const random = new Random('sequences');
    const rows = (lengths: number[]) => lengths.map((length) => Array.from({ length }, () => 3 + random.below(17)));
    const [sources, targets] = [rows([18, 129, 1, 200, 33]), rows([129, 1, 40, 18, 200])];
    const logits = (some: number[]) => {
      const [source, target] = [sources, targets].map((all) => some.map((i) => all[i] as number[])) as Sequences;
      const packed = (batch: number[][]) => ({ ids: batch.flat(), lengths: batch.map(({ length }) => length) });
      return results(device, () => model.forward(packed(source), packed(target)));
    };
    const alone = targets.map((_, i) => [...logits([i])]);
    for (const some of [
      [0, 1, 2, 3, 4],
      [4, 3, 2, 1, 0],
      [3, 1],
      [2, 0, 4],
    ]) {
      expect(logits(some), `sequences ${some}`).toEqual(Float32Array.from(some.flatMap((i) => alone[i] as number[])));
    }
    for (const numBeams of [1, 3]) {
      const options = { numBeams, maxNewTokens: 8 };
      const { sequences, scores } = await model.generate(sources, options);
      for (const [i, source] of sources.entries()) {
        const single = await model.generate([source], options);
        expect([single.sequences[0], single.scores[0]], `source ${i}`).toEqual([sequences[i], scores[i]]);
      }
    }
    model.dispose();
  });
});

type Values = [Float32Array, Float32Array, Float32Array];
type Sequences = [number[][], number[][]];

function results(device: Device, compute: () => Tensor): Float32Array {
  return device.noGrad(() => device.scope(() => compute().dataSync().slice() as Float32Array));
}
