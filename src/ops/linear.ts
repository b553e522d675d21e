import { differentiable, gradOf, isDifferentiated } from '../core/autograd.js';
import { checkDevice, checkDType, checkOptions, checkShape, describeShape, matrixOf } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import { lastOf, type Tensor } from '../core/tensor.js';
import { type Activation, activationKind, checkActivation, stepsOf } from './activation.js';
import { addSeparateGrad, separateGradOf } from './backward.js';
import { checkDropping, type DropoutOptions, dropout } from './dropout.js';
import { emitProduct, product } from './product.js';
import { broadcastGrad } from './reduce.js';

export interface LinearOptions {
  /** Applied to the result in the same pass. Default: 'none'. */
  activation?: Activation | undefined;
  /** Applied after the activation, like `dropout`; with relu in the same pass. Default: none. */
  dropout?: DropoutOptions | null | undefined;
}

/** @internal */
export const linearOptions = { activation: 'any', dropout: 'any' } as const;

/**
 * A linear layer: dropout(activation(x·w + b)). `x`: float32 [..., in]. `w`: float32 [in, out], the transpose of
 * PyTorch's. `b`: float32 [out], or null. The result is float32 [..., out]. All may be views. Throws ShapeError if the
 * shapes do not fit, DTypeError, ArgumentError.
 */
export function linear(x: Tensor, w: Tensor, b?: Tensor | null, options: LinearOptions = {}): Tensor {
  const { activation = 'none', dropout: dropping = null } = checkOptions('linear', options, linearOptions);
  const device = checkDevice('linear', { x, w }, { b });
  const [depth, cols] = checkFactors(x, w, b);
  checkActivation('linear', activation);
  const random = dropping === null ? null : checkDropping('linear: dropout', dropping);
  // The backward pass of relu and dropout needs only y, which is positive where both passed the value. Other
  // activations need their arguments.
  if (dropping && random && (activation !== 'relu' || random.scale === 0))
    return dropout(linear(x, w, b, { activation }), dropping);
  const steps = stepsOf(activation);
  if (steps) return steps[1](linear(x, w, b, { activation: steps[0] }));
  const kind = activationKind(device, activation);
  const { rows, stride } = matrixOf(x);
  return device.scope(() => {
    const y = device.empty([...x.shape.slice(0, -1), cols]);
    const pre =
      isDifferentiated([x, w, b]) && activation !== 'none' && activation !== 'relu' ? device.empty(y.shape) : null;
    const { seed = 0, stream = 0, threshold = 0, scale: dropScale = 0 } = random ?? {};
    const layout = {
      transposeA: false,
      transposeB: false,
      aStride: stride,
      bStride: w.rowStride,
      cStride: cols,
    };
    const fused = { activation: kind, seed, stream, threshold, dropScale };
    emitProduct(device, { a: x, b: w, bias: b, c: y, pre }, { rows, cols, depth }, layout, { fused });
    return differentiable(y, [x, w, b], (dy) =>
      linearBackward(x, w, b, throughActivation(dy, y, pre, activation, dropScale || 1)),
    );
  });
}

/** Checks w and b. Returns the numbers of inputs and outputs of w. */
function checkFactors(x: Tensor, w: Tensor, b: Tensor | null | undefined): readonly [depth: number, cols: number] {
  checkDType('linear', 'x', x, 'float32');
  checkDType('linear', 'w', w, 'float32');
  if (w.shape.length !== 2) throw new ShapeError(`linear: w is ${describeShape(w.shape)}, expected [in, out]`);
  const [depth, cols] = w.shape as [number, number];
  if (x.shape.length === 0 || lastOf(x.shape) !== depth) {
    throw new ShapeError(
      `linear: x is ${describeShape(x.shape)}, w is ${describeShape(w.shape)}: ` +
        'the last dimension of x must equal the first of w',
    );
  }
  if (b) {
    checkDType('linear', 'b', b, 'float32');
    checkShape('linear', 'b', b, [cols]);
  }
  return [depth, cols];
}

/** Computes all gradients. `dz`: gradient of x·w + b. */
function linearBackward(x: Tensor, w: Tensor, b: Tensor | null | undefined, dz: Tensor): void {
  const upstream = { x: asMatrix(dz), transposed: false };
  const dx = gradOf(x);
  if (dx) product(upstream, { x: w, transposed: true }, { tensor: asMatrix(dx.tensor), accumulate: dx.accumulate }, []);
  const dw = gradOf(w);
  if (dw) {
    const db = separateGradOf(b, w); // one command writes both gradients
    product({ x: asMatrix(x), transposed: true }, upstream, dw, [], db);
    addSeparateGrad(db);
  } else if (b) broadcastGrad(b, dz);
}

/**
 * @internal Returns the gradient of an activation's argument, given the gradient of its result y. `pre`: the argument,
 * or null for activations that need only y. `scale`: the scale of dropout.
 */
export function throughActivation(
  dy: Tensor,
  y: Tensor,
  pre: Tensor | null,
  activation: Activation,
  scale = 1,
): Tensor {
  if (activation === 'none') return dy;
  const { device } = y;
  const dz = device.empty(y.shape);
  const kind = activationKind(device, activation);
  device.emit('activateBackward', { dy, x: pre ?? y, dx: dz, count: y.size, kind, scale, accumulate: 0 }, y.size);
  return dz;
}

function asMatrix(x: Tensor): Tensor {
  return x.reshape(-1, lastOf(x.shape));
}
