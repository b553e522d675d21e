// The cases of test/data/fixtures: inputs, and the outputs and gradients that PyTorch computed from them in float64. The
// transformer cases are in test/models.
import { describe, expect, it } from 'vitest';
import type { Device, Tensor } from '../src/index.js';
import { parseSafetensors, type SafetensorsEntry } from '../src/io/safetensors.js';
import * as ops from '../src/ops/index.js';
import { AdamW } from '../src/train/index.js';
import { deviceFor, isas } from './describe-op.js';
import { activation } from './reference/activation.js';
import { attention } from './reference/attention.js';
import { linear, matmul } from './reference/matmul.js';
import { layerNorm, rmsNorm, softmax } from './reference/norm.js';
import { type Reals, sum } from './reference/reals.js';
import { crossEntropy, embedding } from './reference/tokens.js';
import { testData } from './test-data.js';
import { allowedError, assertClose, largest } from './tolerance.js';

interface Case {
  readonly name: string;
  readonly op: string;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly activation: 'none' | 'relu' | 'gelu' | 'gelu_tanh' | 'silu';
  readonly eps: number;
  readonly axis: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly causal: boolean;
  readonly labelSmoothing: number;
  readonly ignoreIndex: number | null;
  readonly scale: number;
  readonly lr: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly weightDecay: number;
}

/** Inputs by their names in the cases. The op decides which of them exist. */
type Inputs<Value> = Record<
  | ('a' | 'b' | 'w' | 'x' | 'gamma' | 'beta' | 'residual' | 'table' | 'ids' | 'logits' | 'targets' | 'param' | 'grads')
  | ('q' | 'k' | 'v' | 'bias' | 'lengthsQ' | 'lengthsK'),
  Value
>;
type Tensors = Inputs<Tensor>;

/** Each op as its cases call it. */
const forward: Record<string, (x: Tensors, options: Case) => Tensor> = {
  matmul: ({ a, b }, { transposeA, transposeB }) => ops.matmul(a, b, { transposeA, transposeB }),
  linear: ({ x, w, b }, { activation }) => ops.linear(x, w, b, { activation }),
  layerNorm: ({ x, gamma, beta }, { eps }) => ops.layerNorm(x, gamma, beta, { eps }),
  addLayerNorm: ({ x, gamma, beta, residual }, { eps }) => ops.layerNorm(x, gamma, beta, { eps, residual }),
  rmsNorm: ({ x, gamma }, { eps }) => ops.rmsNorm(x, gamma, { eps }),
  softmax: ({ x }, { axis }) => ops.softmax(x, { axis }),
  relu: ({ x }) => ops.relu(x),
  gelu: ({ x }) => ops.gelu(x),
  gelu_tanh: ({ x }) => ops.gelu(x, { approximate: 'tanh' }),
  silu: ({ x }) => ops.silu(x),
  tanh: ({ x }) => ops.tanh(x),
  sigmoid: ({ x }) => ops.sigmoid(x),
  attention: ({ q, k, v, ...rest }, { heads, kvHeads, causal }) =>
    ops.attention(q, k, v, { heads, kvHeads, causal, ...rest }),
  embedding: ({ table, ids }, { scale }) => ops.embedding(table, ids, { scale }),
  crossEntropy: ({ logits, targets }, { labelSmoothing, ignoreIndex }) =>
    ops.crossEntropy(logits, targets, { labelSmoothing, ignoreIndex: ignoreIndex ?? undefined }),
};

type Arrays = Inputs<Reals>;
const ints = (array: unknown) => array as Reals<Int32Array>;

/** The float64 references that describeOp compares ops with, on the same cases. */
const reference: Record<string, (x: Arrays, options: Case) => Reals> = {
  matmul: ({ a, b }, options) => matmul(a, b, options),
  linear: ({ x, w, b }, { activation }) => linear(x, w, b, activation),
  layerNorm: ({ x, gamma, beta }, { eps }) => layerNorm(x, gamma, beta, eps),
  addLayerNorm: ({ x, gamma, beta, residual }, { eps }) => layerNorm(x, gamma, beta, eps, residual),
  rmsNorm: ({ x, gamma }, { eps }) => rmsNorm(x, gamma, eps),
  softmax: ({ x }) => softmax(x),
  attention: ({ q, k, v, bias, lengthsQ, lengthsK }, options) =>
    attention(q, k, v, { ...options, bias, lengthsQ: lengthsQ?.data, lengthsK: lengthsK?.data }),
  embedding: ({ table, ids }, { scale }) => embedding(table, ints(ids), scale),
  crossEntropy: ({ logits, targets }, options) => crossEntropy(logits, ints(targets), options),
};
for (const name of ['relu', 'gelu', 'gelu_tanh', 'silu', 'tanh', 'sigmoid'] as const) {
  reference[name] = ({ x }) => activation(name, x);
}

/**
 * Size of the terms that a normalization's backward subtracts from each other. In rows of equal values they cancel, but
 * their rounding errors remain.
 */
function cancellingTerms({ eps }: Case, file: ReadonlyMap<string, SafetensorsEntry>): number {
  if (!file.has('in.gamma')) return 0;
  const [x, gamma, dout] = ['in.x', 'in.gamma', 'dout'].map((name) => file.get(name)!.data());
  const cols = gamma!.length;
  let widest = 0;
  for (let start = 0; start < x!.length; start += cols) {
    const row = Float64Array.from(x!.subarray(start, start + cols));
    const centre = file.has('in.beta') ? sum(row) / cols : 0;
    widest = Math.max(widest, 1 / Math.sqrt(sum(row, (v) => (v - centre) ** 2) / cols + eps));
  }
  return widest * largest(dout!) * Math.max(largest(gamma!), largest(x!));
}

/** The entries whose names begin with `prefix`, without it. */
function entriesOf(file: ReadonlyMap<string, SafetensorsEntry>, prefix: string): [string, SafetensorsEntry][] {
  return [...file]
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, entry]) => [name.slice(prefix.length), entry]);
}

function inputsOf(device: Device, file: ReadonlyMap<string, SafetensorsEntry>): Tensors {
  const tensors = entriesOf(file, 'in.').map(([name, entry]) => {
    return [name, device.tensor(entry.data(), entry.shape, { requiresGrad: file.has(`grad.${name}`) })];
  });
  return Object.fromEntries(tensors) as Tensors;
}

describe('fixtures', async () => {
  const data = testData('fixtures');
  const cases = await data.json<Case[]>('index.json');
  const read = async (name: string) => parseSafetensors(await data.bytes(`${name}.safetensors`)).tensors;
  /** Compares with a stored result. No sum in a case is longer than its longest dimension. */
  function compare(
    what: string,
    actual: ArrayLike<number>,
    file: ReadonlyMap<string, SafetensorsEntry>,
    name: string,
    terms = 0,
  ) {
    const expected = file.get(name)!.data();
    const length = Math.max(...[...file.values()].flatMap((entry) => entry.shape));
    const scale = largest(expected) + terms;
    assertClose(what, actual, expected, (i) => allowedError(length, Math.abs(expected[i]!) + scale));
  }

  it('has a test for every op', () => {
    const known = [...Object.keys(forward), 'adamw', 'transformer'];
    expect(known).toEqual(expect.arrayContaining(cases.map(({ op }) => op)));
  });

  it.each(cases.filter(({ op }) => op in reference))('the reference agrees: $name', async (options) => {
    const file = await read(options.name);
    const arrays = entriesOf(file, 'in.').map(([name, entry]) => {
      const data = entry.data();
      return [name, { shape: entry.shape, data: data instanceof Int32Array ? data : Float64Array.from(data) }];
    });
    const expected = file.get('out')!.data(); // rounded to float32
    const { data } = reference[options.op]!(Object.fromEntries(arrays) as Arrays, options);
    assertClose('out', data, expected, (i) => 2 ** -24 * Math.abs(expected[i]!) + 1e-14);
  });

  describe.each(isas)('%s', (isa) => {
    it.each(cases.filter(({ op }) => op in forward))('$name', async (options) => {
      const device = await deviceFor(isa, 2);
      const file = await read(options.name);
      const inputs = inputsOf(device, file);
      const y = forward[options.op]!(inputs, options);
      compare('out', await y.data(), file, 'out');
      y.backward(device.tensor(file.get('dout')!.data(), y.shape));
      const gradients = entriesOf(file, 'grad.');
      expect(gradients.length).toBeGreaterThan(0);
      const terms = cancellingTerms(options, file);
      for (const [name] of gradients) {
        const { grad } = inputs[name as keyof Tensors];
        compare(name, await grad!.data(), file, `grad.${name}`, terms);
      }
    });

    it.each(cases.filter(({ op }) => op === 'adamw'))('$name', async (options) => {
      const device = await deviceFor(isa, 2);
      const file = await read(options.name);
      const { param, grads } = inputsOf(device, file);
      param.requiresGrad = true;
      const { lr, beta1, beta2, eps, weightDecay } = options;
      const optimizer = new AdamW([param], { lr, beta1, beta2, eps, weightDecay });
      const steps: number[] = [];
      for (let step = 0; step < grads.shape[0]!; step++) {
        ops.mul(param, 1).backward(grads.rows(step, step + 1).reshape(param.shape));
        optimizer.step();
        param.zeroGrad();
        steps.push(...(await param.data()));
      }
      compare('params', steps, file, 'out.params');
    });
  });
});
