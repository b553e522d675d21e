// Vocabularies of GGUF files: which tokens end a text, how texts are split into words, and Gemma 4's kind of tokenizer.
// The exceptions are llama.cpp's.
import { expect, it } from 'vitest';
import { loadModel, loadTokenizer } from '../../src/index.js';
import { parseGguf } from '../../src/io/gguf.js';
import { type GgufEntry, ggufParts } from '../../src/io/gguf-writer.js';
import { endIds } from '../../src/pretrained/gguf/end-tokens.js';
import { GgufMetadata } from '../../src/pretrained/gguf/metadata.js';
import { preTokenizerNamed } from '../../src/pretrained/gguf/pre-tokenizers.js';
import { ggufTokenizerJson } from '../../src/pretrained/gguf/tokenizer.js';
import { parseTokenizer } from '../../src/tokenizers/huggingface.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';

const [NORMAL, CONTROL, USER_DEFINED, BYTE] = [1, 3, 4, 6];

async function fileOf(entries: ReadonlyMap<string, GgufEntry>): Promise<Blob> {
  const chunks: Uint8Array[] = [];
  for await (const part of ggufParts(entries, [])) chunks.push(part.slice());
  return new Blob(chunks as BlobPart[]);
}

async function metadataOf(entries: Record<string, GgufEntry>): Promise<GgufMetadata> {
  const named = Object.entries(entries).map(([key, value]) => [`tokenizer.ggml.${key}`, value] as const);
  const file = await fileOf(new Map<string, GgufEntry>([['general.architecture', { string: 'llama' }], ...named]));
  return new GgufMetadata(parseGguf(new Uint8Array(await file.arrayBuffer())));
}

function messageOf(throws: () => unknown): string {
  try {
    throws();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('nothing was thrown');
}

it.each<[string, (string | [string, number])[], number[]]>([
  ['control tokens with known texts', ['a', '<|im_end|>', ['<|end|>', NORMAL]], [1]],
  ['a message of gpt-oss ends no text', ['<|return|>', '<|end|>', '<|call|>'], [0, 2]],
  ['Phi ends texts with <|end|>', ['<|end|>', '<|endoftext|>'], [0, 1]],
  ['Gemma 4 has an ordinary </s>', ['</s>', '<turn|>', ['<|tool_response>', USER_DEFINED]], [1, 2]],
  ['the end of Llama', ['<s>', '</s>'], [1]],
])('%s', async (_, given, ids) => {
  const tokens = given.map((each) => (Array.isArray(each) ? each : ([each, CONTROL] as const)));
  const metadata = await metadataOf({
    tokens: { strings: tokens.map(([token]) => token) },
    token_type: { int32s: tokens.map(([, kind]) => kind) },
  });
  expect(endIds(metadata).sort((a, b) => a - b)).toEqual(ids);
});

it("reads Gemma 4's BPE: spaces are marked, lines are split, other characters become bytes", async () => {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const own = ['<bos>', '\u2581', 'a', 'b', '\u2581a', '\u2581ab', '\n', '\n\n'];
  const metadata = await metadataOf({
    model: { string: 'gemma4' },
    tokens: { strings: [...own, ...bytes] },
    token_type: { int32s: [CONTROL, ...own.slice(1).map(() => NORMAL), ...bytes.map(() => BYTE)] },
    merges: { strings: ['\u2581 a', '\u2581a b', '\n \n'] },
    bos_token_id: { uint32: 0 },
    add_bos_token: { bool: true },
  });
  const tokenizer = await parseTokenizer(await ggufTokenizerJson(metadata));
  const text = 'b ab\n\n\u00e9a';
  const ids = tokenizer.encode(text, { addSpecial: true });
  expect(ids).toEqual([0, 3, 5, 7, own.length + 0xc3, own.length + 0xa9, 2]);
  expect(tokenizer.decode(ids, { skipSpecial: true })).toBe(text);
});

it('splits text into words as llama.cpp does, by every name of a rule', async () => {
  const data = testData('gguf/pre-tokenizers');
  const { tokens, merges } = await data.json<{ tokens: string[]; merges: string[] }>('vocabulary.json');
  const { text, rules } = await data.json<{ text: string; rules: { names: string[]; ids: number[] }[] }>('ids.json');
  for (const { names, ids } of rules) {
    for (const name of names) {
      const metadata = await metadataOf({
        model: { string: 'gpt2' },
        pre: { string: name },
        tokens: { strings: tokens },
        merges: { strings: merges },
      });
      const tokenizer = await parseTokenizer(await ggufTokenizerJson(metadata));
      expect(tokenizer.encode(text), name).toEqual(ids);
    }
  }
  const known = messageOf(() => preTokenizerNamed('none'))
    .split('expected one of ')[1]
    ?.split(', ');
  const tested = [...rules.flatMap(({ names }) => names), 'tiny_aya', 'cohere2moe']; // see make.py
  expect(tested.sort()).toEqual(known?.sort());
});

it('special tokens of Phi-3 remove the spaces after them, except those at the beginning of texts', async () => {
  const entries = new Map<string, GgufEntry>([
    ['general.architecture', { string: 'phi3' }],
    ['tokenizer.ggml.model', { string: 'llama' }],
    ['tokenizer.ggml.tokens', { strings: ['<unk>', '<s>', '<|end|>', '\u2581', 'a', '\u2581a'] }],
    ['tokenizer.ggml.scores', { float32s: [0, 0, 0, -1, -2, -3] }],
    ['tokenizer.ggml.token_type', { int32s: [2, CONTROL, CONTROL, NORMAL, NORMAL, NORMAL] }],
    ['tokenizer.ggml.add_space_prefix', { bool: false }],
  ]);
  const tokenizer = await loadTokenizer({ 'model.gguf': await fileOf(entries) });
  expect(tokenizer.encode('<|end|>  a<s> a')).toEqual([2, 4, 1, 5]);
});

it('loads only the tokenizer from a file without tensors, of any architecture', async () => {
  const entries = new Map<string, GgufEntry>([
    ['general.architecture', { string: 'baichuan' }],
    ['tokenizer.ggml.model', { string: 'llama' }],
    ['tokenizer.ggml.tokens', { strings: ['<unk>', '\u2581', 'a'] }],
  ]);
  const files = { 'model.gguf': await fileOf(entries) };
  expect((await loadTokenizer(files)).encode('a')).toEqual([1, 2]);
  const device = await deviceFor(isas[0] as string, 1);
  await expect(loadModel(device, files)).rejects.toThrow(
    /has no tensors, only a vocabulary: load it with loadTokenizer/,
  );
});
