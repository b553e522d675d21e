// A random composition of parts: the float64 interpreter computes it and the error that float32 may have; a device computes
// it and its gradients.
import type { Device, Tensor } from '../../src/core/tensor.js';
import { mul, sum } from '../../src/ops/index.js';
import { Random, type Values } from '../random.js';
import type { Reals } from '../reference/reals.js';
import { allowedError } from '../tolerance.js';
import { type Part, randomPart } from './parts.js';

/** Rows or columns around the widths of vectors and tiles. */
const SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40];
const MAX_PARTS = 8;
/** Evaluations with random roundings. */
const DRAWS = 6;
/** A rounding error may exceed the largest one of some draws by this factor. */
const MARGIN = 8;

interface Step {
  readonly part: Part;
  /** The index of the earlier matrix that the part takes, too. */
  readonly other: number;
  /** The float32 rounding error that each element of the part's result may have. */
  readonly errors: Float64Array;
}

export interface Composition {
  readonly seed: string;
  readonly inputs: readonly Values[];
  readonly steps: readonly Step[];
  /** The result in float64, and the error that float32 may have. */
  readonly result: Reals;
  readonly allowed: Float64Array;
  /** Factors of the results in the loss, and the direction in which its derivative is compared. */
  readonly weights: Values<Float32Array>;
  readonly direction: readonly Float64Array[];
  readonly slope: number;
  readonly slopeError: number;
}

export interface Outcome {
  readonly result: ArrayLike<number>;
  readonly gradients: readonly (ArrayLike<number> | null)[];
}

const widen = (values: Values): Reals => ({ shape: values.shape, data: Float64Array.from(values.data) });

/** Constants of each step among all inputs, of which the first is `x`. */
function* withConstants(steps: readonly Step[], inputs: readonly Reals[]): Generator<[Step, Reals[]]> {
  let next = 1;
  for (const step of steps) {
    const count = step.part.constants.length;
    yield [step, inputs.slice(next, next + count)];
    next += count;
  }
}

/** The float64 interpreter. `rounding` is added to each element of each step. */
function interpret(
  steps: readonly Step[],
  inputs: readonly Reals[],
  rounding: (step: number, i: number) => number,
): Reals {
  const matrices = [inputs[0] as Reals];
  for (const [{ part, other }, constants] of withConstants(steps, inputs)) {
    const y = part.real(matrices.at(-1) as Reals, constants, matrices[other] as Reals);
    const n = matrices.length - 1;
    matrices.push({ shape: y.shape, data: y.data.map((value, i) => value + rounding(n, i)) });
  }
  return matrices.at(-1) as Reals;
}

const exactly = () => 0;

/** The rounding errors of one part: of its sums, whose terms are as large as its changes for small changes of its inputs. */
function errorsOf(
  part: Part,
  x: Reals,
  constants: readonly Reals[],
  other: Reals,
  y: Reals,
  random: Random,
): Float64Array {
  const step = 2 ** -20;
  const moved = (values: Reals): Reals => ({
    shape: values.shape,
    data: values.data.map((value) => value * (1 + step * random.sign())),
  });
  const condition = new Float64Array(y.data.length);
  for (let draw = 0; draw < DRAWS; draw++) {
    const fixed = constants.map((values, i) =>
      part.constants[i]?.data instanceof Int32Array ? values : moved(values),
    );
    const near = part.real(moved(x), fixed, other === x ? x : moved(other));
    for (let i = 0; i < condition.length; i++)
      condition[i] = Math.max(
        condition[i] as number,
        Math.abs((near.data[i] as number) - (y.data[i] as number)) / step,
      );
  }
  return y.data.map((value, i) => allowedError(part.terms, Math.abs(value) + (condition[i] as number)));
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += (a[i] as number) * (b[i] as number);
  return total;
};

/** Makes the composition of a seed, and computes it in float64. */
export function compose(seed: string): Composition {
  const random = new Random(seed);
  const size = () => SIZES[random.below(SIZES.length)] as number;
  const inputs: Values[] = [random.normal([size(), size()])];
  const matrices = inputs.map(widen);
  const steps: Step[] = [];
  for (let count = 1 + random.below(MAX_PARTS); count > 0; count--) {
    const x = matrices.at(-1) as Reals;
    const part = randomPart(random, x);
    const same = matrices.flatMap(({ shape }, i) => (`${shape}` === `${x.shape}` ? [i] : []));
    const other = same[random.below(same.length)] as number;
    const constants = part.constants.map(widen);
    const y = part.real(x, constants, matrices[other] as Reals);
    steps.push({ part, other, errors: errorsOf(part, x, constants, matrices[other] as Reals, y, random) });
    inputs.push(...part.constants);
    matrices.push(y);
  }
  const result = matrices.at(-1) as Reals;
  const weights = random.normal(result.shape);
  const wide = inputs.map(widen);
  const direction = inputs.map(({ data }) => {
    const isFixed = data instanceof Int32Array;
    return Float64Array.from({ length: data.length }, () => (isFixed ? 0 : random.sign()));
  });
  const slopeOf = (rounding: (step: number, i: number) => number) => {
    const h = 2 ** -17;
    const loss = (sign: number) => {
      const moved = wide.map(({ shape, data }, n) => ({
        shape,
        data: data.map((value, i) => value + sign * h * (direction[n]?.[i] as number)),
      }));
      return dot(interpret(steps, moved, rounding).data, weights.data);
    };
    return (loss(1) - loss(-1)) / (2 * h);
  };
  const slope = slopeOf(exactly);
  const allowed = new Float64Array(result.data.length);
  let slopeError = 0;
  for (let draw = 0; draw < DRAWS; draw++) {
    const signs = steps.map(({ errors }) => errors.map((error) => error * (2 * random.next() - 1)));
    const rounding = (step: number, i: number) => signs[step]?.[i] as number;
    const y = interpret(steps, wide, rounding);
    for (let i = 0; i < allowed.length; i++)
      allowed[i] = Math.max(allowed[i] as number, Math.abs((y.data[i] as number) - (result.data[i] as number)));
    slopeError = Math.max(slopeError, Math.abs(slopeOf(rounding) - slope));
  }
  const last = steps.at(-1) as Step;
  for (let i = 0; i < allowed.length; i++) allowed[i] = MARGIN * (allowed[i] as number) + (last.errors[i] as number);
  return { seed, inputs, steps, result, allowed, weights, direction, slope, slopeError: MARGIN * slopeError };
}

/** Computes a composition, and the gradient of its loss, on a device. */
export function runOn(device: Device, { inputs, steps, weights }: Composition): Outcome {
  return device.scope(() => {
    const tensors = inputs.map(({ shape, data }) =>
      device.tensor(data, shape, { requiresGrad: data instanceof Float32Array }),
    );
    const matrices = [tensors[0] as Tensor];
    let next = 1;
    for (const { part, other } of steps) {
      const constants = tensors.slice(next, next + part.constants.length);
      next += constants.length;
      matrices.push(part.tensor(matrices.at(-1) as Tensor, constants, matrices[other] as Tensor));
    }
    const y = matrices.at(-1) as Tensor;
    const result = y.dataSync();
    sum(mul(y, device.tensor(weights.data, weights.shape))).backward();
    return { result, gradients: tensors.map(({ grad }) => grad?.dataSync() ?? null) };
  }) as unknown as Outcome;
}

/** Describes an error of an outcome. Returns null if there is none. */
export function wrong(composition: Composition, { result, gradients }: Outcome): string | null {
  const { result: expected, allowed, direction, slope, slopeError, steps, weights } = composition;
  if (result.length !== expected.data.length) return `${result.length} values, expected ${expected.data.length}`;
  for (let i = 0; i < result.length; i++) {
    const difference = Math.abs((result[i] as number) - (expected.data[i] as number));
    if (!(difference <= (allowed[i] as number)))
      return `value ${i} is ${result[i]}, expected ${expected.data[i]} ± ${allowed[i]}`;
  }
  const products = gradients.map((gradient, n) => (gradient ? dot(gradient, direction[n] as Float64Array) : 0));
  const size = gradients.reduce(
    (total, gradient) => total + (gradient ? dot(gradient, Array.from(gradient, Math.sign)) : 0),
    0,
  );
  const found = products.reduce((a, b) => a + b, 0);
  const terms = steps.reduce((total, { part }) => total + part.terms, 0);
  // Gradients begin as the weights, so their roundings are relative to those even if the gradients cancel.
  const start = dot(weights.data, Array.from(weights.data, Math.sign));
  const bound = slopeError + allowedError(terms * steps.length, (size + start) * steps.length);
  if (!(Math.abs(found - slope) <= bound)) return `the slope is ${found}, expected ${slope} ± ${bound}`;
  return null;
}

export const describe = ({ seed, inputs, steps }: Composition): string =>
  `seed '${seed}': [${inputs[0]?.shape}] → ${steps.map(({ part }) => part.name).join(' → ')}`;
