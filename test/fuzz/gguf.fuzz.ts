// What the reader of GGUF files makes of arbitrary bytes: a FormatError, or tensors that lie inside the file, whose blocks
// unpack, and a header that says the same when it is written and read again. To run it for 30 seconds:
//   npm run fuzz -- gguf 30
import assert from 'node:assert';
import { FuzzedDataProvider } from '@jazzer.js/core';
import { FormatError } from '../../src/core/errors.js';
import { ggmlLayouts } from '../../src/io/ggml-types.js';
import { readableTypes, unpackBlocks } from '../../src/io/ggml-unpack.js';
import { type Gguf, parseGguf } from '../../src/io/gguf.js';
import { GgufTexts } from '../../src/io/gguf-values.js';
import { architectureNamed } from '../../src/pretrained/gguf/architectures.js';
import { GgufMetadata } from '../../src/pretrained/gguf/metadata.js';
import { ggufTokenizerConfig, ggufTokenizerJson } from '../../src/pretrained/gguf/tokenizer.js';
import { ggufWeights } from '../../src/pretrained/gguf/weights.js';

export function fuzz(bytes: Buffer): void {
  for (const file of [bytes, nearlyRight(new FuzzedDataProvider(bytes))]) {
    const gguf = orFormatError(() => parseGguf(file));
    if (gguf !== undefined) check(gguf, file);
  }
}

function orFormatError<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return undefined;
  }
}

function check(gguf: Gguf, file: Uint8Array): void {
  let texts = 0;
  for (const value of gguf.metadata.values()) {
    if (value instanceof GgufTexts) texts += value.toArray().length;
    else if (typeof value === 'object') texts += value.length;
  }
  assert.ok(texts <= file.byteLength);
  for (const { type, shape, position, byteLength } of gguf.tensors.values()) {
    assert.ok(position >= 0 && position + byteLength <= file.byteLength);
    const size = shape.reduce((product, n) => product * n, 1);
    assert.equal(byteLength, (size / ggmlLayouts[type].elements) * ggmlLayouts[type].bytes);
    if (!readableTypes.includes(type)) continue;
    const values = new Float32Array(size);
    unpackBlocks(type, file.subarray(position, position + byteLength), values);
  }
  orFormatError(() => {
    const metadata = new GgufMetadata(gguf);
    orFormatError(() => ggufTokenizerJson(metadata));
    orFormatError(() => ggufTokenizerConfig(metadata));
    const source = { size: file.byteLength, read: () => assert.fail('nothing is read yet') };
    ggufWeights(gguf, metadata, architectureNamed(metadata.architecture), source);
  });
}

/** A file that is right but for a few lies, where mutations of bytes alone seldom arrive. */
function nearlyRight(random: FuzzedDataProvider): Uint8Array {
  const bytes: number[] = [];
  const lie = () => random.consumeIntegralInRange(0, 31) === 31;
  const number = (value: number, width: 4 | 8) => {
    const told = lie() ? random.pickValue([value + 1, 2 ** 31, 2 ** 32 - 1, 0, 7]) : value;
    for (let i = 0; i < 4; i++) bytes.push((told >>> (8 * i)) & 255);
    for (let i = 4; i < width; i++) bytes.push(lie() ? random.consumeIntegral(1) : 0);
  };
  const text = (value: string) => {
    const encoded = new TextEncoder().encode(value);
    number(encoded.byteLength, 8);
    bytes.push(...encoded);
  };
  const keys = ['general.architecture', 'general.alignment', 'tokenizer.ggml.model', 'tokenizer.ggml.tokens'];
  const others = [
    'tokenizer.ggml.scores',
    'tokenizer.ggml.token_type',
    'llama.attention.head_count',
    'tokenizer.ggml.pre',
  ];
  const words = ['llama', 'gpt2', 'bert', 't5', 'qwen2', 'default', '<s>', 'a', 'b', 'ab', '▁', ''];
  const [tensors, entries] = [random.consumeIntegralInRange(0, 3), random.consumeIntegralInRange(0, 6)];
  bytes.push(0x47, 0x47, 0x55, 0x46);
  number(3, 4);
  number(tensors, 8);
  number(entries, 8);
  for (let i = 0; i < entries; i++) {
    text(random.pickValue([...keys, ...others, 'x']));
    const type = random.pickValue([4, 5, 6, 7, 8, 8, 9, 9, 10, 12]);
    number(type, 4);
    if (type === 8) text(random.pickValue(words));
    else if (type === 9) {
      const [inner, count] = [random.pickValue([0, 5, 6, 7, 8, 8]), random.consumeIntegralInRange(0, 4)];
      number(inner, 4);
      number(count, 8);
      for (let j = 0; j < count; j++) {
        if (inner === 8) text(random.pickValue(words));
        else bytes.push(...random.consumeBytes({ 0: 1, 7: 1 }[inner] ?? 4));
      }
    } else bytes.push(...random.consumeBytes({ 7: 1, 10: 8, 12: 8 }[type] ?? 4));
  }
  for (let i = 0; i < tensors; i++) {
    text(random.pickValue(['token_embd.weight', 'blk.0.attn_q.weight', 'blk.0.attn_k.bias', 'output.weight', 'x']));
    const dimensions = random.consumeIntegralInRange(0, 3);
    number(dimensions, 4);
    for (let j = 0; j < dimensions; j++) number(random.pickValue([0, 1, 2, 32, 256]), 8);
    number(random.pickValue([0, 1, 2, 8, 12, 14, 30]), 4);
    number(32 * random.consumeIntegralInRange(0, 4), 8);
  }
  return Uint8Array.from([...bytes, ...random.consumeBytes(2048)]);
}
