import { expect, it } from 'vitest';
import { AdamW, type Device, type TransformerOptions } from '../../src/index.js';
import { deviceFor } from '../describe-op.js';
import { best, build, models } from './small-models.js';

interface Batch {
  readonly source: number[][];
  readonly target: number[][];
}

/** Batches of different forms in turns. */
const batches: readonly Batch[] = [[6, 4], [5], [3, 8], [7], [4, 4]].map((ids) => ({
  source: ids.map((id, i) => (i === 0 ? [id, 3, 8] : [id])),
  target: ids.map((id, i) => (i === 0 ? [1, id, 7, 2] : [1, id])),
}));

/** Takes a step in two ways, and can tell what came of it. */
function trainer(device: Device, options: TransformerOptions) {
  const model = build(device, { ...options, dropout: 0.2 });
  const { encoder, decoder } = model.transformer;
  const adamw = new AdamW(model.parameters(), { lr: 0.01 });
  const loss = (...[source, target]: Parameters<typeof model.loss>) => {
    const result = model.loss(encoder && source, target, { labelSmoothing: 0.1, rDrop: 1 });
    result.backward();
    return result;
  };
  return {
    eager({ source, target }: Batch): number {
      return device.scope(() => {
        const result = loss(source, decoder ? target : source);
        adamw.step({ maxNorm: 1 });
        adamw.zeroGrad();
        return result.dataSync()[0]!;
      });
    },
    record({ source, target }: Batch): (batch: Batch) => number {
      const read = model.batch(source);
      const { input, labels } = decoder
        ? model.shift(target)
        : { input: read, labels: device.tensor(read.ids.dataSync()) };
      const program = device.record(() => {
        const result = loss(read, { input, labels });
        adamw.apply({ maxNorm: 1 });
        adamw.zeroGrad();
        return result;
      });
      return ({ source, target }) => {
        read.ids.write(source.flat());
        if (decoder) input.ids.write(target.flatMap((row) => row.slice(0, -1)));
        labels.write(decoder ? target.flatMap((row) => row.slice(1)) : source.flat());
        return program.run(adamw.advance()).dataSync()[0]!;
      };
    },
    parameters: () => model.parameters().map((parameter) => parameter.dataSync()),
  };
}

it.each(Object.entries(models))(
  '%s: programs in turns and eager steps between them learn the same',
  async (_, kind) => {
    const device = await deviceFor(best, 2);
    const [eager, recorded] = [trainer(device, kind), trainer(device, kind)];
    const programs = batches.slice(0, 2).map((batch) => recorded.record(batch));
    for (const [i, batch] of batches.entries()) {
      const step = i === 2 ? recorded.eager : programs[i % 2]!;
      expect(step(batch)).toBe(eager.eager(batch));
    }
    expect(recorded.parameters()).toEqual(eager.parameters());
  },
);
