// The choice of a model's tokenizers by commands.

import { copyFile, cp, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../src/cli/common.js';
import { tokenizersOf } from '../../src/cli/encoding.js';
import { CharTokenizer, createDevice, type Device, Transformer, type TransformerOptions } from '../../src/index.js';
import { simdformer, temporaryFolder } from './run-cli.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let device: Device;
beforeAll(async () => {
  folder = await temporaryFolder();
  device = await createDevice({ threads: 1 });
});
afterAll(async () => {
  device.dispose();
  await folder.remove();
});

const three = CharTokenizer.train('abc');
const five = CharTokenizer.train('abcde');

function modelOf(sizes: TransformerOptions, tokenizers: Transformer['tokenizers']): Transformer {
  const model = new Transformer(device, { dModel: 8, heads: 1, encoderLayers: 0, decoderLayers: 0, ...sizes });
  model.tokenizers = tokenizers;
  return model;
}

describe('tokenizersOf', () => {
  const both = { encoderLayers: 1, decoderLayers: 1 };
  const decoder = { decoderLayers: 1, targetVocab: 3 };

  it('are those of the shipped model', async () => {
    const model = await loadModel(device, 'g2p-en');
    expect(tokenizersOf(model)).toEqual(model.tokenizers);
  });

  it.each<[string, TransformerOptions, Transformer['tokenizers'], Transformer['tokenizers']]>([
    [
      'one of each side',
      { ...both, sourceVocab: 3, targetVocab: 5 },
      { source: three, target: five },
      { source: three, target: five },
    ],
    [
      'one for both sides',
      { ...both, sourceVocab: 3, targetVocab: 3 },
      { source: three },
      { source: three, target: three },
    ],
    ['of a decoder', decoder, { target: three }, { source: three, target: three }],
    ['of a decoder, by the other name', decoder, { source: three }, { source: three, target: three }],
    [
      'of a decoder, with another that it does not use',
      decoder,
      { source: five, target: three },
      { source: three, target: three },
    ],
    [
      'of an encoder',
      { encoderLayers: 1, sourceVocab: 3, targetVocab: 7 },
      { source: three },
      { source: three, target: three },
    ],
    [
      'with fewer tokens than a rounded model',
      { decoderLayers: 1, targetVocab: 64 },
      { target: three },
      { source: three, target: three },
    ],
  ])('may be %s', (_, sizes, tokenizers, expected) => {
    const found = tokenizersOf(modelOf(sizes, tokenizers));
    expect(found.source).toBe(expected.source);
    expect(found.target).toBe(expected.target);
  });

  it.each<[string, TransformerOptions, Transformer['tokenizers'], string]>([
    ['none', { ...both, sourceVocab: 3, targetVocab: 5 }, {}, 'the model was saved without its tokenizer'],
    [
      'no target',
      { ...both, sourceVocab: 3, targetVocab: 5 },
      { source: three },
      'the model was saved without its target tokenizer',
    ],
    [
      'no source',
      { ...both, sourceVocab: 3, targetVocab: 5 },
      { target: five },
      'the model was saved without its source tokenizer',
    ],
    ['too many tokens', decoder, { target: five }, 'the model has 3 target tokens, but its target tokenizer 5'],
    [
      'too few tokens',
      { encoderLayers: 1, sourceVocab: 5 },
      { source: three },
      'the model has 5 source tokens, but its source tokenizer 3',
    ],
  ])('are refused: %s', (_, sizes, tokenizers, message) => {
    expect(() => tokenizersOf(modelOf(sizes, tokenizers))).toThrow(message);
  });

  it('are missed by commands', async () => {
    await cp(fileURLToPath(new URL('../../models/g2p-en', import.meta.url)), folder.at('half'), { recursive: true });
    await cp(folder.at('half'), folder.at('foreign'), { recursive: true });
    await rm(folder.at('half/target-tokenizer.json'));
    await copyFile(folder.at('foreign/source-tokenizer.json'), folder.at('foreign/target-tokenizer.json'));
    const commands = [['run'], ['attention'], ['score', 'HH']] as const;
    const ended = await Promise.all(
      ['half', 'foreign'].flatMap((model) =>
        commands.map(([name, ...more]) => simdformer([name, folder.at(model), 'hello', ...more])),
      ),
    );
    const half = /^simdformer: the model was saved without its target tokenizer$/m;
    const foreign =
      /^simdformer: the model has 42 target tokens, but its target tokenizer 30: that is another model's$/m;
    for (const [i, { code, stdout, stderr }] of ended.entries()) {
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(i < commands.length ? half : foreign);
    }
  });
});
