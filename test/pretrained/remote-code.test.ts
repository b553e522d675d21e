// Repositories that bring their own code for Python, of families that are known here.
import { expect, it } from 'vitest';
import { loadModel } from '../../src/index.js';
import type { LoadedModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';

it.each([
  ['GTE of the model type new, with its scaling of positions', 'gte-new'],
  ["Jina's BERT with linear biases and a gated network", 'jina-bert'],
  ["Jina's BERT for code, with norms of queries and keys", 'jina-bert-code'],
])('%s', async (_, name) => {
  const data = testData('remote-code');
  const expected = await data.json<{
    input_ids: number[][];
    last_hidden_state: number[][][];
    pooler_output: number[][];
  }>(`${name}/expected.json`);
  const device = await deviceFor(isas.at(-1) as string, 2);
  const onWarning = (message: string) => {
    throw new Error(message);
  };
  const model = await loadModel<LoadedModel>(device, `${data.path}/${name}`, { onWarning });
  const { lastHiddenState, poolerOutput } = model.forward({ inputIds: expected.input_ids });
  for (const [output, truth] of [
    [lastHiddenState, expected.last_hidden_state],
    [poolerOutput, expected.pooler_output],
  ] as const) {
    const found = await output!.data();
    const values = truth.flat(2) as number[];
    expect(found).toHaveLength(values.length);
    // Two layers of float32 after float64, of values up to 4.
    for (const [i, value] of values.entries()) expect(Math.abs((found[i] as number) - value)).toBeLessThan(2e-5);
  }
  model.dispose();
});
