// Calls of ops, and of parts of models.

import * as nn from '../../src/nn/index.js';
import * as ops from '../../src/ops/index.js';
import { type Calls, call, dropout } from './call.js';
import type { Models } from './models.js';

/** Calls of parts. */
export function nnCalls({ device, x, ids, init, packed }: Models): Calls {
  const looking = call((options) => ops.embedding(x, ids, options));
  const packedLinear = packed.modules().find((each) => each instanceof nn.PackedLinear) as nn.PackedLinear;
  const wide = device.zeros([1, packedLinear.weight.shape[1] as number]);
  return {
    'new CrossAttention': call((options) => new nn.CrossAttention(init, options), {
      dModel: 8,
      heads: 2,
      memorySize: 6,
    }),
    'new MultiHeadAttention': call((options) => new nn.MultiHeadAttention(init, options), { dModel: 8, heads: 2 }),
    'new Conv1d': call((options) => new nn.Conv1d(init, options), { inputs: 1, outputs: 1, kernel: 1 }),
    'new Conv2d': call((options) => new nn.Conv2d(init, options), { inputs: 1, outputs: 1, kernel: [1, 1] }),
    'new ConvTranspose1d': call((options) => new nn.ConvTranspose1d(init, options), {
      inputs: 1,
      outputs: 1,
      kernel: 1,
    }),
    'new ConvTranspose2d': call((options) => new nn.ConvTranspose2d(init, options), {
      inputs: 1,
      outputs: 1,
      kernel: [1, 1],
    }),
    'new BucketBias': call((options) => new nn.BucketBias(init, options), {
      heads: 2,
      buckets: 8,
      maxDistance: 16,
      bidirectional: true,
    }),
    'new BatchNorm': call((options) => new nn.BatchNorm(init, 2, options)),
    'Embedding#forward': looking,
    'EmbeddingLookup#forward': looking,
    'PackedEmbedding#forward': looking,
    'PackedWeight#embedding': looking,
    'new FeedForward': call((options) => new nn.FeedForward(init, options), { dModel: 8 }),
    'new TransformerLayer': call((options) => new nn.TransformerLayer(options), {
      selfAttn: () => new nn.MultiHeadAttention(init, { dModel: 8, heads: 2 }),
      feedForward: () => new nn.FeedForward(init, { dModel: 8 }),
      norm: () => new nn.LayerNorm(init, 8),
    }),
    'new MixtureOfExperts': call((options) => new nn.MixtureOfExperts(init, options), {
      dModel: 8,
      dFF: 8,
      experts: 2,
      chosen: 1,
    }),
    'new PatchEmbedding': call((options) => new nn.PatchEmbedding(init, options), {
      dModel: 8,
      channels: 1,
      image: [4, 4],
      patch: [2, 2],
    }),
    'new RotaryEmbedding': call(
      (options) => new nn.RotaryEmbedding(init, options),
      {
        headSize: 8,
        maxLength: 16,
      },
      { scaling: { type: 'linear', factor: 2 } },
    ),
    'new Stack': call((options) => new nn.Stack(0, () => null as never, null, options)),
    rotaryAngles: call((options) => nn.rotaryAngles(4, 8, options)),
    sinusoids: call((options) => nn.sinusoids(4, 8, options)),
    'PackedWeight#linear': call((options) => packedLinear.weight.linear(wide, null, options), {}, { dropout }),
    'PackedWeight#linearPart': call(
      (options) => packedLinear.weight.linearPart(wide, 0, 8, null, options),
      {},
      { dropout },
    ),
  };
}

/** Calls of ops. */
export function opsCalls({ device, x, ids, row }: Models): Calls {
  const table = ops.rotaryTable(x, x);
  return {
    attention: call((options) => ops.attention(x, x, x, options), {}, { dropout }),
    attentionWeights: call((options) => ops.attentionWeights(x, x, options)),
    addLayerNorm: call((options) => ops.addLayerNorm(x, x, row, row, options)),
    argmax: call((options) => ops.argmax(x, options)),
    argmin: call((options) => ops.argmin(x, options)),
    bceWithLogits: call((options) => ops.bceWithLogits(x, x, options)),
    clamp: call((options) => ops.clamp(x, options), { min: 0 }),
    causalConv: call((options) => ops.causalConv(x, x, options)),
    gatedDeltaRule: call((options) => ops.gatedDeltaRule({ q: x, k: x, v: x, decay: x, beta: x }, options), {
      heads: 4,
    }),
    selectiveStateSpace: call((options) => ops.selectiveStateSpace({ q: x, k: x, v: x, decay: x }, options), {
      heads: 4,
    }),
    adaptiveAvgPool1d: call((options) => ops.adaptiveAvgPool1d(device.zeros([1, 1, 4]), 2, options)),
    adaptiveAvgPool2d: call((options) => ops.adaptiveAvgPool2d(device.zeros([1, 1, 4, 4]), 2, options)),
    avgPool1d: call((options) => ops.avgPool1d(device.zeros([1, 1, 4]), 2, options)),
    avgPool2d: call((options) => ops.avgPool2d(device.zeros([1, 1, 4, 4]), 2, options)),
    convTranspose1d: call((options) =>
      ops.convTranspose1d(device.zeros([1, 1, 4]), device.zeros([1, 1, 2]), null, options),
    ),
    convTranspose2d: call((options) =>
      ops.convTranspose2d(device.zeros([1, 1, 4, 4]), device.zeros([1, 1, 2, 2]), null, options),
    ),
    gridSample: call((options) => ops.gridSample(device.zeros([1, 2, 2, 2]), device.zeros([1, 2, 2, 2]), options)),
    interpolate: call((options) => ops.interpolate(device.zeros([1, 1, 4, 4]), options), { size: 2 }),
    maxPool1d: call((options) => ops.maxPool1d(device.zeros([1, 1, 4]), 2, options)),
    maxPool2d: call((options) => ops.maxPool2d(device.zeros([1, 1, 4, 4]), 2, options)),
    pad: call((options) => ops.pad(x, [1, 1], options)),
    pixelShuffle: call((options) => ops.pixelShuffle(device.zeros([1, 4, 1, 1]), 2, options)),
    pixelUnshuffle: call((options) => ops.pixelUnshuffle(device.zeros([1, 1, 2, 2]), 2, options)),
    conv1d: call((options) => ops.conv1d(device.zeros([1, 1, 4]), device.zeros([1, 1, 2]), null, options)),
    conv2d: call((options) => ops.conv2d(device.zeros([1, 1, 4, 4]), device.zeros([1, 1, 2, 2]), null, options)),
    cosineSimilarity: call((options) => ops.cosineSimilarity(x, x, options)),
    crossEntropy: call((options) => ops.crossEntropy(x, ids, options)),
    ctcLoss: call((options) => ops.ctcLoss(x.reshape([1, 2, 4]), ids.reshape([1, 2]), options)),
    cumsum: call((options) => ops.cumsum(x, options)),
    dropout: call((options) => ops.dropout(x, options), dropout),
    elu: call((options) => ops.elu(x, options)),
    embedding: call((options) => ops.embedding(x, ids, options)),
    gelu: call((options) => ops.gelu(x, options)),
    klDiv: call((options) => ops.klDiv(x, x, options)),
    l1Loss: call((options) => ops.l1Loss(x, x, options)),
    layerNorm: call((options) => ops.layerNorm(x, row, row, options)),
    layerNormWithStats: call((options) => ops.layerNormWithStats(x, row, row, options)),
    leakyRelu: call((options) => ops.leakyRelu(x, options)),
    linear: call((options) => ops.linear(x, device.zeros([4, 4]), null, options), {}, { dropout }),
    logSoftmax: call((options) => ops.logSoftmax(x, options)),
    matmul: call((options) => ops.matmul(x, device.zeros([4, 4]), options)),
    max: call((options) => ops.max(x, options)),
    mean: call((options) => ops.mean(x, options)),
    min: call((options) => ops.min(x, options)),
    mseLoss: call((options) => ops.mseLoss(x, x, options)),
    nllLoss: call((options) => ops.nllLoss(x, ids, options)),
    norm: call((options) => ops.norm(x, options)),
    rmsNorm: call((options) => ops.rmsNorm(x, row, options)),
    rotary: call((options) => ops.rotary(x, ids, table, options)),
    rotaryTable: call((options) => ops.rotaryTable(x, x, options)),
    smoothL1Loss: call((options) => ops.smoothL1Loss(x, x, options)),
    softmax: call((options) => ops.softmax(x, options)),
    softplus: call((options) => ops.softplus(x, options)),
    std: call((options) => ops.std(x, options)),
    sum: call((options) => ops.sum(x, options)),
    topk: call((options) => ops.topk(x, 1, options)),
    variance: call((options) => ops.variance(x, options)),
  };
}
