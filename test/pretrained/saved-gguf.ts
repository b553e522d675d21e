// Saves models as GGUF files, for tests that load them again.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { saveGguf } from '../../src/pretrained/index.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';

const ids = [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]];
/** Logits, or the vectors of tokens of a model without a head. */
export const logitsOf = (model: PretrainedModel) => {
  const { logits, lastHiddenState } = model.forward({ inputIds: ids });
  return (logits ?? lastHiddenState)!.dataSync() as Float32Array;
};

/** The device and the path that the tests of a file share, and a function that saves models there. Call it once per file. */
export async function ggufSaver() {
  const device = await deviceFor(isas.at(-1) as string, 2);
  const folder = mkdtempSync(join(tmpdir(), 'gguf-families-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'model.gguf');
  /** The file that `saveGguf` writes for a folder's model. */
  const saved = async (files: Record<string, Uint8Array>): Promise<{ file: Uint8Array; logits: Float32Array }> => {
    const model = (await loadModel(device, files, { onWarning: () => {} })) as PretrainedModel;
    await saveGguf(model, path);
    const logits = logitsOf(model).slice();
    model.dispose();
    return { file: new Uint8Array(readFileSync(path)), logits };
  };
  return { device, path, saved };
}

/** Halves have 11 bits. A model of a few layers adds up as many roundings as it has matrices in a row. */
export const HALVES = 2 ** -11 * 40;
