// Tiny models with rare settings, beside what transformers computes in float64 (make_variants.py).
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice, type Tensor } from '../../src/index.js';
import { type SafetensorsArray, serializeSafetensors } from '../../src/io/safetensors.js';
import type { ModelInputs, ModelOutput } from '../../src/models/inputs.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { assertClose, largest } from '../tolerance.js';
import recorded from './variants.json' with { type: 'json' };

type Nested = readonly number[] | readonly Nested[];

interface Written {
  readonly prompt: number[];
  readonly ids: number[];
  readonly logProbabilities: number[];
}

interface Case {
  readonly name: string;
  readonly config: object;
  readonly shapes: Readonly<Record<string, number[]>>;
  readonly inputs: Readonly<Record<string, Nested>>;
  readonly results: Readonly<Record<string, number[]>>;
  readonly gradients?: Readonly<Record<string, number>>;
  readonly written?: readonly Written[];
}

/** Same limits as those of reference.ts. */
const [OUTPUTS, GRADIENTS] = [2e-4, 1e-3];

const device = await createDevice({ threads: 1 });
afterAll(() => device.dispose());

const sizeOf = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);
const camelCase = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

/** The numbers of the tensor at `index` of the names in order. */
function weights(index: number, count: number): Float32Array {
  let state = index * 7919 + 1;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 16) / 65536 - 0.5;
  });
}

/** Rows of numbers as they are, images as tensors. */
function inputOf(rows: Nested): Nested | Tensor {
  const shape: number[] = [];
  for (let part: unknown = rows; Array.isArray(part); part = part[0]) shape.push(part.length);
  return shape.length > 2 ? device.tensor(Float32Array.from((rows as Nested[]).flat(3) as number[]), shape) : rows;
}

async function load({ config, shapes }: Case): Promise<PretrainedModel> {
  const entries = Object.entries(shapes).map(([name, shape], i): [string, SafetensorsArray] => [
    name,
    { dtype: 'F32', shape, data: weights(i, sizeOf(shape)) },
  ]);
  const warnings: string[] = [];
  const files = {
    'config.json': new TextEncoder().encode(JSON.stringify(config)),
    'model.safetensors': serializeSafetensors(new Map(entries)),
  };
  const model = await loadModel(device, files, { onWarning: (message) => warnings.push(message) });
  expect(warnings).toEqual([]);
  return model;
}

describe.each(recorded as unknown as Case[])('$name', (each) => {
  it('is as in transformers', async () => {
    const model = await load(each);
    const inputs = Object.fromEntries(
      Object.entries(each.inputs).map(([name, value]) => [camelCase(name), inputOf(value)]),
    );
    const output = model.forward(inputs as ModelInputs);
    const marks = (each.inputs.attention_mask as number[][] | undefined)?.flat() ?? [];
    for (const [name, all] of Object.entries(each.results)) {
      const result = await (output[camelCase(name) as keyof ModelOutput] as Tensor).data();
      expect(result.length, name).toBe(all.length);
      const isToken = (i: number) => (marks.length ? marks[Math.floor((i * marks.length) / all.length)] === 1 : true);
      const expected = all.map((value, i) => (isToken(i) ? value : 0));
      assertClose(name, result, expected, () => OUTPUTS * largest(expected));
    }
    output.loss?.backward();
    const gradients = each.gradients ? model.gradientDict() : {};
    const names = Object.keys(each.shapes);
    for (const [name, expected] of Object.entries(each.gradients ?? {})) {
      const gradient = (await gradients[name]?.data()) as Float32Array;
      const weight = weights(names.indexOf(name), gradient.length);
      const [product, size] = [gradient.map((x, j) => x * weight[j]!), Math.sqrt(gradient.length)];
      const sum = product.reduce((total, x) => total + x, 0);
      expect(Math.abs(sum - expected), name).toBeLessThanOrEqual(GRADIENTS * size * largest(gradient) + 1e-6);
    }
    model.dispose();
  });

  const { written } = each;
  if (!written) return;
  it('writes the same tokens', async () => {
    const model = await load(each);
    for (const { prompt, ids, logProbabilities: expected } of written) {
      const { sequences, logProbabilities } = await model.generate([prompt], {
        maxNewTokens: ids.length,
        stopTokens: [],
      });
      expect(sequences).toEqual([ids]);
      assertClose('log probabilities', logProbabilities[0] as number[], expected, () => OUTPUTS * largest(expected));
    }
    model.dispose();
  });
});
