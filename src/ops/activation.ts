import { accumulateBits, differentiable, gradOf } from '../core/autograd.js';
import { checkDevice, checkDType, checkOneOf, checkOptions } from '../core/check.js';
import type { Device } from '../core/device.js';
import type { Tensor } from '../core/tensor.js';
import { add, mul, scale } from './binary.js';
import { contiguous } from './contiguous.js';
import { clamp, sqrt, unary } from './unary.js';

/** Activations of the kernels. */
const simple = [
  'none',
  'relu',
  'gelu',
  'gelu_tanh',
  'silu',
  'sigmoid',
  'tanh',
  'quickGelu',
  'hardSwish',
  'mish',
  'elu',
  'leakyRelu',
  'softplus',
] as const;

type Simple = (typeof simple)[number];

/** Rare activations: a simple one, and what follows it. */
const composed = {
  relu2: ['relu', (x: Tensor) => mul(x, x)],
  relu6: ['relu', (x: Tensor) => clamp(x, { max: 6 })],
  gelu10: ['gelu', (x: Tensor) => clamp(x, { min: -10, max: 10 })],
  sqrtSoftplus: ['softplus', sqrt],
  laplace: ['none', (x: Tensor) => unary('normalCdf', scale(add(x, -Math.SQRT1_2), 1 / 0.282095))],
} as const;

/**
 * An activation that other ops can fuse. `gelu` is exact, `gelu_tanh` its approximation by tanh, `quickGelu` by a
 * sigmoid. `gelu10` clamps `gelu` to ±10, `relu2` is the square of `relu`, and `laplace` is that of MEGA (arXiv
 * 2209.10655). Activations with parameters have PyTorch's defaults.
 */
export type Activation = Simple | keyof typeof composed;

const activations: readonly Activation[] = [...simple, ...(Object.keys(composed) as (keyof typeof composed)[])];

/** @internal The two steps of a rare activation; undefined for a simple one. */
export function stepsOf(activation: Activation): readonly [Simple, (x: Tensor) => Tensor] | undefined {
  return composed[activation as keyof typeof composed];
}

/** @internal Throws ArgumentError for an unknown activation. */
export function checkActivation(op: string, activation: Activation): void {
  checkOneOf(op, 'activation', activation, activations);
}

/** Names in the manifest. A name built at each call would be slow to look up. */
const constants = new Map<Activation, string>(simple.map((name) => [name, `activation.${name}`]));

/** @internal The activation's number in commands. */
export function activationKind(device: Device, activation: Activation): number {
  return device.constant(constants.get(activation) as string);
}

/** @internal Applies the activation of that name. */
export function activate(op: string, x: Tensor, activation: Activation): Tensor {
  const steps = stepsOf(activation);
  if (steps) return steps[1](activate(op, x, steps[0]));
  const device = checkDevice(op, { x });
  checkDType(op, 'x', x, 'float32');
  const kind = activationKind(device, activation);
  const count = x.size;
  return device.scope(() => {
    const input = contiguous(x);
    const y = device.empty(x.shape);
    device.emit('activate', { x: input, y, count, kind }, count);
    return differentiable(y, [input], (dy) => {
      const dx = gradOf(input);
      const operands = {
        dy,
        x: input,
        dx: dx?.tensor,
        count,
        kind,
        scale: 1,
        accumulate: accumulateBits(dx),
      };
      device.emit('activateBackward', operands, count);
    });
  });
}

/**
 * max(x, 0), element by element. `x`: float32, any shape; the result has the same shape. The slope at 0 and at NaN is 0
 * (PyTorch passes the gradient on at NaN). Throws DTypeError.
 */
export function relu(x: Tensor): Tensor {
  return activate('relu', x, 'relu');
}

/**
 * x·Φ(x), Φ the standard normal distribution function (Hendrycks, Gimpel 2016, arXiv 1606.08415). `x`: float32, any
 * shape. `approximate: 'tanh'` computes x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))) instead, as GPT-2 does. Default:
 * 'none', which is 0 at -∞, where PyTorch and 'tanh' give NaN. Slopes at ±∞ are their limits. Throws DTypeError,
 * ArgumentError.
 */
export function gelu(x: Tensor, options: { approximate?: 'none' | 'tanh' | undefined } = {}): Tensor {
  const { approximate = 'none' } = checkOptions('gelu', options, { approximate: ['none', 'tanh'] });
  return activate('gelu', x, approximate === 'tanh' ? 'gelu_tanh' : 'gelu');
}

/**
 * x·sigmoid(x), also called swish (Elfwing, Uchibe, Doya 2017, arXiv 1702.03118), element by element. `x`: float32, any
 * shape; the result has the same shape. NaN at -∞, as in PyTorch; slopes at ±∞ are their limits. Throws DTypeError.
 */
export function silu(x: Tensor): Tensor {
  return activate('silu', x, 'silu');
}

/**
 * Hyperbolic tangent, element by element. `x`: float32, any shape; the result has the same shape. Throws DTypeError.
 */
export function tanh(x: Tensor): Tensor {
  return activate('tanh', x, 'tanh');
}

/** 1 / (1 + e^-x), element by element. `x`: float32, any shape; the result has the same shape. Throws DTypeError. */
export function sigmoid(x: Tensor): Tensor {
  return activate('sigmoid', x, 'sigmoid');
}

/**
 * x·sigmoid(1.702·x), CLIP's approximation of `gelu` (Hendrycks, Gimpel 2016, arXiv 1606.08415). `x`: float32, any
 * shape; the result has the same shape. Throws DTypeError.
 */
export function quickGelu(x: Tensor): Tensor {
  return activate('quickGelu', x, 'quickGelu');
}

/**
 * x·min(max(x + 3, 0), 6)/6 (Howard et al. 2019, arXiv 1905.02244), element by element. `x`: float32, any shape; the
 * result has the same shape. Throws DTypeError.
 */
export function hardSwish(x: Tensor): Tensor {
  return activate('hardSwish', x, 'hardSwish');
}

/**
 * x·tanh(ln(1 + e^x)) (Misra 2019, arXiv 1908.08681), element by element. `x`: float32, any shape; the result has the
 * same shape. Throws DTypeError.
 */
export function mish(x: Tensor): Tensor {
  return activate('mish', x, 'mish');
}
