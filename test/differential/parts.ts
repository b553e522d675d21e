// Parts of random compositions: each is a call of an op on matrices, and the same in float64.
import type { Tensor } from '../../src/core/tensor.js';
import * as ops from '../../src/ops/index.js';
import type { Random, Values } from '../random.js';
import { activation } from '../reference/activation.js';
import { attention } from '../reference/attention.js';
import { linear, matmul } from '../reference/matmul.js';
import { layerNorm, logSoftmax, rmsNorm, softmax } from '../reference/norm.js';
import { build, elementwise, type Reals } from '../reference/reals.js';

/** One call: `x` is a matrix, `constants` are its weights. */
export interface Part {
  readonly name: string;
  /** Weights, which have gradients, and ids, which have none. */
  readonly constants: readonly Values[];
  /** Terms of the longest sum. */
  readonly terms: number;
  /** True if the part also takes an earlier matrix of the shape of `x`. */
  readonly takesOther?: boolean;
  tensor(x: Tensor, constants: readonly Tensor[], other: Tensor): Tensor;
  real(x: Reals, constants: readonly Reals[], other: Reals): Reals;
}

type Shape2 = readonly [rows: number, cols: number];
type MakePart = (random: Random, shape: Shape2) => Part;

const map = (x: Reals, f: (value: number) => number): Reals => build(x.shape, (i) => f(x.data[i] as number));
const colsOf = (x: Reals) => x.shape[1] as number;
const pick = <T>(random: Random, items: readonly T[]): T => items[random.below(items.length)] as T;

/** The matrix whose element [r, c] is `f(r, c)`. */
const matrix = (rows: number, cols: number, f: (r: number, c: number) => number): Reals =>
  build([rows, cols], (i) => f(Math.floor(i / cols), i % cols));

function plain(name: string, tensor: (x: Tensor) => Tensor, real: (x: Reals) => Reals, terms = 1): Part {
  return { name, constants: [], terms, tensor, real };
}

const activations = [ops.relu, ops.gelu, ops.silu, ops.tanh, ops.sigmoid, ops.mish, ops.hardSwish, ops.quickGelu];
const functions: readonly Part[] = [
  ...activations.map((op) =>
    plain(
      op.name,
      (x) => op(x),
      (x) => activation(op.name as ops.Activation, x),
    ),
  ),
  plain(
    'abs',
    (x) => ops.abs(x),
    (x) => map(x, Math.abs),
  ),
  plain(
    'sin',
    (x) => ops.sin(x),
    (x) => map(x, Math.sin),
  ),
  plain(
    'cos',
    (x) => ops.cos(x),
    (x) => map(x, Math.cos),
  ),
  plain(
    'exp of clamp',
    (x) => ops.exp(ops.clamp(x, { min: -3, max: 3 })),
    (x) => map(x, (value) => Math.exp(Math.min(3, Math.max(-3, value)))),
  ),
  plain(
    'sqrt of square',
    (x) => ops.sqrt(ops.add(ops.mul(x, x), 1)),
    (x) => map(x, (value) => Math.sqrt(value * value + 1)),
  ),
];

const pairs: readonly (readonly [name: string, tensor: typeof ops.add, real: (a: number, b: number) => number])[] = [
  ['add', ops.add, (a, b) => a + b],
  ['sub', ops.sub, (a, b) => a - b],
  ['mul', (a, b) => ops.mul(a, ops.tanh(b as Tensor)), (a, b) => a * Math.tanh(b)],
  ['maximum', ops.maximum, Math.max],
  ['minimum', ops.minimum, Math.min],
  ['div', (a, b) => ops.div(a, ops.add(ops.mul(b as Tensor, b), 1)), (a, b) => a / (b * b + 1)],
];

const withOther: MakePart = (random) => {
  const [name, tensor, f] = pick(random, pairs);
  return {
    name,
    constants: [],
    terms: 1,
    takesOther: true,
    tensor: (x, _, other) => tensor(x, other),
    real: (x, _, other) => elementwise(x, other, f),
  };
};

const withRow: MakePart = (random, [, cols]) => {
  const [name, tensor, f] = pick(random, pairs);
  return {
    name: `${name} a row`,
    constants: [random.normal([cols])],
    terms: 1,
    tensor: (x, [row]) => tensor(x, row as Tensor),
    real: (x, [row]) => elementwise(x, row as Reals, f),
  };
};

const withMatrix: MakePart = (random, [, cols]) => {
  const outputs = 1 + random.below(40);
  const transposeB = random.below(2) === 1;
  return {
    name: `matmul ${cols}:${outputs}${transposeB ? ' transposed' : ''}`,
    constants: [random.normal(transposeB ? [outputs, cols] : [cols, outputs], cols ** -0.5)],
    terms: cols,
    tensor: (x, [w]) => ops.matmul(x, w as Tensor, { transposeB }),
    real: (x, [w]) => matmul(x, w as Reals, { transposeB }),
  };
};

const withLayer: MakePart = (random, [, cols]) => {
  const outputs = 1 + random.below(40);
  const name = pick(random, ['none', 'relu', 'gelu', 'silu'] as const);
  return {
    name: `linear ${cols}:${outputs} ${name}`,
    constants: [random.normal([cols, outputs], cols ** -0.5), random.normal([outputs])],
    terms: cols,
    tensor: (x, [w, b]) => ops.linear(x, w as Tensor, b, { activation: name }),
    real: (x, [w, b]) => linear(x, w as Reals, b as Reals, name),
  };
};

const norms: MakePart = (random, [, cols]) => {
  const constants = [random.uniform([cols], 0.5, 1.5), random.normal([cols])];
  const eps = 0.1; // so that rows of one or equal values do not amplify roundings
  const all: readonly Part[] = [
    {
      name: 'layerNorm',
      constants,
      terms: cols,
      tensor: (x, [gamma, beta]) => ops.layerNorm(x, gamma, beta, { eps }),
      real: (x, [gamma, beta]) => layerNorm(x, gamma as Reals, beta as Reals, eps),
    },
    {
      name: 'rmsNorm',
      constants: constants.slice(0, 1),
      terms: cols,
      tensor: (x, [gamma]) => ops.rmsNorm(x, gamma as Tensor, { eps }),
      real: (x, [gamma]) => rmsNorm(x, gamma as Reals, eps),
    },
    plain('softmax', (x) => ops.softmax(x), softmax, cols),
    plain('logSoftmax', (x) => ops.logSoftmax(x), logSoftmax, cols),
  ];
  return pick(random, all);
};

const attend: MakePart = (random, [rows, cols]) => {
  const heads = pick(
    random,
    [1, 2, 3, 4].filter((count) => cols % count === 0),
  );
  const causal = random.below(2) === 1;
  const window = random.below(3) === 0 ? ([random.below(4), random.below(4)] as const) : null;
  const to3 = (x: Reals): Reals => ({ shape: [1, rows, cols], data: x.data });
  return {
    name: `attention, ${heads} heads${causal ? ', causal' : ''}${window ? `, window ${window}` : ''}`,
    constants: [random.normal([cols], 0.5)],
    terms: rows + cols,
    tensor: (x, [row]) => {
      const all = x.reshape(1, rows, cols);
      return ops.attention(ops.mul(all, row as Tensor), all, all, { heads, causal, window }).reshape(rows, cols);
    },
    real: (x, [row]) => {
      const q = to3(elementwise(x, row as Reals, (a, b) => a * b));
      const y = attention(q, to3(x), to3(x), { heads, causal, ...(window && { window }) });
      return { shape: [rows, cols], data: y.data };
    },
  };
};

const sums: MakePart = (random, [rows, cols]) => {
  const axis = random.below(2);
  const at = (x: Reals, r: number, c: number) => x.data[r * cols + c] as number;
  const total = (x: Reals, kept: number) => {
    let sum = 0;
    if (axis === 0) for (let r = 0; r < rows; r++) sum += at(x, r, kept);
    else for (let c = 0; c < cols; c++) sum += at(x, kept, c);
    return sum;
  };
  const terms = axis === 0 ? rows : cols;
  const shape = axis === 0 ? [1, cols] : [rows, 1];
  const running = (x: Reals) => {
    const data = Float64Array.from(x.data);
    const step = axis === 0 ? cols : 1;
    for (let i = 0; i < data.length; i++)
      if (axis === 0 ? i >= cols : i % cols > 0) (data[i] as number) += data[i - step] as number;
    return { shape: x.shape, data };
  };
  return pick(random, [
    plain(
      `x minus its mean, axis ${axis}`,
      (x) => ops.sub(x, ops.mean(x, { axis, keepDims: true })),
      (x) =>
        elementwise(
          x,
          build(shape, (i) => total(x, i) / terms),
          (a, b) => a - b,
        ),
      terms,
    ),
    plain(
      `sum of axis ${axis}`,
      (x) => ops.scale(ops.sum(x, { axis, keepDims: true }), 1 / 8),
      (x) => build(shape, (i) => total(x, i) / 8),
      terms,
    ),
    plain(
      `cumsum of axis ${axis}`,
      (x) => ops.scale(ops.cumsum(x, { axis }), 1 / 8),
      (x) => map(running(x), (y) => y / 8),
      terms,
    ),
  ]);
};

const moves: MakePart = (random, [rows, cols]) => {
  const from = random.below(cols);
  const end = from + 1 + random.below(cols - from);
  const shift = random.below(7) - 3;
  const [before, after] = [random.below(3), random.below(3)];
  const ids = random.integers([1 + random.below(20)], rows);
  const taps = random.normal([1 + random.below(4), cols], 0.5);
  const wrapped = (i: number, size: number) => ((i % size) + size) % size;
  return pick<Part>(random, [
    plain(
      'transpose',
      (x) => ops.transpose(x),
      (x) => matrix(cols, rows, (r, c) => x.data[c * cols + r] as number),
    ),
    plain(
      `columns ${from} to ${end}`,
      (x) => ops.slice(x, 1, from, end),
      (x) => matrix(rows, end - from, (r, c) => x.data[r * cols + from + c] as number),
    ),
    plain(
      `roll ${shift}`,
      (x) => ops.roll(x, shift, 1),
      (x) => matrix(rows, cols, (r, c) => x.data[r * cols + wrapped(c - shift, cols)] as number),
    ),
    plain(
      `pad ${before}, ${after}`,
      (x) => ops.pad(x, [before, after]),
      (x) =>
        matrix(rows, before + cols + after, (r, c) =>
          c < before || c >= before + cols ? 0 : (x.data[r * cols + c - before] as number),
        ),
    ),
    plain(
      'columns twice',
      (x) => ops.concat([x, ops.neg(x)], 1),
      (x) => matrix(rows, 2 * cols, (r, c) => (c < cols ? 1 : -1) * (x.data[r * cols + (c % cols)] as number)),
    ),
    {
      name: 'gather',
      constants: [ids],
      terms: rows,
      tensor: (x, [rowIds]) => ops.gather(x, rowIds as Tensor),
      real: (x, [rowIds]) =>
        matrix(ids.data.length, cols, (r, c) => x.data[(rowIds?.data[r] as number) * cols + c] as number),
    },
    {
      name: 'causalConv',
      constants: [taps, { shape: [1], data: Int32Array.of(rows) }],
      terms: taps.shape[0] as number,
      tensor: (x, [w, lengths]) => ops.causalConv(x, w as Tensor, { lengths }),
      real: (x, [w]) => {
        const count = taps.shape[0] as number;
        return matrix(rows, cols, (r, c) => {
          let total = 0;
          for (let j = Math.max(0, count - 1 - r); j < count; j++)
            total += (w?.data[j * cols + c] as number) * (x.data[(r - count + 1 + j) * cols + c] as number);
          return total;
        });
      },
    },
  ]);
};

const makers: readonly MakePart[] = [
  (random) => pick(random, functions),
  withOther,
  withRow,
  withMatrix,
  withLayer,
  norms,
  attend,
  sums,
  moves,
];

/** A random part for a matrix of this shape. Large results are normalized, so that values stay near 1. */
export function randomPart(random: Random, x: Reals): Part {
  const shape = [x.shape[0] as number, colsOf(x)] as const;
  const isLarge = x.data.some((value) => Math.abs(value) > 50);
  return isLarge ? norms(random, shape) : pick(random, makers)(random, shape);
}
