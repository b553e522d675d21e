import { accumulateBits, differentiable, gradOf, isDifferentiated } from '../core/autograd.js';
import { checkDevice, checkDType, checkOptions, checkShape, describeShape, matrixOf, orNull } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { contiguous } from './contiguous.js';
import { PIECE_KINDS, type PieceOptions, piecesOf } from './pieces.js';

export interface CausalConvOptions extends PieceOptions {
  /** float32 [cols], added to the results. Default: none. */
  readonly bias?: Tensor | null | undefined;
}

/**
 * A causal depthwise convolution: y[t] = bias + Σ w[j] · x[t - taps + 1 + j] for each column. `x`: float32 [rows,
 * cols], the rows of all pieces end to end. `w`: float32 [taps, cols]. Rows before a piece are zeros, or the state: the
 * last taps - 1 rows, float32 [slots, taps - 1, cols]. The bits do not depend on how a sequence is cut into pieces.
 * Throws ShapeError, DTypeError, ArgumentError. The run fails (CommandError) if lengths do not add up to the rows.
 */
export function causalConv(x: Tensor, w: Tensor, options: CausalConvOptions = {}): Tensor {
  const { bias = null, ...pieces } = checkOptions('causalConv', options, { ...PIECE_KINDS, bias: orNull('tensor') });
  const device = checkDevice('causalConv', { x, w, ...(bias && { bias }) });
  for (const [name, tensor] of Object.entries({ x, w, ...(bias && { bias }) }))
    checkDType('causalConv', name, tensor, 'float32');
  const [taps = 0, cols] = w.shape;
  if (x.shape.length !== 2 || w.shape.length !== 2 || x.shape[1] !== cols || taps === 0) {
    const shapes = `x is ${describeShape(x.shape)}, w is ${describeShape(w.shape)}`;
    throw new ShapeError(`causalConv: ${shapes}, expected [rows, cols] and [taps, cols]`);
  }
  if (bias) checkShape('causalConv', 'bias', bias, [cols as number]);
  const { rows } = matrixOf(x);
  const isTrained = isDifferentiated([x, w, bias]);
  return device.scope(() => {
    const pieceOperands = piecesOf('causalConv', x, pieces, Math.max(1, (taps - 1) * (cols as number)), isTrained);
    const lengths = pieceOperands.lengths ?? (isTrained ? device.full([rows], 1, 'int32') : null);
    const [weights, added] = [contiguous(w), bias && contiguous(bias)];
    const sizes = { rows, cols: cols as number, xStride: x.rowStride, taps };
    const y = device.empty(x.shape);
    device.emit(
      'causalConv',
      { x, w: weights, bias: added, y, ...pieceOperands, ...sizes },
      rows * (cols as number) * taps,
    );
    const backward = (dy: Tensor) => {
      const [dx, dw, dbias] = [gradOf(x), gradOf(weights), gradOf(added)];
      const gradients = { dx: dx?.tensor ?? null, dw: dw?.tensor ?? null, dbias: dbias?.tensor ?? null };
      const more = {
        dxStride: dx?.tensor.rowStride ?? 0,
        pieces: pieceOperands.pieces,
        accumulate: accumulateBits(dx, dw, dbias),
      };
      device.emit('causalConvBackward', { dy, x, w: weights, lengths, ...gradients, ...sizes, ...more });
    };
    return differentiable(y, [x, weights, added], backward, [lengths]);
  });
}
