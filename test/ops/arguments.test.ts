// Arguments of callers without types: every op refuses wrong ones by an error with its name, before anything is queued.
import { describe, expect, it } from 'vitest';
import { describeValue } from '../../src/core/check.js';
import { ArgumentError } from '../../src/index.js';
import * as ops from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';

const { add, addLayerNorm, attention, attentionWeights, concat, contiguous, conv1d, conv2d, crossEntropy } = ops;
const { div, dropout, layerNormWithStats, nllLoss } = ops;
const { embedding, gather, gelu, layerNorm, linear, logSoftmax, matmul, mean, mul, pack, permute, relu } = ops;
const { rmsNorm, rotary, rotaryTable, scale, sigmoid, silu, slice, softmax, split, sub, sum, tanh, transpose, unpack } =
  ops;

const device = await deviceFor(isas[0]!, 1);
const x = device.zeros([2, 4]);
const w = device.zeros([4, 4]);
const v = device.zeros([4]);
const batch = device.zeros([1, 2, 4]);
const image = device.zeros([1, 2, 2, 4]);
const ids = device.zeros([2], 'int32');
const labels = device.zeros([1, 1], 'int32');

/** Takes what no type allows. */
type Call = (given: never) => unknown;
type Calls = Readonly<Record<string, Call>>;

/** Every value is refused: ArgumentError, by a message that begins with the op and shows the value. */
function refuse(calls: Calls, values: readonly unknown[]) {
  const cases = Object.entries(calls).flatMap(([name, call]) =>
    values.map((value) => [name, describeValue(value), () => call(value as never)] as const),
  );
  it.each(cases)('%s: %s', (name, shown, act) => {
    const before = device.memory().used;
    expect(act).toThrow(ArgumentError);
    expect(act).toThrow(new RegExp(`^${name.split(/[ :]/)[0]}: .* (is|are) .*, expected `));
    expect(device.memory().used, shown).toBe(before);
  });
}

describe('options that are not an object', () => {
  const calls: Calls = {
    addLayerNorm: (o) => addLayerNorm(x, x, v, v, o),
    attention: (o) => attention(x, x, x, o),
    attentionWeights: (o) => attentionWeights(x, x, o),
    conv1d: (o) => conv1d(batch, batch, null, o),
    conv2d: (o) => conv2d(image, image, null, o),
    convTranspose1d: (o) => ops.convTranspose1d(batch, batch, null, o),
    convTranspose2d: (o) => ops.convTranspose2d(image, image, null, o),
    maxPool1d: (o) => ops.maxPool1d(batch, 1, o),
    maxPool2d: (o) => ops.maxPool2d(image, 1, o),
    avgPool1d: (o) => ops.avgPool1d(batch, 1, o),
    avgPool2d: (o) => ops.avgPool2d(image, 1, o),
    adaptiveAvgPool1d: (o) => ops.adaptiveAvgPool1d(batch, 1, o),
    adaptiveAvgPool2d: (o) => ops.adaptiveAvgPool2d(image, 1, o),
    interpolate: (o) => ops.interpolate(image, o),
    gridSample: (o) => ops.gridSample(image, image, o),
    pixelShuffle: (o) => ops.pixelShuffle(image, 1, o),
    pixelUnshuffle: (o) => ops.pixelUnshuffle(image, 1, o),
    pad: (o) => ops.pad(image, [1, 1], o),
    crossEntropy: (o) => crossEntropy(x, ids, o),
    ctcLoss: (o) => ops.ctcLoss(batch, labels, o),
    dropout: (o) => dropout(x, o),
    embedding: (o) => embedding(w, ids, o),
    gelu: (o) => gelu(x, o),
    layerNorm: (o) => layerNorm(x, v, v, o),
    layerNormWithStats: (o) => layerNormWithStats(x, v, v, o),
    linear: (o) => linear(x, w, v, o),
    logSoftmax: (o) => logSoftmax(x, o),
    matmul: (o) => matmul(x, w, o),
    mean: (o) => mean(x, o),
    nllLoss: (o) => nllLoss(x, ids, o),
    rmsNorm: (o) => rmsNorm(x, v, o),
    rotary: (o) => rotary(x, ids, w, o),
    rotaryTable: (o) => rotaryTable(x, x, o),
    softmax: (o) => softmax(x, o),
    sum: (o) => sum(x, o),
    max: (o) => ops.max(x, o),
    min: (o) => ops.min(x, o),
    argmax: (o) => ops.argmax(x, o),
    argmin: (o) => ops.argmin(x, o),
    cumsum: (o) => ops.cumsum(x, o),
    norm: (o) => ops.norm(x, o),
    std: (o) => ops.std(x, o),
    variance: (o) => ops.variance(x, o),
    elu: (o) => ops.elu(x, o),
    leakyRelu: (o) => ops.leakyRelu(x, o),
    softplus: (o) => ops.softplus(x, o),
    clamp: (o) => ops.clamp(x, o),
    topk: (o) => ops.topk(x, 1, o),
    mseLoss: (o) => ops.mseLoss(x, x, o),
    l1Loss: (o) => ops.l1Loss(x, x, o),
    smoothL1Loss: (o) => ops.smoothL1Loss(x, x, o),
    bceWithLogits: (o) => ops.bceWithLogits(x, x, o),
    klDiv: (o) => ops.klDiv(x, x, o),
    cosineSimilarity: (o) => ops.cosineSimilarity(x, x, o),
    tensor: (o) => device.tensor([1], [1], o),
  };
  refuse(calls, [0, 1e-6, Number.NaN, 'tanh', true, null, [0], x, Symbol('axis'), 2n, () => 0]);
  refuse({ dropout: (o) => dropout(x, o) }, [undefined]);
  refuse({ 'linear: dropout': (dropping) => linear(x, w, v, { dropout: dropping }) }, [0, 0.5, false, 'x', [], x]);

  it('the error says how to fix it', () => {
    expect(() => softmax(x, 0 as never)).toThrow('softmax: the options are 0, expected an object like { name: value }');
    expect(() => gelu(x, x as never)).toThrow('gelu: the options are a tensor [2, 4], expected an object');
  });
});

describe('values that are not tensors', () => {
  const required: Calls = {
    'add a': (t) => add(t, x),
    'addLayerNorm x': (t) => addLayerNorm(t, x),
    'addLayerNorm residual': (t) => addLayerNorm(x, t),
    'attention q': (t) => attention(t, x, x),
    'attention k': (t) => attention(x, t, x),
    'attention v': (t) => attention(x, x, t),
    'attentionWeights q': (t) => attentionWeights(t, x),
    'attentionWeights k': (t) => attentionWeights(x, t),
    'concat part': (t) => concat([x, t]),
    'ctcLoss logProbs': (t) => ops.ctcLoss(t, labels),
    'ctcLoss targets': (t) => ops.ctcLoss(batch, t),
    'causalConv x': (t) => ops.causalConv(t, w),
    'causalConv w': (t) => ops.causalConv(x, t),
    contiguous: (t) => contiguous(t),
    'conv1d x': (t) => conv1d(t, batch),
    'conv1d w': (t) => conv1d(batch, t),
    'conv2d x': (t) => conv2d(t, image),
    'conv2d w': (t) => conv2d(image, t),
    'convTranspose1d x': (t) => ops.convTranspose1d(t, batch),
    'convTranspose1d w': (t) => ops.convTranspose1d(batch, t),
    'convTranspose2d x': (t) => ops.convTranspose2d(t, image),
    'convTranspose2d w': (t) => ops.convTranspose2d(image, t),
    maxPool1d: (t) => ops.maxPool1d(t, 1),
    maxPool2d: (t) => ops.maxPool2d(t, 1),
    avgPool1d: (t) => ops.avgPool1d(t, 1),
    avgPool2d: (t) => ops.avgPool2d(t, 1),
    adaptiveAvgPool1d: (t) => ops.adaptiveAvgPool1d(t, 1),
    adaptiveAvgPool2d: (t) => ops.adaptiveAvgPool2d(t, 1),
    interpolate: (t) => ops.interpolate(t, { size: 1 }),
    'gridSample x': (t) => ops.gridSample(t, image),
    'gridSample grid': (t) => ops.gridSample(image, t),
    pixelShuffle: (t) => ops.pixelShuffle(t, 1),
    pixelUnshuffle: (t) => ops.pixelUnshuffle(t, 1),
    pad: (t) => ops.pad(t, [1, 1]),
    roll: (t) => ops.roll(t, 1, 0),
    'crossEntropy logits': (t) => crossEntropy(t, ids),
    'crossEntropy targets': (t) => crossEntropy(x, t),
    'div a': (t) => div(t, x),
    'div a, by a number': (t) => div(t, 3),
    dropout: (t) => dropout(t, { p: 0.5, seed: 1 }),
    'embedding table': (t) => embedding(t, ids),
    'embedding ids': (t) => embedding(w, t),
    'gather x': (t) => gather(t, ids),
    'gather rows': (t) => gather(x, t),
    'gatedDeltaRule q': (t) => ops.gatedDeltaRule({ q: t, k: x, v: x, decay: x, beta: x }, { heads: 4 }),
    'selectiveStateSpace v': (t) => ops.selectiveStateSpace({ q: x, k: x, v: t, decay: x }, { heads: 4 }),
    groupRows: (t) => ops.groupRows(t, 2),
    'groupedLinear x': (t) => ops.groupedLinear(t, w, ids),
    'groupedLinear w': (t) => ops.groupedLinear(x, t, ids),
    'groupedLinear offsets': (t) => ops.groupedLinear(x, w, t),
    gelu: (t) => gelu(t),
    layerNorm: (t) => layerNorm(t),
    layerNormWithStats: (t) => layerNormWithStats(t),
    'linear x': (t) => linear(t, w),
    'linear w': (t) => linear(x, t),
    logSoftmax: (t) => logSoftmax(t),
    'matmul a': (t) => matmul(t, w),
    'matmul b': (t) => matmul(x, t),
    mean: (t) => mean(t),
    'nllLoss logProbs': (t) => nllLoss(t, ids),
    'nllLoss targets': (t) => nllLoss(x, t),
    'mul a': (t) => mul(t, x),
    pack: (t) => pack(t, [1, 1]),
    permute: (t) => permute(t, [1, 0]),
    relu: (t) => relu(t),
    rmsNorm: (t) => rmsNorm(t),
    'rotary x': (t) => rotary(t, ids, w),
    'rotary table': (t) => rotary(x, ids, t),
    'rotaryTable cos': (t) => rotaryTable(t, x),
    'rotaryTable sin': (t) => rotaryTable(x, t),
    scale: (t) => scale(t, 2),
    sigmoid: (t) => sigmoid(t),
    silu: (t) => silu(t),
    slice: (t) => slice(t, 0, 0, 1),
    softmax: (t) => softmax(t),
    split: (t) => split(t, [1, 1], 0),
    'sub a': (t) => sub(t, x),
    sum: (t) => sum(t),
    tanh: (t) => tanh(t),
    transpose: (t) => transpose(t),
    unpack: (t) => unpack(t, [1, 1], 1),
    abs: (t) => ops.abs(t),
    exp: (t) => ops.exp(t),
    log: (t) => ops.log(t),
    sqrt: (t) => ops.sqrt(t),
    rsqrt: (t) => ops.rsqrt(t),
    sign: (t) => ops.sign(t),
    sin: (t) => ops.sin(t),
    cos: (t) => ops.cos(t),
    floor: (t) => ops.floor(t),
    round: (t) => ops.round(t),
    neg: (t) => ops.neg(t),
    elu: (t) => ops.elu(t),
    leakyRelu: (t) => ops.leakyRelu(t),
    softplus: (t) => ops.softplus(t),
    quickGelu: (t) => ops.quickGelu(t),
    hardSwish: (t) => ops.hardSwish(t),
    mish: (t) => ops.mish(t),
    max: (t) => ops.max(t),
    min: (t) => ops.min(t),
    argmax: (t) => ops.argmax(t),
    argmin: (t) => ops.argmin(t),
    cumsum: (t) => ops.cumsum(t),
    norm: (t) => ops.norm(t),
    std: (t) => ops.std(t),
    variance: (t) => ops.variance(t),
    clamp: (t) => ops.clamp(t, { min: 0 }),
    topk: (t) => ops.topk(t, 1),
    'where condition': (t) => ops.where(t, x, x),
    'minimum a': (t) => ops.minimum(t, x),
    'minimum a, beside a number': (t) => ops.minimum(t, 1),
    'maximum a': (t) => ops.maximum(t, x),
    'maximum a, beside a number': (t) => ops.maximum(t, 1),
    'pow a': (t) => ops.pow(t, x),
    'pow a, beside a number': (t) => ops.pow(t, 1),
    'equal a': (t) => ops.equal(t, x),
    'equal a, beside a number': (t) => ops.equal(t, 1),
    'notEqual a': (t) => ops.notEqual(t, x),
    'notEqual a, beside a number': (t) => ops.notEqual(t, 1),
    'less a': (t) => ops.less(t, x),
    'less a, beside a number': (t) => ops.less(t, 1),
    'lessEqual a': (t) => ops.lessEqual(t, x),
    'lessEqual a, beside a number': (t) => ops.lessEqual(t, 1),
    'greater a': (t) => ops.greater(t, x),
    'greater a, beside a number': (t) => ops.greater(t, 1),
    'greaterEqual a': (t) => ops.greaterEqual(t, x),
    'greaterEqual a, beside a number': (t) => ops.greaterEqual(t, 1),
    'mseLoss input': (t) => ops.mseLoss(t, x),
    'mseLoss target': (t) => ops.mseLoss(x, t),
    'l1Loss input': (t) => ops.l1Loss(t, x),
    'l1Loss target': (t) => ops.l1Loss(x, t),
    'smoothL1Loss input': (t) => ops.smoothL1Loss(t, x),
    'smoothL1Loss target': (t) => ops.smoothL1Loss(x, t),
    'klDiv input': (t) => ops.klDiv(t, x),
    'klDiv target': (t) => ops.klDiv(x, t),
    'bceWithLogits logits': (t) => ops.bceWithLogits(t, x),
    'bceWithLogits targets': (t) => ops.bceWithLogits(x, t),
    'cosineSimilarity a': (t) => ops.cosineSimilarity(t, x),
    'cosineSimilarity b': (t) => ops.cosineSimilarity(x, t),
  };
  const optional: Calls = {
    'addLayerNorm gamma': (t) => addLayerNorm(x, x, t),
    'bceWithLogits weight': (weight) => ops.bceWithLogits(x, x, { weight }),
    'bceWithLogits posWeight': (posWeight) => ops.bceWithLogits(x, x, { posWeight }),
    'attention bias': (bias) => attention(x, x, x, { bias }),
    'attention relativeBias': (relativeBias) => attention(x, x, x, { relativeBias }),
    'attention relativeKeys': (relativeKeys) => attention(x, x, x, { relativeKeys }),
    'attention relativeValues': (relativeValues) => attention(x, x, x, { relativeValues }),
    'conv1d bias': (t) => conv1d(batch, batch, t),
    'conv2d bias': (t) => conv2d(image, image, t),
    'convTranspose1d bias': (t) => ops.convTranspose1d(batch, batch, t),
    'convTranspose2d bias': (t) => ops.convTranspose2d(image, image, t),
    'crossEntropy weight': (weight) => crossEntropy(x, ids, { weight }),
    'nllLoss weight': (weight) => nllLoss(x, ids, { weight }),
    'embedding positions': (positions) => embedding(w, ids, { positions, positionIds: ids }),
    'layerNorm gamma': (t) => layerNorm(x, t),
    'layerNorm beta': (t) => layerNorm(x, v, t),
    'layerNorm residual': (residual) => layerNorm(x, v, v, { residual }),
    'linear b': (t) => linear(x, w, t),
    'rmsNorm gamma': (t) => rmsNorm(x, t),
    'rotary positions': (t) => rotary(x, t, w),
  };
  const values = [0, 'x', false, [1], {}, Symbol('x'), 2n, () => x];
  refuse({ ...required, ...optional }, values);
  refuse(required, [undefined, null]);

  it('is every tensor that an op needs', () => {
    const tested = new Set(Object.keys(required).map((name) => name.split(' ')[0]));
    expect(Object.keys(ops).filter((name) => !tested.has(name))).toEqual([]);
  });
});

describe('numbers, choices and lists of another type', () => {
  const nothing = [undefined, null, 'x', '3', true, {}, [], [2], Symbol('x'), 2n];
  const operands: Calls = {
    add: (b) => add(x, b),
    sub: (b) => sub(x, b),
    mul: (b) => mul(x, b),
    div: (b) => div(x, b),
    minimum: (b) => ops.minimum(x, b),
    maximum: (b) => ops.maximum(x, b),
    pow: (b) => ops.pow(x, b),
    equal: (b) => ops.equal(x, b),
    greater: (b) => ops.greater(x, b),
    'where a': (a) => ops.where(ids, a, 1),
    'where b': (b) => ops.where(ids, v, b),
    scale: (factor) => scale(x, factor),
    'full float32': (value) => device.full([2], value),
    'full int32': (value) => device.full([2], value, 'int32'),
    scalar: (value) => device.scalar('s', value),
    'dropout p': (p) => dropout(x, { p, seed: 1 }),
  };
  refuse(operands, nothing);
  refuse({ add: operands.add!, sub: operands.sub!, div: operands.div!, scalar: operands.scalar! }, [Number.NaN]);
  refuse({ mul: (b) => mul(x, b) }, [device.scalar('factor', 2)]); // only `scale` accepts a scalar of a program
  refuse({ 'full int32': operands['full int32']! }, [
    Number.NaN,
    2 ** 31,
    2 ** 40,
    -(2 ** 31) - 1,
    0.5,
    Number.POSITIVE_INFINITY,
  ]);
  refuse({ crossEntropy: (ignoreIndex) => crossEntropy(x, ids, { ignoreIndex }) }, [
    2 ** 31,
    2 ** 32,
    Number.NaN,
    '1',
    2n,
  ]);

  const choices: Calls = {
    crossEntropy: (reduction) => crossEntropy(x, ids, { reduction }),
    nllLoss: (reduction) => nllLoss(x, ids, { reduction }),
    gelu: (approximate) => gelu(x, { approximate }),
    linear: (activation) => linear(x, w, v, { activation }),
  };
  refuse(choices, [null, 'x', 1, Symbol('x'), 2n, x, []]);

  const lists: Calls = {
    'attention lengthsQ': (lengthsQ) => attention(x, x, x, { lengthsQ }),
    'attention lengthsK': (lengthsK) => attention(batch, batch, batch, { lengthsK }),
    'attentionWeights lengthsQ': (lengthsQ) => attentionWeights(x, x, { lengthsQ }),
    concat: (tensors) => concat(tensors),
    'pack lengths': (lengths) => pack(batch, lengths),
    'permute axes': (axes) => permute(x, axes),
    'split sizes': (sizes) => split(x, sizes, 0),
    'unpack lengths': (lengths) => unpack(x, lengths, 2),
  };
  refuse(lists, [3, true, {}, 'x', Symbol('x'), 2n, () => 0]);
  const { 'attention lengthsQ': _q, 'attention lengthsK': _k, 'attentionWeights lengthsQ': _w, ...required } = lists;
  refuse(required, [undefined, null]);

  const entries: Calls = {
    'pack a length': (n) => pack(batch, [n]),
    'pack total': (total) => pack(batch, ids.rows(0, 1), total),
    'split a size': (n) => split(x, [n, 1], 0),
    'unpack a length': (n) => unpack(x, [n, 1], 2),
    'unpack time': (time) => unpack(x, [1, 1], time),
  };
  refuse(entries, [0.5, Number.NaN, '1', Symbol('x'), 2n]);
  refuse({ 'unpack time': entries['unpack time']!, 'pack total': entries['pack total']! }, [0, -1]);
  refuse({ 'pack lengths of 0': (n) => pack(batch, [n]) }, [0]);

  it.each([1.5, '0', null, Symbol('x'), 1n])('an axis of another type', (axis) => {
    const given = axis as never;
    for (const act of [() => softmax(x, { axis: given }), () => sum(x, { axis: given }), () => transpose(x, given)]) {
      expect(act).toThrow(ArgumentError);
      expect(act).toThrow(/^(softmax|sum|transpose): axis .* is not a dimension of \[2, 4\]/);
    }
  });
});
