import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  AutogradError,
  CommandError,
  crossEntropy,
  type Device,
  DTypeError,
  ShapeError,
  SimdformerError,
  Transformer,
  type TransformerOptions,
} from '../../src/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { Random } from '../random.js';
import { allowedError, assertClose, largest } from '../tolerance.js';

const best = isas[0]!;

/** Small models of every kind, together using every option. */
const models: Record<string, TransformerOptions> = {
  'encoder–decoder, post-norm': {},
  'encoder–decoder, pre-norm, tied': { norm: 'pre', tieEmbeddings: true, activation: 'gelu' },
  'encoder–decoder, all tied, learned positions': { tieEmbeddings: 'all', targetVocab: 11, positions: 'learned' },
  'encoder–decoder, relative bias, grouped heads': { positions: { kind: 'relativeBias', maxDistance: 2 }, kvHeads: 2 },
  'encoder–decoder, relative keys and values': { positions: { kind: 'shaw', maxDistance: 2 }, norm: 'pre' },
  'encoder–decoder without final norms or positions': { finalNorm: false, positions: 'none', embeddingScale: false },
  'encoder-only': { decoderLayers: 0, targetVocab: undefined, activation: 'silu' },
  'encoder-only, tied': { decoderLayers: 0, targetVocab: 11, tieEmbeddings: true, positions: 'relativeBias' },
  'decoder-only': { encoderLayers: 0, sourceVocab: undefined, padId: 0 },
  'decoder-only, pre-norm, tied, one key-value head': {
    encoderLayers: 0,
    norm: 'pre',
    tieEmbeddings: true,
    kvHeads: 1,
    padId: 0,
    positions: { kind: 'sinusoidal', layout: 'halves', firstPosition: 1, frequencies: 'tensor2tensor' },
  },
  'decoder-only, relative keys and values': { encoderLayers: 0, positions: 'shaw', padId: 0 },
};

function build(device: Device, options: TransformerOptions): Transformer {
  const base = { dModel: 24, heads: 4, encoderLayers: 2, decoderLayers: 2, dFF: 40, maxLength: 12, seed: 5 };
  return new Transformer(device, { ...base, sourceVocab: 11, targetVocab: 9, ...options });
}

const sources = [[3, 4, 5, 6, 7], [8], [2, 9, 10]];
const targets = [
  [1, 3, 4, 2],
  [1, 5, 6, 7, 8, 2],
  [1, 2],
];

/** The inputs that a model takes. */
function inputsOf(model: Transformer, { source = sources, target = targets } = {}) {
  const { encoder, decoder } = model.transformer;
  return [encoder ? source : null, decoder ? target : undefined] as const;
}

function lossOf(model: Transformer) {
  const { encoder, decoder } = model.transformer;
  const labels = sources.map((row) => row.map((id) => id - 1));
  return model.loss(encoder ? sources : null, decoder ? targets : labels, { labelSmoothing: 0.1 });
}

describe.each(Object.entries(models))('%s', (_, options) => {
  it('has the gradients of its loss', async () => {
    const device = await deviceFor(best, 2);
    // Differences across a kink of relu say nothing.
    const { activation = 'gelu', encoderLayers = 1, decoderLayers = 1 } = options;
    const model = build(device, { ...options, activation, encoderLayers, decoderLayers });
    lossOf(model).backward();
    const random = new Random('directions');
    for (const [name, parameter] of model.namedParameters()) {
      const gradient = parameter.grad?.dataSync() as Float32Array;
      expect(gradient, name).toBeDefined();
      // Half of the direction is the gradient's own, where there is most to see, half is any.
      const own = norm(gradient) || 1;
      const other = random.normal([gradient.length]).data;
      const direction = gradient.map((g, i) => g / own + other[i]! / norm(other));
      const slope = gradient.reduce((sum, g, i) => sum + g * direction[i]!, 0);
      const before = parameter.dataSync() as Float32Array;
      const at = (step: number) => {
        parameter.write(before.map((x, i) => x + step * direction[i]!));
        return lossOf(model).dataSync()[0]!;
      };
      const difference = (step: number) => (at(step) - at(-step)) / (2 * step);
      const [coarse, fine] = [difference(2 ** -5), difference(2 ** -6)];
      parameter.write(before);
      // Richardson: the difference of both says what is left of the third derivative; the loss itself is rounded.
      const allowed = Math.abs(coarse - fine) + allowedError(40, 4 * 2 ** 6);
      expect(Math.abs(fine - slope), `${name}: slope ${slope}, by differences ${fine}`).toBeLessThan(allowed);
    }
  });

  it('gives a sequence the same logits alone, packed, padded and on any number of threads', async () => {
    const model = build(await deviceFor(best, 2), options);
    const [source, target] = inputsOf(model);
    const together = await model.forward(source, target).data();
    const rows = target ?? source!;
    const time = Math.max(...rows.map((row) => row.length));
    const vocabulary = together.length / time / rows.length;
    for (const [b, row] of rows.entries()) {
      const alone = await model.forward(source && [source[b]!], target && [target[b]!]).data();
      const start = b * time * vocabulary;
      const scale = largest(alone);
      // Not to the bit: how a matrix product is cut up depends on its rows.
      assertClose('alone', alone, together.subarray(start, start + alone.length), () => allowedError(200, 2 * scale));
      expect(together.subarray(start + row.length * vocabulary, start + time * vocabulary).every((x) => x === 0)).toBe(
        true,
      );
    }
    const pack = (some: number[][]) => ({ ids: some.flat(), lengths: some.map((row) => row.length) });
    const packed = await model.forward(source && pack(source), target && pack(target)).data();
    const tokens = rows.map((row, b) => together.subarray(b * time * vocabulary, (b * time + row.length) * vocabulary));
    expect(packed).toEqual(Float32Array.from(tokens.flatMap((part) => [...part])));

    const single = build(await deviceFor(best, 1), options);
    expect(await single.forward(source, target).data()).toEqual(together);
  });

  if (options.decoderLayers !== 0)
    it('tells no target token what comes after it', async () => {
      const model = build(await deviceFor(best, 2), options);
      const source = options.encoderLayers === 0 ? null : [[3, 4, 5]];
      const earlier = (last: number) => {
        const logits = model.forward(source, [[1, 4, 5, last]]).dataSync();
        return logits.subarray(0, (logits.length * 3) / 4);
      };
      expect(earlier(6)).toEqual(earlier(7));
    });

  if (options.encoderLayers !== 0)
    it('lets source tokens look both ways', async () => {
      const model = build(await deviceFor(best, 2), options);
      const first = (last: number) =>
        model
          .encode([[3, 4, 5, last]])
          .hidden.rows(0, 1)
          .dataSync();
      expect(first(6)).not.toEqual(first(7));
    });

  it('shows what it looks at', async () => {
    const model = build(await deviceFor(best, 2), options);
    const [source, target] = inputsOf(model);
    const { encoder = 2, decoder = 2 } = { encoder: options.encoderLayers, decoder: options.decoderLayers };
    const maps = model.attentionMaps(source, target);
    expect(maps.encoder.length).toBe(encoder);
    expect(maps.decoder.length).toBe(decoder);
    expect(maps.cross.length).toBe(encoder && decoder);
    const checkRows = async (
      map: (typeof maps.encoder)[number],
      queries: number[][],
      keys: number[][],
      causal: boolean,
    ) => {
      const [timeQ, timeK] = [queries, keys].map((rows) => Math.max(...rows.map((row) => row.length))) as [
        number,
        number,
      ];
      expect(map.shape).toEqual([queries.length, 4, timeQ, timeK]);
      const weights = await map.data();
      for (let row = 0; row * timeK < weights.length; row++) {
        const [b, i] = [Math.floor(row / timeQ / 4), row % timeQ];
        const values = weights.subarray(row * timeK, (row + 1) * timeK);
        const seen = causal ? i + 1 : keys[b]!.length;
        const isQuery = i < queries[b]!.length;
        expect(Array.from(values).reduce((sum, x) => sum + x, 0)).toBeCloseTo(isQuery ? 1 : 0, 5);
        expect(values.subarray(isQuery ? seen : 0).every((x) => x === 0)).toBe(true);
      }
    };
    for (const map of maps.encoder) await checkRows(map, sources, sources, false);
    for (const map of maps.decoder) await checkRows(map, targets, targets, true);
    for (const map of maps.cross) await checkRows(map, targets, sources, false);
  });

  it('goes through a state dict unchanged', async () => {
    const device = await deviceFor(best, 2);
    const model = build(device, options);
    const copy = build(device, { ...options, seed: 6 });
    copy.loadStateDict(model.stateDict());
    const inputs = inputsOf(model);
    expect(copy.forward(...inputs).dataSync()).toEqual(model.forward(...inputs).dataSync());
    expect(Object.keys(copy.stateDict())).toEqual(Object.keys(model.stateDict()));
  });
});

describe('dropout', () => {
  const options = { dropout: 0.3, positions: 'sinusoidal' } as const;
  const lossAt = (model: Transformer) => lossOf(model).dataSync()[0]!;

  it('is there in training mode only, and new in each pass', async () => {
    const device = await deviceFor(best, 2);
    const model = build(device, options);
    const plain = build(device, { dropout: 0 });
    expect(lossAt(model)).not.toBe(lossAt(model));
    model.eval();
    expect(lossAt(model)).toBe(lossAt(plain));
    model.train();
    expect(lossAt(model)).not.toBe(lossAt(plain));
  });

  it('repeats itself from the same seed, whatever the threads', async () => {
    const losses = [1, 2, 3].map(async (threads) => {
      const model = build(await deviceFor(best, threads), options);
      return [lossAt(model), lossAt(model)];
    });
    const [first, ...others] = await Promise.all(losses);
    for (const other of others) expect(other).toEqual(first);
    const model = build(await deviceFor(best, 2), options);
    model.seedDropout(77);
    const one = lossAt(model);
    expect(lossAt(model)).not.toBe(one);
    model.seedDropout(77);
    expect(lossAt(model)).toBe(one);
  });

  it('can be drawn anew for each run of a program', async () => {
    const device = await deviceFor(best, 2);
    const model = build(device, options);
    const [batch, shifted] = [model.batch(sources), model.shift(targets)];
    const program = device.record(() => model.loss(batch, shifted));
    expect(program.scalars).toEqual(['dropoutSeed']);
    const at = (dropoutSeed: number) => program.run({ dropoutSeed }).dataSync()[0]!;
    const [one, two] = [at(1), at(2)];
    expect(one).not.toBe(two);
    expect(at(1)).toBe(one);
  });

  it('is the same in backward', async () => {
    const model = build(await deviceFor(best, 2), options);
    const passAt = () => {
      model.seedDropout(9);
      return lossOf(model);
    };
    passAt().backward();
    const weight = model.transformer.encoder!.layers[0]!.linear2.weight;
    const gradient = weight.grad!.dataSync();
    const before = weight.dataSync();
    const length = norm(gradient);
    const at = (step: number) => {
      weight.write(Float32Array.from(before, (x, i) => x + (step * gradient[i]!) / length));
      return passAt().dataSync()[0]!;
    };
    const slope = (at(2 ** -6) - at(-(2 ** -6))) * 2 ** 5;
    expect(Math.abs(slope - length)).toBeLessThan(0.01 * length);
  });
});

describe('loss', () => {
  it('counts no padding labels, and no sequence twice', async () => {
    const model = build(await deviceFor(best, 2), {});
    const each = targets.map((target, b) => model.loss([sources[b]!], [target]).dataSync()[0]! * (target.length - 1));
    const labels = targets.reduce((sum, target) => sum + target.length - 1, 0);
    const mean = each.reduce((sum, loss) => sum + loss, 0) / labels;
    expect(model.loss(sources, targets).dataSync()[0]).toBeCloseTo(mean, 5);
    const width = Math.max(...targets.map((target) => target.length));
    const padded = targets.map((target) => [...target, ...Array(width - target.length).fill(0)]);
    expect(model.loss(sources, padded).dataSync()).toEqual(model.loss(sources, targets).dataSync());
  });
});

it('learns labels of source tokens, but not where the label is padding', async () => {
  const device = await deviceFor(best, 2);
  const model = build(device, { decoderLayers: 0, targetVocab: 9 });
  const labels = [
    [5, 0, 2, 0, 0],
    [3, 0, 0, 0, 0],
    [0, 8, 0, 0, 0],
  ];
  const loss = model.loss(sources, labels).dataSync()[0]!;
  const logits = model.forward(sources);
  const flat = device.tensor(Int32Array.from(labels.flat()), [3, 5]);
  expect(loss).toBeCloseTo(crossEntropy(logits, flat, { ignoreIndex: 0 }).dataSync()[0]!, 6);
  const ragged = labels.map((row, b) => row.slice(0, sources[b]!.length));
  expect(model.loss(sources, ragged).dataSync()[0]).toBe(loss);
  const packed = { ids: ragged.flat(), lengths: ragged.map((row) => row.length) };
  expect(model.loss(sources, packed).dataSync()[0]).toBe(loss);
  expect(() => model.loss(sources, [[5], [3], [2]])).toThrow(ShapeError);
  expect(() => model.loss(sources, labels.slice(1))).toThrow(ShapeError);
});

describe('what cannot be', () => {
  it('configurations', async () => {
    const device = await deviceFor(best, 1);
    const impossible: Record<string, TransformerOptions> = {
      'a multiple of heads': { heads: 5 },
      'a multiple of kvHeads': { kvHeads: 3 },
      sourceVocab: { sourceVocab: undefined },
      targetVocab: { targetVocab: 0 },
      'both 0': { encoderLayers: 0, decoderLayers: 0 },
      'encoderLayers is -1': { encoderLayers: -1 },
      'expected an integer': { dModel: 24.5 },
      activation: { activation: 'swish' as 'silu' },
      norm: { norm: 'both' as 'pre' },
      finalNorm: { finalNorm: 1 as unknown as boolean },
      'positions.kind': { positions: 'rotary' as 'none' },
      'positions.layout': { positions: { kind: 'sinusoidal', layout: 'thirds' as 'halves' } },
      'positions.frequencies': { positions: { kind: 'sinusoidal', frequencies: 'none' as 'paper' } },
      'positions.maxDistance': { positions: { kind: 'shaw', maxDistance: 0 } },
      dropout: { dropout: 1 },
      layerNormEps: { layerNormEps: Number.NaN },
      embeddingScale: { embeddingScale: 'sqrt' as 'sqrt(dModel)' },
      'tieEmbeddings is some': { tieEmbeddings: 'some' as 'all' },
      'one vocabulary': { tieEmbeddings: 'all' },
      seed: { seed: -1 },
    };
    const before = device.memory().used;
    for (const [message, options] of Object.entries(impossible)) {
      expect(() => build(device, options), message).toThrow(ArgumentError);
      expect(() => build(device, options)).toThrow(message);
    }
    expect(device.memory().used).toBe(before);
  });

  it('inputs', async () => {
    const device = await deviceFor(best, 1);
    const model = build(device, {});
    const source = [[3, 4]];
    const long = [Array(13).fill(3)];
    const wrong: [new (...args: never[]) => Error, string, () => unknown][] = [
      [ArgumentError, 'forward(source, target)', () => model.forward(source)],
      [ArgumentError, 'forward(source, target)', () => model.forward(null, source)],
      [ShapeError, '1 source and 2 target', () => model.forward(source, [[1], [1]])],
      [ShapeError, 'maxLength is 12', () => model.forward(source, long)],
      [ShapeError, 'sequence 1 has no tokens', () => model.forward([[3], [0, 0]], [[1], [1]])],
      [ShapeError, 'the batch is empty', () => model.forward([], [])],
      [ArgumentError, '-1 is no token id', () => model.forward([[-1]], [[1]])],
      [ArgumentError, '1.5 is no token id', () => model.forward(source, [[1.5]])],
      [ShapeError, 'expected [batch, time]', () => model.forward(device.tensor(Int32Array.of(3, 4)), [[1]])],
      [DTypeError, 'expected int32', () => model.forward(device.tensor([[3, 4]]), [[1]])],
      [ShapeError, 'add up to 3', () => model.forward({ ids: [3, 4], lengths: [1, 2] }, [[1], [1]])],
      [ArgumentError, 'NaN is no length', () => model.forward({ ids: [3, 4], lengths: [Number.NaN] }, [[1]])],
      [ArgumentError, 'expected rows of token ids', () => model.forward({} as never, [[1]])],
      [ArgumentError, 'expected rows of token ids', () => model.loss(source, undefined as never)],
      [ShapeError, 'nothing comes after', () => model.loss(source, [[1]])],
      [
        SimdformerError,
        'recorded',
        () => device.record(() => model.forward(device.tensor([[3]], [1, 1], { dtype: 'int32' }), [[1]])),
      ],
      [ArgumentError, 'memory is missing', () => model.startDecoding()],
      [AutogradError, 'upstream', () => model.forward(source, [[1]]).backward()],
    ];
    for (const [Kind, message, act] of wrong) {
      expect(act, message).toThrow(Kind);
      expect(act).toThrow(message);
    }
    const outside = model.forward([[3, 11]], [[1]]);
    expect(() => outside.dataSync()).toThrow(CommandError);
    expect(
      model
        .forward(source, [[1]])
        .dataSync()
        .every(Number.isFinite),
    ).toBe(true);
  });

  it('state dicts', async () => {
    const model = build(await deviceFor(best, 1), {});
    const state = model.stateDict();
    const { 'generator.bias': bias, ...others } = state;
    const before = model.forward(sources, targets).dataSync();
    const load = (tensors: Parameters<typeof model.loadStateDict>[0]) => () => model.loadStateDict(tensors);
    expect(load(others)).toThrow(ArgumentError);
    expect(load(others)).toThrow('missing: generator.bias');
    expect(load({ ...state, extra: bias! })).toThrow('unexpected: extra');
    const reshaped = { ...state, 'generator.bias': { shape: [3], data: new Float32Array(3) } };
    expect(load(reshaped)).toThrow(ShapeError);
    expect(load(reshaped)).toThrow('generator.bias is [3], expected [9]');
    const integers = { ...state, 'generator.bias': { shape: [9], data: new Int32Array(9) } };
    expect(load(integers)).toThrow(DTypeError);
    const lying = { ...state, 'generator.bias': { shape: [9], data: new Float32Array(8) } };
    expect(load(lying)).toThrow(ShapeError);
    expect(model.forward(sources, targets).dataSync()).toEqual(before);

    const tied = build(model.device, { tieEmbeddings: true });
    const own = tied.stateDict();
    const weight = own['tgt_embed.weight']!;
    const other = { shape: weight.shape, data: weight.dataSync().map((x) => x + 1) };
    expect(() => tied.loadStateDict({ ...own, 'generator.weight': other })).toThrow('differ');
    const { 'tgt_embed.weight': _, ...rest } = own;
    tied.loadStateDict({ ...rest, 'generator.weight': other });
    expect(weight.dataSync()).toEqual(other.data);
  });
});

it('gives its memory back', async () => {
  const device = await deviceFor(best, 2);
  const before = device.memory().used;
  device.scope(() => {
    const model = build(device, { dropout: 0.1 });
    lossOf(model).backward();
    model.forward(sources, targets);
    model.attentionMaps(sources, targets);
    model.dispose();
  });
  expect(device.memory().used).toBe(before);
});

function norm(values: ArrayLike<number>): number {
  return Math.hypot(...Array.from(values));
}
