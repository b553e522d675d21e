// The transformer cases of test/data/fixtures: PyTorch's nn.Transformer in float64, and eight steps of training it.
import { describe, expect, it } from 'vitest';
import { AdamW, type Device, Transformer } from '../../src/index.js';
import { parseSafetensors, type SafetensorsEntry } from '../../src/io/safetensors.js';
import type { Tokens } from '../../src/nn/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { Random } from '../random.js';
import { testData } from '../test-data.js';
import { allowedError, assertClose, largest } from '../tolerance.js';

interface Case {
  readonly name: string;
  readonly op: string;
  /** Further settings of a case, as words. */
  readonly positions: string;
  readonly loss: string;
  readonly training: string;
  readonly names: string;
  readonly dModel: number;
  readonly heads: number;
  readonly encoderLayers: number;
  readonly decoderLayers: number;
  readonly dFF: number;
  readonly activation: 'relu' | 'gelu';
  readonly norm: 'pre' | 'post';
  readonly finalNorm: boolean;
  readonly embeddingScale: 'sqrt(dModel)';
  readonly padId: number;
  readonly bosId: number;
  readonly eosId: number;
}

describe('transformer fixtures', async () => {
  const data = testData('fixtures');
  const cases = (await data.json<Case[]>('index.json')).filter(({ op }) => op === 'transformer');

  describe.each(isas)('%s', (isa) => {
    describe.each(cases)('$name', async (config) => {
      const file = parseSafetensors(await data.bytes(`${config.name}.safetensors`)).tensors;
      const entry = (name: string) => file.get(name) as SafetensorsEntry;
      const under = (prefix: string) =>
        new Map(
          [...file].filter(([name]) => name.startsWith(prefix)).map(([name, e]) => [name.slice(prefix.length), e]),
        );
      const source = rowsOf(entry('in.src'));
      const target = rowsOf(entry('in.tgt'));
      const inputs = target.map((row) => row.slice(0, -1));

      // A chain of n sums of m terms rounds like one sum of n·m terms: the longest sum, once for each sub-layer.
      const subLayers = 2 * config.encoderLayers + 3 * config.decoderLayers;
      const terms = subLayers * Math.max(config.dFF, 3 * config.dModel);
      function compare(what: string, actual: ArrayLike<number>, expected: ArrayLike<number>) {
        const scale = largest(expected);
        assertClose(what, actual, expected, (i) => allowedError(terms, Math.abs(expected[i]!) + scale));
      }

      function build(device: Device): Transformer {
        const [sourceVocab, targetVocab] = ['src', 'tgt'].map((side) => entry(`param.${side}_embed.weight`).shape[0]!);
        const { name, op, loss, training, names, ...options } = config;
        const model = new Transformer(device, { ...options, sourceVocab, targetVocab, positions: 'sinusoidal' });
        model.loadStateDict(under('param.'));
        return model;
      }

      it('forward: padded, ragged and packed inputs give the same bits, near to PyTorch', async () => {
        const device = await deviceFor(isa, 2);
        const model = build(device);
        const all = entry('out.logits').data();
        const vocabulary = entry('out.logits').shape[2]!;
        const isToken = inputs.flatMap((row) => row.map((id) => id !== config.padId));
        const expected = all.filter((_, i) => isToken[Math.floor(i / vocabulary)]);

        const packedSource = packed(source, config.padId);
        const packedInputs = packed(inputs, config.padId);
        const logits = model.forward(packedSource, packedInputs);
        expect(logits.shape).toEqual([packedInputs.ids.length, vocabulary]);
        const values = await logits.data();
        compare('logits', values, expected);

        const tensorOf = (rows: number[][]) =>
          device.tensor(Int32Array.from(rows.flat()), [rows.length, rows[0]!.length]);
        const ragged = (rows: number[][]) => rows.map((row) => row.filter((id) => id !== config.padId));
        const forms: [Tokens, Tokens][] = [
          [tensorOf(source), tensorOf(inputs)],
          [source, inputs],
          [ragged(source), ragged(inputs)],
          [packedSource, inputs],
        ];
        for (const [one, other] of forms) {
          const padded = model.forward(one, other);
          expect(padded.shape).toEqual(entry('out.logits').shape);
          const data = await padded.data();
          const tokens = data.filter((_, i) => isToken[Math.floor(i / vocabulary)]);
          expect(tokens).toEqual(values);
          expect(data.filter((_, i) => !isToken[Math.floor(i / vocabulary)]).every((value) => value === 0)).toBe(true);
        }
      });

      it.each(['padded', 'packed'])('loss and gradients, %s', async (form) => {
        const model = build(await deviceFor(isa, 2));
        const [x, y] = form === 'padded' ? [source, target] : [packed(source, 0), packed(target, 0)];
        const loss = model.loss(x, y, { labelSmoothing: 0.1 });
        compare('loss', await loss.data(), entry('out.loss').data());
        loss.backward();
        const gradients = model.gradientDict();
        const expected = under('grad.');
        expect(Object.keys(gradients).sort()).toEqual([...expected.keys()].sort());
        for (const [name, gradient] of expected) {
          expect(gradients[name]!.shape).toEqual(gradient.shape);
          compare(name, await gradients[name]!.data(), gradient.data());
        }
      });

      const rates = Array.from({ length: 8 }, (_, i) => {
        const step = i + 1;
        return config.dModel ** -0.5 * Math.min(step ** -0.5, step * 10 ** -1.5);
      });
      const optimizerOf = (model: Transformer) =>
        new AdamW(model.parameters(), { beta1: 0.9, beta2: 0.98, eps: 1e-9, weightDecay: 0 });

      /** The loss at each step, of a model whose parameters begin multiplied by what `jitter` hands out. */
      function train(device: Device, jitter?: () => number): number[] {
        const model = build(device);
        if (jitter)
          for (const parameter of model.parameters()) parameter.write(parameter.dataSync().map((x) => x * jitter()));
        const optimizer = optimizerOf(model);
        return rates.map((lr) => {
          const loss = model.loss(source, target, { labelSmoothing: 0.1 });
          loss.backward();
          optimizer.step({ lr, maxNorm: 1 });
          optimizer.zeroGrad();
          return loss.dataSync()[0]!;
        });
      }

      it('trains like PyTorch', async () => {
        const device = await deviceFor(isa, 2);
        const losses = train(device);
        // Adam's first steps have the size of the learning rate however small a gradient is, and ReLUs have kinks.
        // Training therefore multiplies rounding errors, here by up to 10⁵. A second training, from parameters one
        // rounding away, shows the factor.
        const random = new Random(config.name);
        const nearby = Array.from({ length: 6 }, () => train(device, () => 1 + random.sign() * 2 ** -24));
        const expected = entry('out.losses').data();
        assertClose('losses', losses, expected, (i) => {
          const spread = Math.max(...nearby.map((other) => Math.abs(other[i]! - losses[i]!)));
          return allowedError(terms, 2 * Math.abs(expected[i]!)) + 4 * spread;
        });
      });

      it('trains equally in a recorded program', async () => {
        const device = await deviceFor(isa, 2);
        const model = build(device);
        const optimizer = optimizerOf(model);
        const [batch, shifted] = [model.batch(source), model.shift(target)];
        const step = device.record(() => {
          const loss = model.loss(batch, shifted, { labelSmoothing: 0.1 });
          loss.backward();
          optimizer.apply({ maxNorm: 1 });
          optimizer.zeroGrad();
          return loss;
        });
        expect(rates.map((lr) => step.run(optimizer.advance({ lr })).dataSync()[0]!)).toEqual(train(device));
      });

      it('saves the loaded weights', async () => {
        const model = build(await deviceFor(isa, 1));
        const saved = model.stateDict();
        expect(Object.keys(saved).sort()).toEqual([...under('param.').keys()].sort());
        for (const [name, { shape, data }] of Object.entries(saved)) {
          expect(shape).toEqual(entry(`param.${name}`).shape);
          expect(await data()).toEqual(entry(`param.${name}`).data());
        }
      });
    });
  });
});

function rowsOf(entry: SafetensorsEntry): number[][] {
  const [rows, cols] = entry.shape as [number, number];
  return Array.from({ length: rows }, (_, i) => Array.from(entry.data().subarray(i * cols, (i + 1) * cols)));
}

function packed(rows: number[][], padId: number): { ids: number[]; lengths: number[] } {
  const tokens = rows.map((row) => row.filter((id) => id !== padId));
  return { ids: tokens.flat(), lengths: tokens.map((row) => row.length) };
}
