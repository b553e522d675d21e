import { differentiable, gradOf, isDifferentiated } from '../core/autograd.js';
import { checkDevice, checkDType, checkOptions, checkShape, describeShape, matrixOf } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import { lastOf, type Tensor } from '../core/tensor.js';
import { activationKind, checkActivation } from './activation.js';
import { checkDropping, dropout } from './dropout.js';
import { type LinearOptions, linearOptions, throughActivation } from './linear.js';
import { type PackedMatrix, unpacked } from './packed.js';
import { product } from './product.js';
import { broadcastGrad } from './reduce.js';

/** Features whose weights are floats at a time while gradients go through them: 4 MB of 1024 inputs. */
const FEATURES = 1024;

/**
 * dropout(activation(x·wᵀ + b)) with a packed w: x float32 [..., in], w [out, in], made of `parts` whose features follow
 * one another, b float32 [out] or none; the result is float32 [..., out]. The gradient of x is that of the unpacked
 * weights; these have none themselves. Throws ShapeError if the shapes do not fit, DTypeError, ArgumentError.
 */
export function quantizedLinear(
  x: Tensor,
  parts: readonly PackedMatrix[],
  b?: Tensor | null,
  options: LinearOptions = {},
): Tensor {
  const { activation = 'none', dropout: dropping = null } = checkOptions('quantizedLinear', options, linearOptions);
  const device = checkDevice('quantizedLinear', { x }, { b });
  for (const { words } of parts) words.assertUsable('quantizedLinear: w');
  checkDType('quantizedLinear', 'x', x, 'float32');
  const cols = parts.reduce((sum, { rows }) => sum + rows, 0);
  const depth = parts[0]?.cols ?? 0;
  if (x.shape.length === 0 || lastOf(x.shape) !== depth) {
    throw new ShapeError(
      `quantizedLinear: x is ${describeShape(x.shape)}, w is ${describeShape([cols, depth])}: ` +
        'the last dimension of both must be equal',
    );
  }
  if (b) {
    checkDType('quantizedLinear', 'b', b, 'float32');
    checkShape('quantizedLinear', 'b', b, [cols]);
  }
  checkActivation('quantizedLinear', activation);
  if (dropping !== null) {
    checkDropping('quantizedLinear: dropout', dropping);
    return dropout(quantizedLinear(x, parts, b, { activation }), dropping);
  }
  const { rows, stride } = matrixOf(x);
  return device.scope(() => {
    const y = device.empty([...x.shape.slice(0, -1), cols]);
    const keeps = isDifferentiated([x, b]) && activation !== 'none' && activation !== 'relu';
    const pre = keeps ? device.empty(y.shape) : null;
    const kind = activationKind(device, activation);
    eachPart(parts, (w, first) => {
      const columns = (tensor: Tensor | null | undefined) => tensor?.columns(first, first + w.rows);
      const format = device.constant(`format.${w.format}`);
      const sizes = { rows, cols: w.rows, depth, xStride: stride, yStride: cols, format, activation: kind };
      const operands = { x, w: w.words, bias: columns(b), y: columns(y), pre: columns(pre), ...sizes };
      device.emit('quantizedLinear', operands, 2 * rows * w.rows * depth);
    });
    return differentiable(y, [x, b], (dy) => {
      const dz = throughActivation(dy, y, pre, activation);
      const dx = gradOf(x);
      if (dx) {
        const target = dx.tensor.reshape(-1, depth);
        let { accumulate } = dx;
        const upstream = dz.reshape(-1, cols);
        eachPart(parts, (w, first) => {
          for (let row = 0; row < w.rows; row += FEATURES) {
            const count = Math.min(FEATURES, w.rows - row);
            device.scope(() => {
              const left = { x: upstream.columns(first + row, first + row + count), transposed: false };
              product(left, { x: unpacked(w, row, count), transposed: false }, { tensor: target, accumulate }, []);
            });
            accumulate = 1;
          }
        });
      }
      if (b) broadcastGrad(b, dz);
    });
  });
}

/** Calls `body` with each part and the number of features before it. */
function eachPart(parts: readonly PackedMatrix[], body: (part: PackedMatrix, first: number) => void): void {
  let first = 0;
  for (const part of parts) {
    body(part, first);
    first += part.rows;
  }
}
