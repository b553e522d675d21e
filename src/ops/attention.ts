import { accumulateBits, differentiableMany, gradOf, isDifferentiated } from '../core/autograd.js';
import { checkDType, checkShape, describeShape } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import type { Operand, Scalar } from '../core/operand.js';
import { lastOf, type Tensor } from '../core/tensor.js';
import { checkDistances } from './attention-biases.js';
import {
  type AttentionInputs,
  checkAttention,
  checkTensors,
  countProducts,
  headWidth,
  operandsOf,
} from './attention-inputs.js';
import { ATTENTION_KINDS, type AttentionValueOptions } from './attention-options.js';
import { addSeparateGrad, currentValue, separateGradOf } from './backward.js';
import { add } from './binary.js';
import { contiguous } from './contiguous.js';
import { checkDropping, type DropoutOptions } from './dropout.js';
import { matmul } from './matmul.js';

export type { AttentionOptions, AttentionValueOptions, Lengths } from './attention-options.js';

/**
 * softmax(scale · q kᵀ + bias) v for each head (Vaswani et al. 2017, arXiv 1706.03762). Forward and backward pass take
 * memory proportional to the rows (FlashAttention-2, Dao 2023, arXiv 2307.08691).
 *
 * Padded: `q` float32 [B, Tq, heads·d], `k` [B, Tk, kvHeads·d], `v` [B, Tk, kvHeads·dv], result [B, Tq, heads·dv]. Rows
 * past their length are zero in the result and get no gradient. Packed: the rows of all items end to end, with lengths,
 * `q` [ΣTq, heads·d] and so on. [T, width] without lengths is one sequence. The result of a query without any key is 0.
 * q, k and v may be columns of one matrix, and are read in place. A score of +∞, which may come from a bias, gives its
 * key the weight 1, where PyTorch and `softmax` give NaN.
 *
 * Throws ShapeError, DTypeError, ArgumentError. The run fails with CommandError if lengths in a tensor are impossible.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionValueOptions = {}): Tensor {
  const device = checkTensors('attention', { q, k, v }, options, ATTENTION_KINDS);
  // The scope frees lengths and statistics, but the backward pass keeps those that it needs.
  return device.scope(() => attentionOf(device, q, k, v, options));
}

function attentionOf(device: Device, q: Tensor, k: Tensor, v: Tensor, options: AttentionValueOptions): Tensor {
  const { relativeValues = null, dropout = null } = options;
  const dropping = droppingOf(dropout);
  const inputs = checkAttention('attention', device, q, k, options, options.cacheType);
  checkDType('attention', 'v', v, k.dtype);
  const isPacked = k.dtype === 'int32';
  const words = headWidth('attention', 'v', v, inputs.sizes.kvHeads);
  const valueWidth = isPacked ? inputs.sizes.width : words;
  if (v.shape.length !== k.shape.length || v.shape.slice(0, isPacked ? 3 : -1).some((d, i) => d !== k.shape[i])) {
    const shapes = `k is ${describeShape(k.shape)}, v is ${describeShape(v.shape)}`;
    throw new ShapeError(`attention: ${shapes}: their rows differ`);
  }
  const sinks = options.sinks ?? null;
  if (sinks) {
    checkDType('attention', 'sinks', sinks, 'float32');
    checkShape('attention', 'sinks', sinks, [inputs.sizes.heads]);
    if (relativeValues || options.relativeKeys)
      throw new ArgumentError('attention: sinks are given with relative vectors, expected one of them');
  }
  if (relativeValues === null) return attend(inputs, v, valueWidth, 0, dropping, sinks && contiguous(sinks)).y;
  checkDistances('attention', 'relativeValues', relativeValues, 0, valueWidth);
  const distances = relativeValues.shape[0] as number;
  if (options.relativeKeys && options.relativeKeys.shape[0] !== distances) {
    const [keys, values] = [options.relativeKeys, relativeValues].map(({ shape }) => describeShape(shape));
    const shapes = `relativeKeys is ${keys}, relativeValues is ${values}`;
    throw new ShapeError(`attention: ${shapes}: their distances differ`);
  }
  // Σ p (v + r) = Σ p v + Σ (p summed up by distance) r
  const { y, relativeWeights } = attend(inputs, v, valueWidth, distances, dropping);
  const relative = matmul((relativeWeights as Tensor).reshape(-1, distances), relativeValues);
  return add(y, relative.reshape(y.shape));
}

/** Operands of dropout. A threshold of 0 drops nothing. */
interface DroppingOperands {
  readonly dropping: Readonly<Record<'seed' | 'stream' | 'threshold', Scalar | number>>;
  readonly keptScale: number;
}

function droppingOf(options: DropoutOptions | null): DroppingOperands {
  const dropout = options && checkDropping('attention: dropout', options);
  if (!dropout) return { dropping: { seed: 0, stream: 0, threshold: 0 }, keptScale: 1 };
  const { scale: keptScale, ...dropping } = dropout;
  return { dropping, keptScale };
}

/**
 * Emits the command and registers its gradients. With `distances`, the sums of probabilities by distance are a second
 * output.
 */
function attend(
  inputs: AttentionInputs,
  v: Tensor,
  valueWidth: number,
  distances: number,
  { dropping, keptScale }: DroppingOperands,
  sinks: Tensor | null = null,
) {
  const { device, q, k, sizes, lengths, biases } = inputs;
  const { bias, mask, relativeBias, relativeScores } = biases;
  const rows = q.size / lastOf(q.shape);
  const y = device.empty([...q.shape.slice(0, -1), sizes.heads * valueWidth]);
  const relativeWeights = distances > 0 ? device.empty([rows, sizes.heads * distances]) : null;
  const differentiated = [q, k, v, bias, relativeBias, relativeScores];
  const isTrained = isDifferentiated([...differentiated, sinks]);
  // Spreads come last: V8 makes a slow object if a literal begins with a spread.
  const operands = {
    y,
    stats: isTrained || sinks ? device.empty([2, sizes.heads, rows]) : null,
    relativeWeights,
    keptScale,
    ...operandsOf(inputs, v, valueWidth, distances || biases.scoreDistances),
  };
  const flops = 2 * countProducts(inputs) * (sizes.width + valueWidth);
  device.emit('attention', { yStride: lastOf(y.shape), trains: Number(isTrained), dropping, ...operands }, flops);
  const sinkSizes = { rows, heads: sizes.heads, width: valueWidth };
  const shares = sinks && isTrained ? device.empty([rows, sizes.heads]) : null;
  if (sinks) device.emit('attentionSinks', { y, stats: operands.stats, sinks, shares, ...sinkSizes });

  const frozenDropping = { ...dropping, seed: currentValue(device, dropping.seed) };
  const outputs = relativeWeights ? [y, relativeWeights] : [y];
  const backward = ([dy, drelativeWeights]: (Tensor | null)[]) => {
    const backwardOperands = {
      dy: dy ?? device.zeros(y.shape),
      drelativeWeights,
      dropping: frozenDropping,
      ...operands,
    };
    attendBackward(inputs, backwardOperands, differentiated, 2.5 * flops);
    const dsinks = gradOf(sinks);
    if (dsinks)
      device.emit('attentionSinksBackward', {
        y,
        dy: backwardOperands.dy,
        shares,
        dsinks: dsinks.tensor,
        ...sinkSizes,
        accumulate: dsinks.accumulate,
      });
  };
  differentiableMany(outputs, [...differentiated, sinks], backward, [lengths.lengthsQ, lengths.lengthsK, mask]);
  return { y, relativeWeights };
}

/** Emits the command for all gradients of `differentiated`. */
function attendBackward(
  inputs: AttentionInputs,
  backwardOperands: Readonly<Record<string, Operand>> & {
    readonly y: Tensor;
    readonly dy: Tensor;
    readonly sizes: { valueWidth: number };
  },
  differentiated: readonly (Tensor | null)[],
  flops: number,
): void {
  const { device, q } = inputs;
  const { y, dy } = backwardOperands;
  const { tasks, groups, keyChunks } = taskSize(inputs, backwardOperands.sizes.valueWidth);
  const targets = differentiated.map((x, i, all) => separateGradOf(x, ...all.slice(0, i)));
  const [dq, dk, dv, dbias, drelativeBias, drelativeScores] = targets.map((target) => target?.tensor ?? null);
  const gradients = {
    dq,
    dk,
    dv,
    dbias,
    drelativeBias,
    drelativeScores,
    gradientStrides: {
      y: lastOf(y.shape),
      dy: lastOf(dy.shape),
      dq: dq?.rowStride ?? 0,
      dk: dk?.rowStride ?? 0,
      dv: dv?.rowStride ?? 0,
    },
    tasks,
    partials: dq && keyChunks > 1 ? device.empty([keyChunks, ...q.shape]) : null,
    relativePartials: drelativeBias ? device.empty([groups * keyChunks, ...drelativeBias.shape]) : null,
    accumulate: accumulateBits(...targets),
    ...backwardOperands,
  };
  device.emit('attentionBackward', gradients, flops);
  targets.forEach(addSeparateGrad);
}

/** Minimum number of keys in a chunk of the backward pass. */
const CHUNK_KEYS = 512;
/**
 * Minimum number of tasks. With fewer pairs of an item and a head of keys, the keys are cut into chunks, so that
 * threads can share the work.
 */
const TASKS = 16;
/** Short items share a task of up to this many multiply-adds, so that starting a task is a small part of its cost. */
const TASK_PRODUCTS = 2 ** 19;

/**
 * Cuts the backward pass into tasks. Short items share a task; the keys of long items are cut into chunks if there are
 * few items. Only the shapes decide, so the result does not depend on the threads. Each chunk costs as much memory as
 * q.
 */
function taskSize(inputs: AttentionInputs, valueWidth: number) {
  const { device, sizes, biases } = inputs;
  const { batch, heads, kvHeads, rowsQ, rowsK, packed, width } = sizes;
  const perItem = (packed ? (rowsQ / batch) * (rowsK / batch) : rowsQ * rowsK) * (width + valueWidth);
  const itemsTogether = Math.max(1, Math.min(batch, Math.floor(TASK_PRODUCTS / (perItem * heads))));
  // a single task may write each row of the gradient
  const wanted = biases.relativeScores?.requiresGrad ? 1 : Math.ceil(TASKS / (batch * kvHeads));
  const minKeys = Math.max(rowsK / wanted, Math.min(rowsK, CHUNK_KEYS));
  const blockKeys = device.constant('attentionBackward.blockKeys'); // a chunk is a multiple of this
  const chunkKeys = Math.ceil(minKeys / blockKeys) * blockKeys;
  return {
    tasks: { items: itemsTogether, keys: chunkKeys },
    groups: Math.ceil(batch / itemsTogether),
    keyChunks: Math.ceil(rowsK / chunkKeys),
  };
}
