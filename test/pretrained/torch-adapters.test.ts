// Adapters of PEFT of which the folder has only adapter_model.bin.
import { expect, it } from 'vitest';
import { parseSafetensors } from '../../src/io/safetensors.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { largest } from '../tolerance.js';

const data = testData('formats/bin');
/** Error of float32 results against float64, relative to the largest value: the bound of reference.ts. */
const LIMIT = 2e-4;

it.each(['lora-llama', 'lora-llama-patterns', 'lora-gpt2'])('%s gives the logits of PEFT', async (name) => {
  const { tensors } = parseSafetensors(await data.bytes(`${name}/expected.safetensors`));
  const rowsOf = (key: string) => {
    const entry = tensors.get(key)!;
    const { shape } = entry;
    const width = shape[1] as number;
    return Array.from({ length: shape[0] as number }, (_, i) =>
      Array.from(entry.data().subarray(i * width, (i + 1) * width) as Int32Array),
    );
  };
  const device = await deviceFor(isas.at(-1) as string, 2);
  const onWarning = (message: string) => {
    throw new Error(message);
  };
  const folder = `${data.path}/${name}`;
  const model = await loadModel(device, `${folder}/adapter`, { baseModel: `${folder}/base`, onWarning });
  const attentionMask = rowsOf('attention_mask');
  const { logits } = model.forward({ inputIds: rowsOf('input_ids'), attentionMask });
  const found = (await logits!.data()) as Float32Array;
  const expected = tensors.get('logits')!.data() as Float32Array;
  const vocabulary = logits!.shape[2] as number;
  const isToken = attentionMask.flat();
  const bound = LIMIT * largest(expected);
  for (const [i, value] of expected.entries())
    if (isToken[Math.floor(i / vocabulary)] === 1)
      expect(Math.abs((found[i] as number) - value), `logit ${i}`).toBeLessThan(bound);
  model.dispose();
});
