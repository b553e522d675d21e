// Saved models have the tensors that they were loaded from, by the names, shapes and values of transformers.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseSafetensors } from '../../src/io/safetensors.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { filesOf } from './reference.js';

const data = testData('families');

/** Tensors that follow from the config, which transformers writes for some models. */
const IMPLIED = /\.(position_ids|token_type_ids|relative_position_index)$/;

it.each(['clap', 'deberta', 'layoutlmv3', 'led', 'longformer', 'mobilebert', 'roformer', 'xlnet'])(
  '%s',
  async (name) => {
    const files = await filesOf(data, name);
    const model = await loadModel(await deviceFor(isas[0] as string, 2), files);
    const folder = await mkdtemp(join(tmpdir(), 'simdformer-save-'));
    try {
      await model.save(folder);
      const saved = parseSafetensors(new Uint8Array(await readFile(join(folder, 'model.safetensors')))).tensors;
      const all = parseSafetensors(files['model.safetensors'] as Uint8Array).tensors;
      const given = new Map([...all].filter(([key]) => !IMPLIED.test(key)));
      expect([...saved.keys()].sort()).toEqual([...given.keys()].sort());
      for (const [key, entry] of given) {
        expect(saved.get(key)?.shape, key).toEqual(entry.shape);
        expect(saved.get(key)?.data(), key).toEqual(entry.data());
      }
      const config = async (from: Uint8Array | string) => JSON.parse(new TextDecoder().decode(from as Uint8Array));
      const own = await config(new Uint8Array(await readFile(join(folder, 'config.json'))));
      expect(own.architectures).toEqual((await config(files['config.json'] as Uint8Array)).architectures);
    } finally {
      await rm(folder, { recursive: true });
      model.dispose();
    }
  },
);
