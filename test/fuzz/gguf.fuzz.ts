// Fuzzes the reader of GGUF files with arbitrary bytes. It must throw a FormatError, or return tensors inside the file
// whose blocks unpack. The header must be equal after writing and reading it again. To run it for 30 seconds:
//
//   npm run fuzz -- gguf 30
import assert from 'node:assert';
import { FuzzedDataProvider } from '@jazzer.js/core';
import { ggmlLayouts } from '../../src/io/ggml-types.js';
import { type Gguf, parseGguf } from '../../src/io/gguf.js';
import { GgufTexts } from '../../src/io/gguf-values.js';
import { familyOfGguf } from '../../src/models/registry.js';
import { ggufSettings } from '../../src/pretrained/gguf/config.js';
import { GgufMetadata } from '../../src/pretrained/gguf/metadata.js';
import { ggufTokenizerConfig, ggufTokenizerJson } from '../../src/pretrained/gguf/tokenizer.js';
import { ggufWeights } from '../../src/pretrained/gguf/weights.js';
import { orFormatError, withoutTraces } from './checked.js';

/** Number of files made of one input. The fuzzer itself makes few inputs, because it measures the coverage of each. */
const VARIANTS = 2000;
let files = 0;
const architectures = ['llama', 'gemma3', 'gpt2', 'phi3', 'bert', 't5'];
const families = new Map(
  await Promise.all(architectures.map(async (name) => [name, (await familyOfGguf(name)).family] as const)),
);
process.on('exit', () => console.log(`${files} files`));

export function fuzz(bytes: Buffer): Promise<void> {
  const draft = nearlyRight(new FuzzedDataProvider(bytes));
  return withoutTraces(async () => {
    await checkFile(bytes);
    for (const file of variants(draft, bytes)) await checkFile(file);
  });
}

async function checkFile(file: Uint8Array): Promise<void> {
  files++;
  try {
    const gguf = await orFormatError(() => parseGguf(file));
    if (gguf !== undefined) await check(gguf, file);
  } catch (error) {
    console.error(`the file was ${Buffer.from(file).toString('base64')}`);
    throw error;
  }
}

async function check(gguf: Gguf, file: Uint8Array): Promise<void> {
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
  }
  await orFormatError(async () => {
    const metadata = new GgufMetadata(gguf);
    await orFormatError(() => ggufTokenizerJson(metadata));
    await orFormatError(() => ggufTokenizerConfig(metadata));
    const source = { size: file.byteLength, read: () => assert.fail('nothing is read yet') };
    const family = families.get(metadata.architecture);
    if (family !== undefined)
      ggufWeights(gguf, metadata, family.gguf, source, await ggufSettings(gguf, metadata, family, source));
  });
}

/** A file, and where its numbers begin, of 4 or 8 bytes: counts, lengths, types, offsets. */
interface Draft {
  readonly bytes: Uint8Array;
  readonly numbers: readonly number[];
}

/** Yields the file with a few changes: wrong bytes, wrong numbers, another end. */
function* variants({ bytes, numbers }: Draft, given: Uint8Array): Generator<Uint8Array> {
  let state = 1;
  for (const byte of given) state = Math.imul(state ^ byte, 0x01000193) | 1;
  const below = (count: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % count;
  };
  const file = bytes.slice();
  const header = Math.min(bytes.length, (numbers.at(-1) ?? 0) + 64);
  const lies = [0, 1, 2, 3, 7, 9, 31, 32, 33, 255, 256, 2 ** 16, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
  /** Changes the file, or returns another end for it. */
  const change = (): number | undefined => {
    const at = numbers[below(numbers.length)] as number;
    const kind = below(8);
    if (kind === 7) return below(4) === 0 ? below(file.length + 1) : header;
    if (kind < 2) file[below(header)] = below(256);
    else if (kind < 4) file[at] = (file[at] as number) + below(5) - 2;
    else if (kind === 6) file[at + 4 + below(4)] = below(2) * below(256);
    else for (let j = 0, lie = lies[below(lies.length)] as number; j < 4; j++) file[at + j] = lie >>> (8 * j);
    return undefined;
  };
  for (let i = 0; i < VARIANTS; i++) {
    let end = file.length;
    for (let changes = below(4); changes > 0; changes--) end = change() ?? end;
    yield file.subarray(0, end);
    file.set(bytes);
  }
}

const [UINT32, FLOAT32, BOOL, STRING, ARRAY] = [4, 6, 7, 8, 9] as const;
const SIZES: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 2, 3: 2, 10: 8, 11: 8, 12: 8 };
const WORDS = ['<s>', '</s>', 'a', 'b', 'ab', ' a', 'a b', '\u2581', '[CLS]', '', '<0x41>'];
/** The usual texts of some names. Others have words. */
const TEXTS: Readonly<Record<string, string[]>> = {
  'general.architecture': ['llama', 'qwen2', 'gemma3', 'phi3', 'gpt2', 'bert', 't5'],
  'tokenizer.ggml.model': ['llama', 'gpt2', 'bert', 't5'],
};
/** Contents of most files: names, types, and types of lists. */
const ENTRIES: readonly (readonly [key: string, type: number, inner?: number])[] = [
  ['general.architecture', STRING],
  ['tokenizer.ggml.model', STRING],
  ['tokenizer.ggml.tokens', ARRAY, STRING],
  ['tokenizer.ggml.token_type', ARRAY, 5],
  ['tokenizer.ggml.merges', ARRAY, STRING],
  ['tokenizer.ggml.scores', ARRAY, FLOAT32],
  ['tokenizer.ggml.add_bos_token', BOOL],
  ['tokenizer.ggml.bos_token_id', UINT32],
  ['llama.attention.head_count', UINT32],
  ['tokenizer.ggml.pre', STRING],
  ['general.alignment', 10],
  ['tokenizer.ggml.precompiled_charsmap', ARRAY, 0],
];

/** Makes a valid file except for a few wrong values. Mutations of bytes alone seldom reach code behind the first checks. */
function nearlyRight(random: FuzzedDataProvider): Draft {
  const bytes: number[] = [];
  const numbers: number[] = [];
  const lie = () => random.consumeIntegralInRange(0, 255) === 255;
  const number = (value: number, width: 4 | 8) => {
    numbers.push(bytes.length);
    const told = lie() ? random.pickValue([value + 1, 2 ** 31, 2 ** 32 - 1, 0, 7]) : value;
    for (let i = 0; i < 4; i++) bytes.push((told >>> (8 * i)) & 255);
    for (let i = 4; i < width; i++) bytes.push(lie() ? random.consumeIntegral(1) : 0);
  };
  const text = (value: string) => {
    const encoded = new TextEncoder().encode(value);
    number(encoded.byteLength, 8);
    bytes.push(...encoded);
  };
  const value = (type: number) => {
    if (type === STRING) text(random.pickValue(WORDS));
    else if (type === BOOL) bytes.push(random.consumeIntegralInRange(0, 1));
    else if (type === UINT32) number(random.consumeIntegralInRange(0, 4), 4);
    else bytes.push(...random.consumeBytes(SIZES[type] ?? 4));
  };
  const [tensors, entries] = [random.consumeIntegralInRange(0, 3), random.consumeIntegralInRange(0, ENTRIES.length)];
  bytes.push(0x47, 0x47, 0x55, 0x46);
  number(3, 4);
  number(tensors, 8);
  number(entries, 8);
  const words = (type: number) => {
    number(type, 4);
    number(WORDS.length, 8);
    for (const word of WORDS)
      if (type === STRING) text(word);
      else value(type);
  };
  for (const [key, usual, inner = UINT32] of ENTRIES.slice(0, entries)) {
    const type = lie() ? random.consumeIntegralInRange(0, 13) : usual;
    text(lie() ? 'x' : key);
    number(type, 4);
    if (type === STRING) text(random.pickValue(TEXTS[key] ?? WORDS));
    else if (type === ARRAY) words(inner);
    else value(type);
  }
  for (let i = 0; i < tensors; i++) {
    text(random.pickValue(['token_embd.weight', 'blk.0.attn_q.weight', 'blk.0.attn_k.bias', 'output.weight', 'x']));
    const dimensions = random.consumeIntegralInRange(0, 3);
    number(dimensions, 4);
    for (let j = 0; j < dimensions; j++) number(random.pickValue([0, 1, 2, 32, 256]), 8);
    number(random.pickValue([0, 1, 2, 8, 12, 14, 30]), 4);
    number(32 * random.consumeIntegralInRange(0, 4), 8);
  }
  return { bytes: Uint8Array.from([...bytes, ...random.consumeBytes(2048)]), numbers };
}
