// Activations by the names of torch's classes, with the parameters that they have by default.

import { FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { type Activation, activate, relu, tanh } from '../../ops/activation.js';
import { add, div, greater, mul, neg, sub, where } from '../../ops/binary.js';
import { softmax } from '../../ops/softmax.js';
import { abs, clamp, elu, softplus } from '../../ops/unary.js';

/** An activation that a projection can apply itself, or a function of its result. */
export type AppliedActivation = Activation | ((x: Tensor) => Tensor);

const ACTIVATIONS: Readonly<Record<string, AppliedActivation>> = {
  CELU: 'elu',
  ELU: 'elu',
  GELU: 'gelu',
  Hardshrink: (x) => where(greater(abs(x), 0.5), x, 0),
  Hardsigmoid: (x) => div(clamp(add(x, 3), { min: 0, max: 6 }), 6),
  Hardswish: 'hardSwish',
  Hardtanh: (x) => clamp(x, { min: -1, max: 1 }),
  Identity: 'none',
  LeakyReLU: 'leakyRelu',
  LogSigmoid: (x) => neg(softplus(neg(x))),
  Mish: 'mish',
  ReLU: 'relu',
  ReLU6: (x) => clamp(x, { min: 0, max: 6 }),
  // Klambauer et al. 2017, arXiv 1706.02515: its two constants.
  SELU: (x) => mul(where(greater(x, 0), x, mul(elu(x), 1.6732632423543772)), 1.0507009873554805),
  SiLU: 'silu',
  Sigmoid: 'sigmoid',
  Softmax: (x) => softmax(x),
  Softplus: 'softplus',
  Softshrink: (x) => sub(relu(sub(x, 0.5)), relu(sub(neg(x), 0.5))),
  Softsign: (x) => div(x, add(abs(x), 1)),
  Tanh: 'tanh',
  Tanhshrink: (x) => sub(x, tanh(x)),
};

/**
 * The activation of a class, such as `torch.nn.modules.activation.GELU`. Null for a class that is not torch's, which
 * sentence-transformers does not run either: it uses its default. `file` is for errors. Throws FormatError for another
 * class of torch.
 */
export function activationOf(file: string, name: unknown): AppliedActivation | null {
  if (!`${name}`.startsWith('torch.')) return null;
  const short = `${name}`.split('.').at(-1) as string;
  const activation = Object.hasOwn(ACTIVATIONS, short) ? ACTIVATIONS[short] : undefined;
  if (activation !== undefined) return activation;
  const known = Object.keys(ACTIVATIONS).join(', ');
  throw new FormatError(`${file}: the activation is ${JSON.stringify(name)}, expected one of ${known}`);
}

/** Applies an activation. */
export const applyActivation = (x: Tensor, activation: AppliedActivation): Tensor =>
  typeof activation === 'string' ? activate(activation, x, activation) : activation(x);
