import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  AutogradError,
  CommandError,
  createDevice,
  DisposedError,
  DTypeError,
  ShapeError,
  SimdformerError,
  type TransformerOptions,
} from '../../src/index.js';
import { loadModel } from '../../src/pretrained/index.js';

import { deviceFor } from '../describe-op.js';
import { best, build, sources, targets } from './small-models.js';

describe('what cannot be', () => {
  it('refuses configurations', async () => {
    const device = await deviceFor(best, 1);
    const impossible: Record<string, TransformerOptions> = {
      'a multiple of heads': { heads: 5 },
      'a multiple of kvHeads': { kvHeads: 3 },
      'sourceVocab is undefined': { sourceVocab: undefined },
      'sourceVocab is 0': { sourceVocab: 0 },
      'targetVocab is undefined': { targetVocab: undefined },
      'targetVocab is 0': { targetVocab: 0 },
      'both 0, expected one of them above': { encoderLayers: 0, decoderLayers: 0 },
      'encoderLayers is -1': { encoderLayers: -1 },
      'expected an integer': { dModel: 24.5 },
      activation: { activation: 'swish' as 'silu' },
      norm: { norm: 'both' as 'pre' },
      finalNorm: { finalNorm: 1 as unknown as boolean },
      'positions.kind': { positions: 'spiral' as 'none' },
      'positions.kind is 5': { positions: 5 as never },
      'positions.layout': { positions: { kind: 'sinusoidal', layout: 'thirds' as 'halves' } },
      'positions.frequencies': { positions: { kind: 'sinusoidal', frequencies: 'none' as 'paper' } },
      'positions.maxDistance': { positions: { kind: 'shaw', maxDistance: 0 } },
      'heads of an even width, not 3': { heads: 8, positions: 'rotary' },
      normalization: { normalization: 'batch' as 'rms' },
      'gated is 1': { gated: 1 as never },
      dropout: { dropout: 1 },
      'activationDropout is 1': { activationDropout: 1 },
      'dropout is "0.1"': { dropout: '0.1' as never },
      layerNormEps: { layerNormEps: Number.NaN },
      'layerNormEps is "1e-5"': { layerNormEps: '1e-5' as never },
      'layerNormEps is Infinity': { layerNormEps: Number.POSITIVE_INFINITY },
      embeddingScale: { embeddingScale: 'sqrt' as 'sqrt(dModel)' },
      'tieEmbeddings is "some"': { tieEmbeddings: 'some' as 'all' },
      'one vocabulary': { tieEmbeddings: 'all' },
      'Transformer: there is no option casual, only dModel, heads,': { casual: true } as never,
      'there is no option d_model: it is dModel here': { d_model: 64 } as never,
      'there is no option nhead: it is heads here': { nhead: 4 } as never,
      'no option num_layers: it is encoderLayers or decoderLayers here': { num_layers: 2 } as never,
      'no option dim_feedforward: it is dFF here': { dim_feedforward: 64 } as never,
      'no option vocab_size: it is sourceVocab or targetVocab here': { vocab_size: 64 } as never,
      "no option norm_first: it is norm: 'pre' here": { norm_first: true } as never,
      'no option causal: it is decoderLayers, without encoderLayers, here': { causal: true } as never,
      'no option toString, only': { toString: 1 } as never,
      'Transformer: positions: there is no option theta, only kind,': {
        positions: { kind: 'rotary', theta: 1 } as never,
      },
      'bosId is "1"': { bosId: '1' as never },
      seed: { seed: -1 },
      'maxLength is 2147483648, expected an integer from 1 to 2³¹ − 1': { maxLength: 2 ** 31 },
    };
    const before = device.memory().used;
    for (const [message, options] of Object.entries(impossible)) {
      expect(() => build(device, options), message).toThrow(ArgumentError);
      expect(() => build(device, options)).toThrow(message);
    }
    expect(device.memory().used).toBe(before);
  });

  it('refuses inputs', async () => {
    const device = await deviceFor(best, 1);
    const model = build(device, {});
    const tagger = build(device, { decoderLayers: 0 });
    const source = [[3, 4]];
    const long = [Array(13).fill(3)];
    const wrong: [new (...args: never[]) => Error, string, () => unknown][] = [
      [ArgumentError, 'forward: this model takes a source and a target', () => model.forward(source)],
      [ArgumentError, 'forward: this model takes a source and a target', () => model.forward(null, source)],
      [ArgumentError, 'loss: this model takes a source and a target', () => model.loss(null, [[1, 2]])],
      [ArgumentError, 'no option smoothing', () => model.loss(source, [[1, 2]], { smoothing: 0.1 } as never)],
      [ShapeError, '1 source and 2 target', () => model.forward(source, [[1], [1]])],
      [ShapeError, 'maxLength is 12', () => model.forward(source, long)],
      [ShapeError, 'sequence 1 has no tokens', () => model.forward([[3], [0, 0]], [[1], [1]])],
      [ShapeError, 'the batch is empty', () => model.forward([], [])],
      [ArgumentError, '-1 is not a token id', () => model.forward([[-1]], [[1]])],
      [ArgumentError, '1.5 is not a token id', () => model.forward(source, [[1.5]])],
      [
        ArgumentError,
        'source: sequence 1, position 2: 4294967297 is not a token id, expected an integer from 0 to 2³¹ − 1',
        () => model.forward([[3], [3, 4, 2 ** 32 + 1]], [[1], [1]]),
      ],
      [ArgumentError, 'Symbol(x) is not a token id', () => model.forward([[Symbol('x') as never]], [[1]])],
      [
        ArgumentError,
        'source: ids is 3, expected an array',
        () => model.forward({ ids: 3, lengths: [1] } as never, [[1]]),
      ],
      [ArgumentError, 'lengths is 1, expected', () => model.forward({ ids: [3], lengths: 1 } as never, [[1]])],
      [ArgumentError, 'sequence 0, position 2: 2.7 is not', () => model.loss(source, [[1, 3, 2.7]])],
      [
        ArgumentError,
        'loss: target: sequence 0, position 1: "2" is not',
        () => model.loss(source, [[1, '2' as never]]),
      ],
      [ArgumentError, 'position 1: 4294967298 is not', () => model.loss(source, [[1, 2 ** 32 + 2]])],
      [ArgumentError, 'position 1: undefined is not', () => model.loss(source, [[1, undefined as never]])],
      [ArgumentError, 'position 1: NaN is not', () => model.loss(source, [[1, Number.NaN]])],
      [ArgumentError, 'position 0: 1.5 is not', () => tagger.loss([[3, 4]], [[1.5, 2]])],
      [ArgumentError, 'sequence 1, position 1: "2" is not', () => tagger.loss([[3], [3, 4]], [[1], [1, '2' as never]])],
      [ShapeError, 'expected [batch, time]', () => model.forward(device.tensor(Int32Array.of(3, 4)), [[1]])],
      [DTypeError, 'expected int32', () => model.forward(device.tensor([[3, 4]]), [[1]])],
      [ShapeError, 'add up to 3', () => model.forward({ ids: [3, 4], lengths: [1, 2] }, [[1], [1]])],
      [ArgumentError, 'NaN is not a length', () => model.forward({ ids: [3, 4], lengths: [Number.NaN] }, [[1]])],
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
  });

  it('refuses ids outside the vocabulary at the call, so that commands of other callers are not lost', async () => {
    const device = await deviceFor(best, 1);
    const model = build(device, {});
    const tagger = build(device, { decoderLayers: 0 });
    const source = [[3, 4]];
    const others = model.forward(source, [[1]]);
    const rows = device.tensor(Int32Array.of(3, 11), [1, 2]);
    const packed = { ids: [3, 11], lengths: [2] };
    const wrong: Record<string, () => unknown> = {
      'embedding: row 1 of ids is 11, expected 0 to 10': () => model.forward([[3, 11]], [[1]]),
      'row 1 of ids is 11': () => model.forward(rows, [[1]]),
      'row 1 of ids is 11, ': () => model.encode(packed),
      'row 1 of ids is 11, expected': () => model.forward(model.batch([[3, 11]]), [[1]]),
      'embedding: row 1 of ids is 9, expected 0 to 8': () => model.loss(source, [[1, 9, 2]]),
      'crossEntropy: row 1 of targets is 9, expected 0 to 8': () => model.loss(source, [[1, 2, 9]]),
      'crossEntropy: row 1 of targets is 10, expected 0 to 8': () => tagger.loss(source, [[1, 10]]),
    };
    for (const [message, act] of Object.entries(wrong)) {
      expect(act, message).toThrow(ArgumentError);
      expect(act).toThrow(message);
    }
    expect(others.dataSync()).toEqual(model.forward(source, [[1]]).dataSync());
    expect(others.dataSync().every(Number.isFinite)).toBe(true);
  });

  it('checks ids that are written later, and those of a recorded program at the run', async () => {
    const device = await deviceFor(best, 1);
    const model = build(device, { encoderLayers: 0 });
    const batch = model.batch([[3, 4]]);
    const good = model.forward(batch).dataSync();
    batch.ids.write(Int32Array.of(3, 11));
    expect(() => model.forward(batch)).toThrow('row 1 of ids is 11, expected 0 to 8');
    const other = model.batch([[3, 11]]);
    other.ids.write(Int32Array.of(3, 4));
    expect(model.forward(other).dataSync()).toEqual(good);
    const program = device.record(() => model.forward(other));
    other.ids.write(Int32Array.of(11, 4));
    expect(() => program.run().dataSync()).toThrow(CommandError);
    other.ids.write(Int32Array.of(3, 4));
    expect(program.run().dataSync()).toEqual(good);
  });

  it('refuses labels that do not fit the tokens, in any form', async () => {
    const tagger = build(await deviceFor(best, 1), { decoderLayers: 0 });
    const source = [[1, 2], [3]];
    const wrong = [[1], [2, 3]];
    for (const labels of [wrong, tagger.batch(wrong), tagger.shift(wrong.map((row) => [4, ...row]))]) {
      expect(() => tagger.loss(source, labels)).toThrow(ShapeError);
      expect(() => tagger.loss(source, labels)).toThrow('expected a label for each source token');
    }
    const labels = [[4, 5], [6]];
    const expected = tagger.loss(source, labels).dataSync();
    expect(tagger.loss(source, tagger.batch(labels)).dataSync()).toEqual(expected);
    expect(tagger.loss(source, tagger.shift(labels.map((row) => [1, ...row]))).dataSync()).toEqual(expected);
  });

  it('refuses batches, and leaves no memory behind', async () => {
    const device = await deviceFor(best, 1);
    const model = build(device, {});
    const decoder = build(device, { encoderLayers: 0 });
    const long = [Array(14).fill(3)];
    const batch = model.batch([[3, 4]]);
    const before = device.memory().used;
    expect(() => model.batch(long)).toThrow("batch: 14 tokens, but the model's maxLength is 12");
    expect(() => model.encode(long)).toThrow(ShapeError);
    expect(() => model.shift(long)).toThrow('shift: target: 13 tokens');
    expect(() => model.shift([[1]])).toThrow('shift: target 0 has 1 tokens');
    expect(() => decoder.encode([[1]])).toThrow('no encoder');
    expect(() => decoder.encode(batch)).toThrow('no encoder');
    expect(device.memory().used).toBe(before);
    expect(batch.ids.disposed).toBe(false);
  });

  it('refuses a side that the model does not have', async () => {
    const device = await deviceFor(best, 1);
    const [source, target] = [[[3, 4]], [[1, 3, 2]]];
    const decoder = build(device, { encoderLayers: 0 });
    const acts = {
      forward: () => decoder.forward(source, target),
      loss: () => decoder.loss(source, target),
      attentionMaps: () => decoder.attentionMaps(source, target),
    };
    for (const [op, act] of Object.entries(acts)) {
      expect(act, op).toThrow(ArgumentError);
      expect(act).toThrow(`${op}: this model takes a target only; it has no encoder, so give null as the source`);
    }
    await expect(decoder.score(source, target)).rejects.toThrow('score: this model takes a target only');
    expect(decoder.forward(target).dataSync()).toEqual(decoder.forward(null, target).dataSync());
    const encoder = build(device, { decoderLayers: 0 });
    expect(() => encoder.forward(source, target)).toThrow('takes a source only; it has no decoder');
  });

  it('refuses state dicts', async () => {
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

  it('after it was disposed of: the error names the model', async () => {
    const model = build(await deviceFor(best, 1), {});
    model.dispose();
    expect(() => model.forward(sources, targets)).toThrow('the model has already been disposed');
    expect(() => model.loss(sources, targets)).toThrow(DisposedError);
    await expect(model.score(sources, targets)).rejects.toThrow(DisposedError);
    await expect(model.save('never written')).rejects.toThrow('the model has already been disposed');
  });

  it('after its device was disposed of: the error names the device', async () => {
    const device = await createDevice();
    const model = build(device, {});
    device.dispose();
    expect(() => model.forward(sources, targets)).toThrow('model: the device has already been disposed');
    await expect(model.generate(sources)).rejects.toThrow('generate: the device has already been disposed');
    await expect(model.save('never written')).rejects.toThrow('model: the device has already been disposed');
    await expect(loadModel(device, 'anywhere')).rejects.toThrow('loadModel: the device has already been disposed');
  });
});
