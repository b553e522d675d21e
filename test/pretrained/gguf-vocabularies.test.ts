// Vocabularies of GGUF files: which tokens end a text, and Gemma 4's kind of tokenizer. The exceptions are llama.cpp's.
import { expect, it } from 'vitest';
import { parseGguf } from '../../src/io/gguf.js';
import { type GgufEntry, ggufParts } from '../../src/io/gguf-writer.js';
import { endIds } from '../../src/pretrained/gguf/end-tokens.js';
import { GgufMetadata } from '../../src/pretrained/gguf/metadata.js';
import { ggufTokenizerJson } from '../../src/pretrained/gguf/tokenizer.js';
import { parseTokenizer } from '../../src/tokenizers/huggingface.js';

const [NORMAL, CONTROL, USER_DEFINED, BYTE] = [1, 3, 4, 6];

async function metadataOf(entries: Record<string, GgufEntry>): Promise<GgufMetadata> {
  const named = Object.entries(entries).map(([key, value]) => [`tokenizer.ggml.${key}`, value] as const);
  const all = new Map<string, GgufEntry>([['general.architecture', { string: 'llama' }], ...named]);
  const chunks: Uint8Array[] = [];
  for await (const part of ggufParts(all, [])) chunks.push(part.slice());
  return new GgufMetadata(parseGguf(new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer())));
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
