// Losses of transducers beside those of transformers in float64 (make_transducer_loss.py).
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice, type Tensor } from '../../src/index.js';
import { rnntLoss, tdtLoss } from '../../src/models/transducer-loss.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { filesOf, inputsOf, referenceOf } from '../pretrained/reference.js';
import { testData } from '../test-data.js';
import reference from './transducer-loss.json' with { type: 'json' };

const device = await createDevice({ threads: 2 });
afterAll(() => device.dispose());

function logitsOf(shape: readonly number[]): Tensor {
  const size = shape.reduce((product, length) => product * length, 1);
  const logits = device.tensor(
    Float32Array.from({ length: size }, (_, i) => 3 * Math.sin(i ** 2 * 0.37 + 1)),
    shape,
  );
  logits.requiresGrad = true;
  return logits;
}

/** The norm, and the product with cosines of the indices. */
function digestOf(x: Tensor): number[] {
  const values = x.grad!.dataSync() as Float32Array;
  const squares = values.reduce((sum, value) => sum + value * value, 0);
  return [Math.sqrt(squares), values.reduce((sum, value, i) => sum + value * Math.cos(i), 0)];
}

function scalarOf(x: Tensor): number {
  return x.dataSync()[0] as number;
}

/** Scores are sums of a few float32 numbers of about 10, and shares are their exponentials. */
const LIMIT = 2e-5;

describe('the loss of transducers', () => {
  it.each(reference.cases)('of $labels in $frames frames, durations $durations', (each) => {
    const tokens = logitsOf(each.shape);
    const parts = each.durations && logitsOf([...each.shape.slice(0, 3), each.durations.length]);
    const loss = parts ? tdtLoss(tokens, parts, each, each.durations) : rnntLoss(tokens, each);
    expect(Math.abs(scalarOf(loss) - each.loss)).toBeLessThan(LIMIT * each.loss);
    loss.backward();
    const found = [digestOf(tokens), ...(parts ? [digestOf(parts)] : [])];
    for (const [i, wanted] of [each.tokens, ...('parts' in each && each.parts ? [each.parts] : [])].entries())
      for (const k of [0, 1])
        expect(Math.abs(found[i]![k]! - wanted[k]!)).toBeLessThan(LIMIT * Math.max(1, each.loss) * wanted[0]!);
  });

  it('is infinite without a path', () => {
    const loss = rnntLoss(logitsOf([1, 2, 2, 3]), { labels: [[1]], frames: [0], blank: 0 });
    expect(scalarOf(loss)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('Parakeet with TDT', async () => {
  const data = testData('families');
  const model = await loadModel(device, await filesOf(data, 'parakeet_tdt'));
  afterAll(() => model.dispose());
  const { inputFeatures } = inputsOf(device, await referenceOf(data, 'parakeet_tdt'));

  it('has the loss and the gradients of transformers', () => {
    const { labels, loss, norms } = reference.model;
    const output = model.forward({ inputFeatures, labels });
    expect(Math.abs(scalarOf(output.loss as Tensor) - loss)).toBeLessThan(1e-4 * loss);
    (output.loss as Tensor).backward();
    const gradients = model.gradientDict();
    const max = Math.max(...Object.values(norms));
    for (const [name, norm] of Object.entries(norms)) {
      const squares = (gradients[name]!.dataSync() as Float32Array).reduce((sum, value) => sum + value * value, 0);
      expect(Math.abs(Math.sqrt(squares) - norm!), name).toBeLessThan(1e-3 * norm! + 1e-6 * max);
    }
  });

  it('refuses labels that do not fit', () => {
    const loss = (labels: number[][], decoderInputIds?: number[][]) => () =>
      model.forward({ inputFeatures, labels, decoderInputIds });
    expect(loss([[1]])).toThrow('labels has 1 rows, expected 2');
    expect(loss([[1], [999]])).toThrow('labels have the id 999');
    expect(
      loss(
        [
          [1, 3],
          [4, 5],
        ],
        [[1], [1]],
      ),
    ).toThrow('decoderInputIds has 1 columns, expected 3');
  });
});
