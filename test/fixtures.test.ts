// The cases of ../shared/fixtures: inputs, and the outputs and gradients that PyTorch computed from them in float64. The
// transformer cases are in test/models.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Device, Tensor } from '../src/index.js';
import * as ops from '../src/index.js';
import { parseSafetensors, type SafetensorsEntry } from '../src/io/safetensors.js';
import { deviceFor, isas } from './describe-op.js';
import { describeShared } from './shared.js';
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

type Tensors = Record<string, Tensor>;

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

/** The entries whose names begin with `prefix`, without it. */
function entriesOf(file: ReadonlyMap<string, SafetensorsEntry>, prefix: string): [string, SafetensorsEntry][] {
  return [...file]
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, entry]) => [name.slice(prefix.length), entry]);
}

function inputsOf(device: Device, file: ReadonlyMap<string, SafetensorsEntry>): Tensors {
  return Object.fromEntries(
    entriesOf(file, 'in.').map(([name, entry]) => {
      return [name, device.tensor(entry.data(), entry.shape, { requiresGrad: file.has(`grad.${name}`) })];
    }),
  );
}

describeShared('fixtures', 'fixtures', (folder) => {
  const cases: Case[] = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8'));
  const read = (name: string) => parseSafetensors(readFileSync(join(folder, `${name}.safetensors`))).tensors;
  /** Compares with a stored result. No sum in a case is longer than its longest dimension. */
  function compare(what: string, actual: ArrayLike<number>, file: ReadonlyMap<string, SafetensorsEntry>, name: string) {
    const expected = file.get(name)!.data();
    const length = Math.max(...[...file.values()].flatMap((entry) => entry.shape));
    const scale = largest(expected);
    assertClose(what, actual, expected, (i) => allowedError(length, Math.abs(expected[i]!) + scale));
  }

  it('has a test for every op', () => {
    const known = [...Object.keys(forward), 'adamw', 'transformer'];
    expect(known).toEqual(expect.arrayContaining(cases.map(({ op }) => op)));
  });

  describe.each(isas)('%s', (isa) => {
    it.each(cases.filter(({ op }) => op in forward))('$name', async (options) => {
      const device = await deviceFor(isa, 2);
      const file = read(options.name);
      const inputs = inputsOf(device, file);
      const y = forward[options.op]!(inputs, options);
      compare('out', await y.data(), file, 'out');
      y.backward(device.tensor(file.get('dout')!.data(), y.shape));
      const gradients = entriesOf(file, 'grad.');
      expect(gradients.length).toBeGreaterThan(0);
      for (const [name] of gradients) compare(name, await inputs[name]!.grad!.data(), file, `grad.${name}`);
    });

    it.each(cases.filter(({ op }) => op === 'adamw'))('$name', async (options) => {
      const device = await deviceFor(isa, 2);
      const file = read(options.name);
      const { param, grads } = inputsOf(device, file);
      param!.requiresGrad = true;
      const optimizer = new ops.AdamW([param!], options);
      const steps: number[] = [];
      for (let step = 0; step < grads!.shape[0]!; step++) {
        ops.mul(param!, 1).backward(grads!.rows(step, step + 1).reshape(param!.shape));
        optimizer.step();
        param!.zeroGrad();
        steps.push(...(await param!.data()));
      }
      compare('params', steps, file, 'out.params');
    });
  });
});
