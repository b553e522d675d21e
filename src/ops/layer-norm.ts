import { accumulateBits, differentiableMany, gradOf, isDifferentiated, passGrad } from '../core/autograd.js';
import { checkAxis, checkDevice, checkDTypes, checkOptions, checkShape, orNull } from '../core/check.js';
import { type Shape, sizeOf, type Tensor } from '../core/tensor.js';
import { addSeparateGrad, partialsOf, separateGradOf } from './backward.js';
import { contiguous } from './contiguous.js';

export interface LayerNormOptions {
  /** Added to the variance. Default: 1e-5. */
  eps?: number | undefined;
  /** A tensor of x's shape that is added to x before the normalization. Default: none. */
  residual?: Tensor | null | undefined;
  /**
   * The first of the dimensions that are normalized together; negative numbers count from the end. Default: -1, the
   * last.
   */
  axis?: number | undefined;
}

/**
 * Normalizes the last dimension, or those from `axis` on: gamma·(s - mean(s)) / √(variance(s) + eps) + beta with s = x
 * + residual. The variance is taken over n, not n - 1 (Ba, Kiros, Hinton 2016, arXiv 1607.06450). The addition is part
 * of the same pass over memory.
 *
 * `x` float32 [..., n]; `gamma` and `beta` float32 of the normalized dimensions, [n] by default, null for 1 and 0; the
 * result has x's shape. If the squared deviations of a row add up to more than float32 holds, the row and its gradients
 * are NaN. Throws ShapeError, DTypeError, ArgumentError.
 */
export function layerNorm(
  x: Tensor,
  gamma: Tensor | null = null,
  beta: Tensor | null = null,
  options: LayerNormOptions = {},
): Tensor {
  return normalize('layerNorm', null, x, gamma, beta, checkOptions('layerNorm', options, kinds)).y;
}

/**
 * Like `layerNorm`, and also returns the means and the inverse deviations 1 / √(variance + eps), as in ONNX and
 * PyTorch. Their shape is that of x with 1 for each normalized dimension. They have no gradient. Throws like
 * `layerNorm`.
 */
export function layerNormWithStats(
  x: Tensor,
  gamma: Tensor | null = null,
  beta: Tensor | null = null,
  options: LayerNormOptions = {},
): { y: Tensor; mean: Tensor; rstd: Tensor } {
  const op = 'layerNormWithStats';
  const { y, mean, rstd } = normalize(op, 'stats', x, gamma, beta, checkOptions(op, options, kinds));
  return { y, mean: mean as Tensor, rstd: rstd as Tensor };
}

/**
 * Like `layerNorm` with a residual, and also returns the sum. This is one step of a pre-norm Transformer: the residual
 * stream continues as `sum`, and the next layer reads `normed`. One pass computes the gradients of both. Throws like
 * `layerNorm`.
 */
export function addLayerNorm(
  x: Tensor,
  residual: Tensor,
  gamma: Tensor | null = null,
  beta: Tensor | null = null,
  options: { eps?: number | undefined } = {},
): { sum: Tensor; normed: Tensor } {
  const { eps } = checkOptions('addLayerNorm', options, { eps: 'notNegative' });
  checkDevice('addLayerNorm', { x, residual });
  const { sum, y } = normalize('addLayerNorm', 'sum', x, gamma, beta, { eps, residual });
  return { sum: sum as Tensor, normed: y };
}

const kinds = { eps: 'notNegative', residual: orNull('tensor'), axis: 'any' } as const;

/** The inputs: x, an optional residual, scale and shift. */
interface Inputs {
  readonly x: Tensor;
  readonly residual: Tensor | null;
  readonly gamma: Tensor | null;
  readonly beta: Tensor | null;
}

/** The values that were normalized, x + residual, and the statistics of their rows. */
interface Measured {
  readonly sum: Tensor;
  readonly mean: Tensor;
  readonly rstd: Tensor;
  readonly rows: number;
  readonly cols: number;
}

/**
 * Returns `sum` and statistics if `wants` names them, else null. Tensors that are not returned live as long as the
 * backward pass needs them.
 */
function normalize(
  op: string,
  wants: 'sum' | 'stats' | null,
  input: Tensor,
  gamma: Tensor | null,
  beta: Tensor | null,
  { eps = 1e-5, residual: added = null, axis = -1 }: LayerNormOptions,
): { y: Tensor; sum: Tensor | null; mean: Tensor | null; rstd: Tensor | null } {
  const device = checkDevice(op, { x: input }, { gamma, beta, residual: added });
  const cols = checkInputs(op, { x: input, residual: added, gamma, beta }, axis);
  const rows = input.size / cols;
  return device.scope(() => {
    const x = contiguous(input);
    const residual = added && contiguous(added);
    const [weight, shift] = [gamma && contiguous(gamma), beta && contiguous(beta)];
    const inputs = [x, residual, weight, shift];
    const sum = residual !== null && (wants === 'sum' || isDifferentiated(inputs)) ? device.empty(x.shape) : null;
    const y = device.empty(x.shape);
    const measured = statsShape(x.shape, checkAxis(op, axis, x.shape));
    const [mean, rstd] = [device.empty(measured), device.empty(measured)];
    const operands = { x, residual, gamma: weight, beta: shift, sum, y, mean, rstd, rows, cols, eps };
    device.emit('layerNorm', operands, 8 * x.size);
    const outputs = sum !== null && wants === 'sum' ? [y, sum] : [y];
    const backward = ([dNormed, dSum]: (Tensor | null)[]) => {
      if (dNormed) {
        const forwardInputs = { x, residual, gamma: weight, beta: shift };
        normalizeBackward(forwardInputs, { sum: sum ?? x, mean, rstd, rows, cols }, dNormed, dSum);
      } else if (dSum) for (const input of [x, residual]) passGrad(input, dSum);
    };
    differentiableMany(outputs, inputs, backward, wants === 'stats' ? [mean, rstd] : []);
    // Separate tensors, because the caller may dispose of them before the backward pass reads the values.
    const stats = wants === 'stats' ? { mean: mean.detach(), rstd: rstd.detach() } : { mean: null, rstd: null };
    return { y, sum: wants === 'sum' ? sum : null, ...stats };
  });
}

/** Checks the inputs. Returns the number of elements that are normalized together. */
function checkInputs(op: string, { x, residual, gamma, beta }: Inputs, axis: number): number {
  checkDTypes(op, { x, gamma, beta, residual }, 'float32');
  const normal = x.shape.slice(checkAxis(op, axis, x.shape));
  if (gamma) checkShape(op, 'gamma', gamma, normal);
  if (beta) checkShape(op, 'beta', beta, normal);
  if (residual) checkShape(op, 'residual', residual, x.shape);
  return sizeOf(normal);
}

/** Returns the shape with size 1 for each normalized dimension, from `first` on. */
const statsShape = (shape: Shape, first: number): Shape => shape.map((size, d) => (d < first ? size : 1));

/** Emits the command for all gradients. `dsum` is the gradient of the sum if that is a result, too. */
function normalizeBackward(
  { x, residual, gamma, beta }: Inputs,
  { sum, mean, rstd, rows, cols }: Measured,
  dy: Tensor,
  dsum: Tensor | null | undefined,
): void {
  const { device } = x;
  const dx = gradOf(x);
  // If x and residual are the same tensor, two commands add to its gradient, one after the other.
  const dresidual = separateGradOf(residual, residual?.offset === x.offset ? null : x);
  const [dgamma, dbeta] = [gradOf(gamma), gradOf(beta)];
  const partials = dgamma || dbeta ? device.empty([partialsOf(device, rows), 2, cols]) : null;
  const operands = {
    dy,
    dsum,
    sum,
    gamma,
    mean,
    rstd,
    dx: dx?.tensor,
    dresidual: dresidual?.tensor,
    dgamma: dgamma?.tensor,
    dbeta: dbeta?.tensor,
    partials,
    rows,
    cols,
    accumulate: accumulateBits(dx, dresidual, dgamma, dbeta),
  };
  device.emit('layerNormBackward', operands, 16 * x.size);
  addSeparateGrad(dresidual);
  partials?.dispose();
}
