import { accumulateBits, differentiableMany, gradOf, isDifferentiated, passGrad } from '../core/autograd.js';
import {
  checkDevice,
  checkDType,
  checkNumber,
  checkOptions,
  checkShape,
  isNotNegative,
  matrixOf,
} from '../core/check.js';
import type { Device } from '../core/device.js';
import type { Tensor } from '../core/tensor.js';
import { addApart, gradApart, partialsOf } from './backward.js';
import { contiguous } from './contiguous.js';

export interface LayerNormOptions {
  /** Added to the variance. Default 1e-5. */
  eps?: number | undefined;
  /** Added to x before the normalisation, of x's shape. */
  residual?: Tensor | null | undefined;
}

/**
 * Normalises the last dimension: gamma·(s - mean(s)) / √(variance(s) + eps) + beta with s = x + residual, the variance
 * taken over n, not n - 1 (Ba, Kiros, Hinton 2016, arXiv 1607.06450). The addition is part of the same pass over
 * memory.
 *
 * `x` float32 [..., n]; `gamma` and `beta` float32 [n], null for 1 and 0; result [..., n]. A row whose squared
 * deviations add up to more than float32 holds gives NaN, as do its gradients. Throws ShapeError, DTypeError,
 * ArgumentError.
 */
export function layerNorm(
  x: Tensor,
  gamma: Tensor | null = null,
  beta: Tensor | null = null,
  options: LayerNormOptions = {},
): Tensor {
  const { eps = 1e-5, residual = null } = checkOptions('layerNorm', options);
  const device = checkDevice('layerNorm', { x }, { gamma, beta, residual });
  return normalise('layerNorm', device, { x, gamma, beta, residual }, eps, false).normed;
}

/**
 * As `layerNorm` with a residual, and returns the sum too: one step of a pre-norm Transformer, whose residual stream
 * goes on as `sum` while the next layer reads `normed`. The gradients of both come back in one pass. Throws as that.
 */
export function addLayerNorm(
  x: Tensor,
  residual: Tensor,
  gamma: Tensor | null = null,
  beta: Tensor | null = null,
  options: { eps?: number | undefined } = {},
): { sum: Tensor; normed: Tensor } {
  const { eps = 1e-5 } = checkOptions('addLayerNorm', options);
  const device = checkDevice('addLayerNorm', { x, residual }, { gamma, beta });
  const { sum, normed } = normalise('addLayerNorm', device, { x, gamma, beta, residual }, eps, true);
  return { sum: sum as Tensor, normed };
}

interface Inputs {
  readonly x: Tensor;
  readonly gamma: Tensor | null;
  readonly beta: Tensor | null;
  readonly residual: Tensor | null;
}

function normalise(
  op: string,
  device: Device,
  given: Inputs,
  eps: number,
  wantsSum: boolean,
): { sum: Tensor | null; normed: Tensor } {
  const { rows, cols } = matrixOf(given.x);
  checkDType(op, 'x', given.x, 'float32');
  for (const name of ['gamma', 'beta', 'residual'] as const) {
    const tensor = given[name];
    if (tensor === null) continue;
    checkDType(op, name, tensor, 'float32');
    checkShape(op, name, tensor, name === 'residual' ? given.x.shape : [cols]);
  }
  checkNumber(op, 'eps', eps, isNotNegative, 'a number, 0 or more');

  return device.scope(() => {
    const x = contiguous(given.x);
    const residual = given.residual && contiguous(given.residual);
    const { gamma, beta } = given;
    const inputs = [x, residual, gamma, beta];
    const sum = residual !== null && (wantsSum || isDifferentiated(inputs)) ? device.empty(x.shape) : null;
    const normed = device.empty(x.shape);
    const mean = device.empty([rows]);
    const rstd = device.empty([rows]);
    device.emit('layerNorm', { x, residual, gamma, beta, sum, y: normed, mean, rstd, rows, cols, eps }, 8 * x.size);
    const outputs = sum !== null && wantsSum ? [normed, sum] : [normed];
    differentiableMany(outputs, inputs, ([dNormed, dSum]) => {
      if (!dNormed) {
        for (const input of [x, residual]) if (dSum) passGrad(input, dSum);
        return;
      }
      const dx = gradOf(x);
      // The same elements twice are added to one after the other.
      const dresidual = gradApart(residual, residual?.offset === x.offset ? null : x);
      const dgamma = gradOf(gamma);
      const dbeta = gradOf(beta);
      const partials = dgamma || dbeta ? device.empty([partialsOf(device, rows), 2, cols]) : null;
      device.emit(
        'layerNormBackward',
        {
          dy: dNormed,
          dsum: dSum,
          sum: sum ?? x,
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
        },
        16 * x.size,
      );
      addApart(dresidual);
      partials?.dispose();
    });
    return { sum: wantsSum ? sum : null, normed };
  });
}
