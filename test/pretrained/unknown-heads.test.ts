// Heads of transformers that no family has: refused by name. Their bodies load on request.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';

const data = testData('families/bert-mlm');
const device = await deviceFor(isas[0] as string, 2);
const filesOf = async (name: string) => ({
  'config.json': new TextEncoder().encode(
    JSON.stringify({ ...(await data.json<object>('config.json')), architectures: [name] }),
  ),
  'model.safetensors': await data.bytes('model.safetensors'),
});
const onWarning = () => {};

// All such classes of transformers 5.24 are in the families of this library.
it.each([
  'BertForMultipleChoice',
  'GPT2DoubleHeadsModel',
  'ViTForMaskedImageModeling',
  'RfDetrForInstanceSegmentation',
  'SpeechT5ForSpeechToSpeech',
  'SpeechT5ForSpeechToText',
  'UniSpeechSatForPreTraining',
  'Wav2Vec2ForPreTraining',
])('%s', async (name) => {
  const message = `config.json: the head of ${name} is not supported, expected one for masked-language-model, `;
  await expect(loadModel(device, await filesOf(name), { onWarning })).rejects.toThrow(message);
});

it('loads the body on request, and saves it as one', async () => {
  const model = await loadModel(device, await filesOf('BertForMultipleChoice'), { head: 'none', onWarning });
  expect(model.headKind).toBe('none');
  const folder = mkdtempSync(join(tmpdir(), 'body-'));
  await model.save(folder);
  model.dispose();
  const { architectures } = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as {
    architectures: string[];
  };
  rmSync(folder, { recursive: true });
  expect(architectures).toEqual(['BertModel']);
});
