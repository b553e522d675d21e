// DeBERTa v2 after ONNX Runtime's optimizer, which computes the keys and the queries of distances ahead. Expected are its
// own outputs (make_onnx_distances.py).
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { ArgumentError } from '../../src/core/errors.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { assertClose, largest } from '../tolerance.js';

interface Case {
  readonly config: Readonly<Record<string, unknown>>;
  readonly files: Readonly<Record<string, { readonly file: string; readonly output: readonly number[] }>>;
}

const path = new URL('onnx-distances.json.gz', import.meta.url);
const { ids, mask, cases } = JSON.parse(gunzipSync(readFileSync(path)).toString()) as {
  ids: number[][];
  mask: number[][];
  cases: Readonly<Record<string, Case>>;
};
const device = await deviceFor(isas.at(-1) as string, 2);
const files = Object.entries(cases).flatMap(([name, { config, files }]) =>
  Object.entries(files).map(([kind, { file, output }]) => ({ name, kind, config, file, output })),
);

it.each(files)('reads $name after $kind', async ({ kind, config, file, output }) => {
  const model = await loadModel(device, {
    'config.json': new TextEncoder().encode(JSON.stringify(config)),
    'onnx/model.onnx': Uint8Array.from(Buffer.from(file, 'base64')),
  });
  const hidden = model.forward({ inputIds: ids, attentionMask: mask }).lastHiddenState!;
  const width = hidden.shape.at(-1)!;
  const values = [...(await hidden.data())].map((value, i) => (mask.flat()[Math.floor(i / width)] ? value : 0));
  const limit = (kind === 'float16' ? 5e-3 : 1e-5) * largest(output);
  assertClose('output', values, output, () => limit);
  await expect(model.save('/nowhere')).rejects.toThrow(ArgumentError);
  await expect(model.save('/nowhere')).rejects.toThrow(
    'save: the optimizer of the ONNX file has replaced rel_embeddings by products',
  );
  model.dispose();
});
