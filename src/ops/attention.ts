import { accumulateBits, differentiable, gradOf, passGrad } from '../core/autograd.js';
import { checkDevice, checkDType, describeShape, matrixOf } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import { lastOf, sizeOf, type Tensor } from '../core/tensor.js';
import { type AttentionInputs, type AttentionOptions, checkAttention, headWidth } from './attention-inputs.js';

export type { AttentionOptions, Lengths } from './attention-inputs.js';

/**
 * softmax(scale · q kᵀ + bias) v for each head (Vaswani et al. 2017, arXiv 1706.03762), in memory proportional to the rows, both
 * ways (FlashAttention-2, Dao 2023, arXiv 2307.08691).
 *
 * Padded: `q` float32 [B, Tq, heads·d], `k` [B, Tk, kvHeads·d], `v` [B, Tk, kvHeads·dv], result [B, Tq, heads·dv]; rows past
 * their length are zero in the result and get no gradient. Packed: the rows of all items end to end, `q` [ΣTq, heads·d] and so
 * on, with lengths. [T, width] without lengths is one sequence. A query that sees no key gives zeros. q, k and v may be columns
 * of one matrix, and are read in place.
 *
 * Throws ShapeError, DTypeError, ArgumentError; the run fails with CommandError if lengths in a tensor turn out impossible.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  checkDevice('attention', { q, k, v });
  const inputs = checkAttention('attention', q, k, options);
  checkDType('attention', 'v', v, 'float32');
  const valueWidth = headWidth('attention', 'v', v, inputs.kvHeads);
  if (v.shape.length !== k.shape.length || v.shape.slice(0, -1).some((dimension, i) => dimension !== k.shape[i])) {
    throw new ShapeError(
      `attention: k is ${describeShape(k.shape)}, v is ${describeShape(v.shape)}: their rows differ`,
    );
  }
  const { device, heads, bias, relativeBias } = inputs;
  const y = device.empty([...q.shape.slice(0, -1), heads * valueWidth]);
  const differentiated = [q, k, v, bias, relativeBias];
  const learns = device.gradientsOn && differentiated.some((input) => input?.requiresGrad);
  const stats = learns ? device.empty([2, heads, sizeOf(q.shape.slice(0, -1))]) : null;
  const operands = {
    ...inputs.operands,
    v,
    valueWidth,
    vStride: matrixOf(v).stride,
    y,
    stats,
    yStride: lastOf(y.shape),
  };
  const flops = 2 * products(inputs) * (inputs.width + valueWidth);
  device.emit('attention', operands, flops);

  return differentiable(y, differentiated, (dy) => {
    const task = taskSize(inputs, valueWidth);
    const targets = [q, k, v].map((x, i, all) => {
      // One command writes all three, in no order: what shares columns with another gets its gradient aside.
      const aside = all.some((other, j) => j < i && overlap(x, other)) && x.requiresGrad;
      return aside ? { tensor: device.empty(x.shape), accumulate: 0 as const, of: x } : { ...gradOf(x), of: null };
    });
    const [dq, dk, dv] = targets.map(({ tensor }) => tensor ?? null) as [Tensor | null, Tensor | null, Tensor | null];
    const dbias = gradOf(bias);
    const drelative = gradOf(relativeBias);
    const bits = targets.reduce((sum, { accumulate = 0 }, i) => sum | (accumulate << i), 0);
    device.emit(
      'attentionBackward',
      {
        ...operands,
        ...{ dy, dq, dk, dv, dbias: dbias?.tensor, drelativeBias: drelative?.tensor, ...task },
        dyStride: matrixOf(dy).stride,
        dqStride: dq?.rowStride ?? 0,
        dkStride: dk?.rowStride ?? 0,
        dvStride: dv?.rowStride ?? 0,
        partials: dq && task.keyChunks > 1 ? device.empty([task.keyChunks, ...q.shape]) : null,
        relativePartials: drelative && device.empty([task.groups * task.keyChunks, ...drelative.tensor.shape]),
        accumulate: bits | (accumulateBits(dbias, drelative) << 3),
      },
      2.5 * flops,
    );
    for (const { tensor, of } of targets) if (of && tensor) passGrad(of, tensor);
  });
}

/** Pairs of a query and a key of one head, as far as the shapes tell: exact without lengths in tensors. */
function products({ batch, heads, rowsQ, rowsK, packed, operands }: AttentionInputs): number {
  const pairs = packed ? (rowsQ * rowsK) / batch : batch * rowsQ * rowsK;
  return (heads * pairs) / (operands.causal ? 2 : 1);
}

/**
 * How backward is cut into tasks, by shapes alone so that the result does not depend on the threads: short items together, the
 * keys of long ones in chunks where there are few of them. Each chunk costs as much memory as q.
 */
function taskSize({ batch, kvHeads, rowsQ, rowsK, packed, width }: AttentionInputs, valueWidth: number) {
  const perItem = (packed ? (rowsQ / batch) * (rowsK / batch) : rowsQ * rowsK) * (width + valueWidth);
  const itemsTogether = Math.max(1, Math.min(batch, Math.floor(2 ** 18 / perItem)));
  const wanted = Math.ceil(16 / (batch * kvHeads));
  const chunkKeys = Math.ceil(Math.max(rowsK / wanted, Math.min(rowsK, 512)) / 96) * 96;
  return {
    itemsTogether,
    chunkKeys,
    groups: Math.ceil(batch / itemsTogether),
    keyChunks: Math.ceil(rowsK / chunkKeys),
  };
}

function overlap(a: Tensor, b: Tensor): boolean {
  if (a.root !== b.root) return false;
  const [startA, startB] = [a, b].map((x) => (x.offset - x.root.offset) % lastOf(x.root.shape)) as [number, number];
  return startA < startB + lastOf(b.shape) && startB < startA + lastOf(a.shape);
}
