// Files may have an output projection of their own, although config.json ties it to the embedding, as quantized ONNX files of
// masked language models do. Then the model uses it, as transformers does.
import { expect, it } from 'vitest';
import { parseSafetensors, type SafetensorsArray, serializeSafetensors } from '../../src/io/safetensors.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';

const data = testData('families');
const device = await deviceFor(isas.at(-1) as string, 2);

it.each([
  ['bert-mlm', 'bert.embeddings.word_embeddings.weight', 'cls.predictions.decoder.weight', 'cls.predictions.bias'],
  ['distilbert-mlm', 'distilbert.embeddings.word_embeddings.weight', 'vocab_projector.weight', 'vocab_projector.bias'],
  ['roberta-mlm', 'roberta.embeddings.word_embeddings.weight', 'lm_head.decoder.weight', 'lm_head.bias'],
  ['modernbert-mlm', 'model.embeddings.tok_embeddings.weight', 'decoder.weight', 'decoder.bias'],
])('%s', async (name, embedding, output, bias) => {
  const tensors = new Map<string, SafetensorsArray>();
  for (const [key, entry] of parseSafetensors(await data.bytes(`${name}/model.safetensors`)).tensors)
    tensors.set(key, { dtype: entry.dtype, shape: entry.shape, data: entry.data() });
  const table = tensors.get(embedding)!;
  const logits = async (factor: number | null) => {
    const own: SafetensorsArray = { ...table, data: (table.data as Float32Array).map((value) => value * factor!) };
    const files = {
      'config.json': await data.bytes(`${name}/config.json`),
      'model.safetensors': serializeSafetensors(factor === null ? tensors : new Map(tensors).set(output, own)),
    };
    const onWarning = (warning: string) => expect.unreachable(warning);
    using model = await loadModel(device, files, { onWarning });
    return (await model.forward({ inputIds: [[5, 9, 14, 3]] }).logits!.data()) as Float32Array;
  };
  const [tied, same, twice] = [await logits(null), await logits(1), await logits(2)];
  expect(same).toEqual(tied);
  const biases = tensors.get(bias)!.data as Float32Array;
  for (const [i, value] of twice.entries()) {
    const offset = biases[i % biases.length]!;
    expect(value - offset).toBeCloseTo(2 * (tied[i]! - offset), 4);
  }
});

// Files store a shared tensor under any of its names; torch.export keeps the last one.
it.each([
  ['bert-mlm', 'cls.predictions.bias', 'cls.predictions.decoder.bias'],
  ['roberta-mlm', 'lm_head.bias', 'lm_head.decoder.bias'],
])('%s: the bias of words may have the name of the output projection', async (name, bias, other) => {
  const entries = [...parseSafetensors(await data.bytes(`${name}/model.safetensors`)).tensors];
  const logits = async (given: string) => {
    const tensors = entries.map(([key, entry]): [string, SafetensorsArray] => [
      key === bias ? given : key,
      { dtype: entry.dtype, shape: entry.shape, data: entry.data() },
    ]);
    const files = {
      'config.json': await data.bytes(`${name}/config.json`),
      'model.safetensors': serializeSafetensors(new Map(tensors)),
    };
    const onWarning = (warning: string) => expect.unreachable(warning);
    using model = await loadModel(device, files, { onWarning });
    return await model.forward({ inputIds: [[5, 9, 14, 3]] }).logits!.data();
  };
  expect(await logits(other)).toEqual(await logits(bias));
});
