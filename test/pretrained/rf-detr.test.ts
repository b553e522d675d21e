// RF-DETR in training, beside what transformers predicts in float64 (make_rf_detr.py), and what it refuses.
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice, type Tensor } from '../../src/index.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { testData } from '../test-data.js';
import { assertClose, largest } from '../tolerance.js';
import { filesOf, inputsOf, referenceOf } from './reference.js';
import expected from './rf-detr.json' with { type: 'json' };

/** Same limit as that of outputs in reference.ts. */
const LIMIT = 2e-4;

const data = testData('families');
const files = await filesOf(data, 'rf_detr');
const device = await createDevice({ threads: 2 });
afterAll(() => device.dispose());

const config = JSON.parse(new TextDecoder().decode(files['config.json']));
const loadWith = async (changes: object) => {
  const json = new TextEncoder().encode(JSON.stringify({ ...config, ...changes }));
  return (await loadModel(device, { ...files, 'config.json': json })) as PretrainedModel;
};

it('has several groups of queries in training', async () => {
  const model = await loadWith({});
  model.train();
  const output = model.forward(inputsOf(device, await referenceOf(data, 'rf_detr')));
  const results = {
    logits: output.logits,
    pred_boxes: output.predBoxes,
    enc_outputs_class: output.encOutputsClass,
    enc_outputs_coord_logits: output.encOutputsCoordLogits,
  };
  for (const [name, { shape, data: wanted }] of Object.entries(expected)) {
    const result = results[name as keyof typeof expected] as Tensor;
    expect(result.shape, name).toEqual(shape);
    const max = largest(wanted);
    assertClose(name, (await result.data()) as Float32Array, wanted, () => LIMIT * max);
  }
});

describe('refuses', () => {
  it.each([
    [{ num_feature_levels: 2 }, 'num_feature_levels is 2, expected 1'],
    [{ d_model: 18 }, 'd_model is 18, expected a multiple of 4'],
    [{ decoder_cross_attention_heads: 3 }, 'decoder_cross_attention_heads is 3, expected a divisor of 16'],
    [{ backbone_config: { ...config.backbone_config, model_type: 'dinov2' } }, 'model_type is "dinov2"'],
    [
      { backbone_config: { ...config.backbone_config, reshape_hidden_states: false } },
      'reshape_hidden_states is false',
    ],
    [{ backbone_config: { ...config.backbone_config, out_features: ['stage9'] } }, 'are not stages'],
  ])('%j', async (changes, message) => {
    await expect(loadWith(changes)).rejects.toThrow(message);
  });

  it('refuses images that windows do not divide, or that are too small', async () => {
    const model = await loadWith({});
    const see = (height: number, width: number) => model.forward({ pixelValues: device.zeros([1, 3, height, width]) });
    expect(() => see(24, 32)).toThrow('pixelValues have 3 × 4 patches, expected sides that 2 windows divide');
    expect(() => see(16, 16)).toThrow('the images have 4 cells, expected at least 6');
  });
});
