// Linear recurrences. The state of each head is a matrix.

import { accumulateBits, differentiable, isDifferentiated } from '../core/autograd.js';
import {
  checkDevice,
  checkDType,
  checkOptions,
  checkShape,
  checkSizes,
  describeShape,
  matrixOf,
} from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { lastOf, type Tensor } from '../core/tensor.js';
import { addSeparateGrad, separateGradOf } from './backward.js';
import { PIECE_KINDS, type PieceOptions, piecesOf } from './pieces.js';

export interface ScanOptions extends PieceOptions {
  /** Number of heads of `v`. */
  readonly heads: number;
  /** Number of heads of `q` and `k`. Each serves heads/groups heads of `v`. Default: `heads`. */
  readonly groups?: number | undefined;
}

const KINDS = { ...PIECE_KINDS, heads: 'count', groups: 'count' } as const;

/** The inputs of a scan. Rows are those of all pieces, end to end. */
export interface ScanInputs {
  /** float32 [rows, groups · keys]: queries, which read from the state. */
  readonly q: Tensor;
  /** float32 [rows, groups · keys]: keys under which values are written to the state. */
  readonly k: Tensor;
  /** float32 [rows, heads · values]: values. */
  readonly v: Tensor;
  /** float32 [rows, heads]: factor of the state before each row is added. */
  readonly decay: Tensor;
}

/**
 * The selective state space of Mamba-2 (Dao, Gu 2024, arXiv 2405.21060). For each head, S = decay · S + k vᵀ and y = Sᵀ
 * q. In the paper's letters `q` is C, `k` is B, `v` is Δ · x and `decay` is exp(Δ · A). The result is float32 [rows,
 * heads · values]. A state is [heads, keys, values]. Time and memory are proportional to the rows. The bits do not
 * depend on how a sequence is cut into pieces. Throws ShapeError, DTypeError, ArgumentError. The run fails
 * (CommandError) if lengths do not add up to the rows.
 */
export function selectiveStateSpace(inputs: ScanInputs, options: ScanOptions): Tensor {
  return scan('selectiveStateSpace', { ...inputs, beta: null }, options);
}

/**
 * The gated delta rule (Yang et al. 2024, arXiv 2412.06464). For each head, S = decay · S + k uᵀ and y = Sᵀ q, where u
 * = beta · (v - decay · Sᵀ k). The value stored under `k` is partly replaced by `v`. `beta`: float32 [rows, heads].
 * Otherwise as `selectiveStateSpace`.
 */
export function gatedDeltaRule(inputs: ScanInputs & { readonly beta: Tensor }, options: ScanOptions): Tensor {
  return scan('gatedDeltaRule', inputs, options);
}

function scan(op: string, inputs: ScanInputs & { readonly beta: Tensor | null }, options: ScanOptions): Tensor {
  const { heads, groups = heads, ...pieces } = checkOptions(op, options, KINDS);
  const { q, k, v, decay, beta } = inputs;
  const device = checkDevice(op, { q, k, v, decay, ...(beta && { beta }) });
  const sizes = sizesOf(op, inputs, heads, groups);
  const { rows, keys, values } = sizes;
  const words = heads * keys * values;
  const isTrained = isDifferentiated([q, k, v, decay, beta]);
  return device.scope(() => {
    const pieceOperands = piecesOf(op, v, pieces, words, isTrained);
    const lengths = pieceOperands.lengths ?? (isTrained ? device.full([rows], 1, 'int32') : null);
    const chunks = Math.floor(rows / device.constant('linearScan.chunk')) + pieceOperands.pieces;
    const kept = isTrained ? device.empty([chunks, words]) : null;
    const y = device.empty([rows, heads * values]);
    const { slots, ...rowTensors } = pieceOperands;
    const flops = 4 * rows * words;
    const shape = { ...sizes, pieces: pieceOperands.pieces };
    device.emit('linearScan', { q, k, v, decay, beta, ...rowTensors, kept, y, ...shape, slots }, flops);
    const backward = (dy: Tensor) => scanBackward(dy, inputs, { lengths, kept, ...shape }, 3 * flops);
    return differentiable(y, [q, k, v, decay, beta], backward, [lengths]);
  });
}

interface BackwardOperands extends ReturnType<typeof sizesOf> {
  readonly lengths: Tensor | null;
  readonly kept: Tensor | null;
  readonly pieces: number;
}

function scanBackward(
  dy: Tensor,
  { q, k, v, decay, beta }: ScanInputs & { readonly beta: Tensor | null },
  operands: BackwardOperands,
  flops: number,
): void {
  const targets = [q, k, v, decay, beta].map((x, i, all) => separateGradOf(x, ...all.slice(0, i)));
  const [dq, dk, dv, ddecay, dbeta] = targets.map((target) => target?.tensor ?? null);
  const strideOf = (grad: Tensor | null | undefined) => grad?.rowStride ?? 0;
  const { heads, rows, keys, values } = operands;
  const blocks = Math.ceil(values / dy.device.constant('linearScan.block'));
  const partials = dy.device.empty([blocks, heads, rows, 2 * keys + 2]);
  const strides = {
    dqStride: strideOf(dq),
    dkStride: strideOf(dk),
    dvStride: strideOf(dv),
    ddecayStride: strideOf(ddecay),
    dbetaStride: strideOf(dbeta),
  };
  const grads = { dq, dk, dv, ddecay, dbeta, ...strides, accumulate: accumulateBits(...targets) };
  dy.device.emit('linearScanBackward', { dy, q, k, v, decay, beta, ...operands, partials, ...grads }, flops);
  targets.forEach(addSeparateGrad);
}

function sizesOf(
  op: string,
  { q, k, v, decay, beta }: ScanInputs & { readonly beta: Tensor | null },
  heads: number,
  groups: number,
) {
  checkSizes(op, { heads, groups }, 1);
  if (heads % groups !== 0)
    throw new ArgumentError(`${op}: heads is ${heads}, expected a multiple of groups, ${groups}`);
  for (const [name, tensor] of Object.entries({ q, k, v, decay, ...(beta && { beta }) })) {
    checkDType(op, name, tensor, 'float32');
    if (tensor.shape.length === 2) continue;
    throw new ShapeError(`${op}: ${name} is ${describeShape(tensor.shape)}, expected [rows, features]`);
  }
  const { rows } = matrixOf(v);
  const [keys, values] = [lastOf(k.shape) / groups, lastOf(v.shape) / heads];
  const max = v.device.constant('linearScan.maxKeys');
  if (!Number.isInteger(values) || !Number.isInteger(keys) || keys > max) {
    const shapes = `k is ${describeShape(k.shape)}, v is ${describeShape(v.shape)}`;
    throw new ShapeError(
      `${op}: ${shapes}, expected ${groups} heads of k, of at most ${max} features, and ${heads} of v`,
    );
  }
  checkShape(op, 'q', q, [rows, groups * keys]);
  checkShape(op, 'k', k, [rows, groups * keys]);
  checkShape(op, 'decay', decay, [rows, heads]);
  if (beta) checkShape(op, 'beta', beta, [rows, heads]);
  const strides = { qStride: q.rowStride, kStride: k.rowStride, vStride: v.rowStride };
  return {
    rows,
    heads,
    groups,
    keys,
    values,
    ...strides,
    decayStride: decay.rowStride,
    betaStride: beta?.rowStride ?? 0,
  };
}
