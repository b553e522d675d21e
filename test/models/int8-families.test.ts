// Effect of int8 weights on each family's results. Rounding to int8 is coarser than to float16 by a known factor, and
// so are its effects. This holds however ill-conditioned random weights make a model. T5's scores, for example, are not
// scaled, so that float16 alone changes its results much.
import { describe, expect, it } from 'vitest';
import { quantize, type Tensor } from '../../src/index.js';
import { parseSafetensors } from '../../src/io/index.js';
import type { ModelInputs, ModelOutput } from '../../src/models/inputs.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';

/**
 * The step of int8 is a row's largest value over 127, at most a 64th of its values' deviation here. That of float16 is
 * a 2048th to a 1024th of each value.
 */
const COARSER = 64;
/** Radians: seven roundings to int8 of a row of normal values, where those to float16 happen to cancel. */
const FEW = 0.04;

const families = [
  'albert-mlm',
  'bart',
  'bert-mlm',
  'bert-sequence',
  'clip',
  'deberta-v2-sequence',
  'dinov2',
  'distilbert-mlm',
  'electra-discriminator',
  'gemma',
  'gemma2',
  'gemma3',
  'gpt-neox',
  'gpt2',
  'llama',
  'm2m100',
  'marian',
  'mbart',
  'mistral-window',
  'modernbert-mlm',
  'mpnet',
  'olmo2',
  'opt',
  'phi3',
  'qwen2',
  'qwen3',
  'roberta-mlm',
  'siglip',
  'smollm3',
  't5',
  't5-gated',
  'vit-image',
  'whisper',
  'xlm-roberta-token',
];

const inputNames: Readonly<Record<string, keyof ModelInputs>> = {
  input_ids: 'inputIds',
  attention_mask: 'attentionMask',
  token_type_ids: 'tokenTypeIds',
  decoder_input_ids: 'decoderInputIds',
  pixel_values: 'pixelValues',
  input_features: 'inputFeatures',
};

const device = await deviceFor(isas.at(-1) as string, 2);
const silent = { onWarning: () => {} };

function angle(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * (y[i] as number), 0);
  return Math.acos(Math.min(1, dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))));
}

for (const family of families) {
  describe(family, () => {
    const data = testData(`families/${family}`);
    it('the error of int8 grows no more than its rounding does relative to float16', async () => {
      const index = 'model.safetensors.index.json';
      const shards = await data.json<{ weight_map: Record<string, string> }>(index).catch(() => null);
      const weights = shards ? [index, ...new Set(Object.values(shards.weight_map))] : ['model.safetensors'];
      const files = Object.fromEntries(
        await Promise.all(['config.json', ...weights].map(async (name) => [name, await data.bytes(name)])),
      );
      const reference = parseSafetensors(await data.bytes('reference.safetensors')).tensors;
      const inputs: Record<string, Tensor> = {};
      const results = async (weights: 'float16' | 'int8' | null) => {
        using model = await loadModel(device, files, silent);
        if (weights !== null) quantize(model, { weights, activations: 'float32' });
        return device.scope(() => {
          for (const [name, own] of Object.entries(inputNames)) {
            const entry = reference.get(name);
            if (entry !== undefined && model.takes(own)) inputs[own] = device.tensor(entry.data(), entry.shape);
          }
          const labels = reference.get('labels'); // the decoder's inputs follow from them
          if (model.takes('decoderInputIds') && inputs.decoderInputIds === undefined && labels !== undefined)
            inputs.labels = device.tensor(labels.data(), labels.shape);
          const output = model.forward(inputs as ModelInputs) as ModelOutput & Readonly<Record<string, unknown>>;
          const named = ['logits', 'logitsPerImage', 'lastHiddenState'].map(
            (name) => output[name] as Tensor | undefined,
          );
          return (named.find((each) => each !== undefined) as Tensor).dataSync() as Float32Array;
        });
      };
      const floats = await results(null);
      const [coarse, fine] = [angle(await results('int8'), floats), angle(await results('float16'), floats)];
      expect(coarse).toBeLessThan(Math.max(FEW, COARSER * fine));
      expect(coarse).toBeGreaterThan(0);
    });
  });
}
