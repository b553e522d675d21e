// Tiny models with rare settings, beside what transformers computes in float64 (make_variants.py).
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadLora, lora } from '../../src/finetune/index.js';
import { createDevice, type Tensor } from '../../src/index.js';
import { parseSafetensors } from '../../src/io/safetensors.js';
import type { DetectionTarget, ModelInputs, ModelOutput } from '../../src/models/inputs.js';
import { mul, sum } from '../../src/ops/index.js';
import { assertClose, largest } from '../tolerance.js';
import {
  areObjects,
  loadVariant,
  type Made,
  type Nested,
  type Objects,
  type Variant,
  variants,
  weights,
  weightsFile,
} from './variant.js';

/** Same limits as those of reference.ts. */
const [OUTPUTS, GRADIENTS] = [2e-4, 1e-3];

const device = await createDevice({ threads: 1 });
afterAll(() => device.dispose());

const camelCase = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

const sumOfSquares = (x: Tensor) => sum(mul(x, x));

/** Rows of numbers and objects as they are, images as tensors. */
function inputOf(rows: Nested | Made | Objects, name = ''): Nested | DetectionTarget[] | Tensor {
  if ('shape' in rows) {
    const { shape, classes, counts } = rows;
    if (counts) return counts.map((count) => Array.from({ length: shape[1]! }, (_, i) => (i < count ? 1 : 0)));
    const values = weights(
      0,
      shape.reduce((product, n) => product * n, 1),
    );
    const shares = name === 'labels' ? values.map((value) => value + 0.5) : values;
    return device.tensor(classes ? Int32Array.from(shares, (share) => share * classes) : shares, shape);
  }
  if (areObjects(rows)) return rows.map(({ class_labels: classLabels, boxes }) => ({ classLabels, boxes }));
  const shape: number[] = [];
  for (let part: unknown = rows; Array.isArray(part); part = part[0]) shape.push(part.length);
  return shape.length > 2 ? device.tensor(Float32Array.from((rows as Nested[]).flat(3) as number[]), shape) : rows;
}

const inputsOf = ({ inputs }: Variant): ModelInputs =>
  Object.fromEntries(Object.entries(inputs).map(([name, value]) => [camelCase(name), inputOf(value, name)]));

const firstImage = (variant: Variant) => (inputsOf(variant).pixelValues as Tensor).rows(0, 1);

describe.each(variants)('$name', (each) => {
  it('is as in transformers', async () => {
    const model = await loadVariant(device, each);
    const attentions = 'attentions.0' in each.results;
    const output = model.forward(inputsOf(each), { attentions });
    const { attention_mask: mask = [] } = each.inputs; // given as rows, it belongs to words
    const marks = Array.isArray(mask) ? (mask as number[][]).flat() : [];
    for (const [name, all] of Object.entries(each.results)) {
      const [key, layer] = camelCase(name).split('.') as [keyof ModelOutput, string?];
      const found = output[key];
      const result = await (layer ? (found as Tensor[])[Number(layer)]! : (found as Tensor)).data();
      expect(result.length, name).toBe(all.length);
      const isOfTokens = marks.length > 0 && all.length >= marks.length;
      const isToken = (i: number) => !isOfTokens || marks[Math.floor((i * marks.length) / all.length)] === 1;
      const expected = all.map((value, i) => (isToken(i) ? value : 0));
      assertClose(name, result, expected, () => OUTPUTS * largest(expected));
    }
    const made = output.reconstruction ?? output.waveform;
    (output.loss ?? (made && sumOfSquares(made)))?.backward();
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

  const { written, adapter } = each;
  if (adapter)
    it('takes an adapter of PEFT, and writes one with its names', async () => {
      const { modules, shapes, logits: expected } = adapter;
      const settings = { peft_type: 'LORA', r: 2, lora_alpha: 4, target_modules: modules };
      const files = {
        'adapter_config.json': new TextEncoder().encode(JSON.stringify(settings)),
        'adapter_model.safetensors': weightsFile(shapes),
      };
      const model = await loadVariant(device, each);
      await loadLora(model, files);
      const logits = await model.forward(inputsOf(each)).logits!.data();
      assertClose('logits', logits, expected, () => OUTPUTS * largest(expected));
      model.dispose();

      const other = await loadVariant(device, each);
      const folder = mkdtempSync(join(tmpdir(), 'adapter-'));
      await lora(other, { r: 2, alpha: 4, targets: modules }).save(folder);
      const saved = parseSafetensors(readFileSync(join(folder, 'adapter_model.safetensors'))).tensors;
      const pairs = [...saved].filter(([name]) => /\.lora_[AB]\./.test(name));
      expect(Object.fromEntries(pairs.map(([name, { shape }]) => [name, shape]))).toEqual(shapes);
      const config = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')) as {
        target_modules: string[];
      };
      expect(config.target_modules.toSorted()).toEqual(modules.toSorted());
      rmSync(folder, { recursive: true });
      other.dispose();
    });

  if (!written) return;
  it('writes the same tokens', async () => {
    const model = await loadVariant(device, each);
    for (const { prompt, ids, logProbabilities: expected } of written) {
      const [source, noRepeatNgramSize] = prompt.length > 0 ? [[prompt]] : [firstImage(each), 1];
      const { sequences, logProbabilities } = await model.generate(source, {
        maxNewTokens: ids.length,
        stopTokens: [],
        noRepeatNgramSize,
      });
      expect(sequences).toEqual([ids]);
      assertClose('log probabilities', logProbabilities[0] as number[], expected, () => OUTPUTS * largest(expected));
    }
    model.dispose();
  });
});
