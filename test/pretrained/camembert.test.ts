// CamemBERT is RoBERTa under another name: the same weights give the same results.
import { expect, it } from 'vitest';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';

it('computes what RoBERTa does', async () => {
  const device = await deviceFor(isas.at(-1) as string, 2);
  const data = testData('families/roberta-mlm');
  const config = await data.json<object>('config.json');
  const outputOf = async (given: object) => {
    const files = {
      'config.json': new TextEncoder().encode(JSON.stringify({ ...config, ...given })),
      'model.safetensors': await data.bytes('model.safetensors'),
    };
    const model = await loadModel(device, files);
    const logits = await model.forward({ inputIds: [[0, 9, 7, 5, 2]] }).logits!.data();
    const { architectures } = model.config;
    model.dispose();
    return { logits, architectures };
  };
  const roberta = await outputOf({});
  const camembert = await outputOf({ model_type: 'camembert', architectures: ['CamembertForMaskedLM'] });
  expect(camembert.logits).toEqual(roberta.logits);
  expect(camembert.architectures).toEqual(['CamembertForMaskedLM']);
});
