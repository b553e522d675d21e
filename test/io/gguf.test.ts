import { expect, it } from 'vitest';
import { FormatError } from '../../src/core/errors.js';
import { parseGguf, readGguf } from '../../src/io/gguf.js';
import { GgufTexts } from '../../src/io/gguf-values.js';
import { type GgufEntry, type GgufPart, ggufParts } from '../../src/io/gguf-writer.js';

const metadata = new Map<string, GgufEntry>([
  ['general.architecture', { string: 'llama' }],
  ['a.number', { uint32: 7 }],
  ['a.float', { float32: 0.5 }],
  ['a.flag', { bool: true }],
  ['some.texts', { strings: ['a', '', 'ü\u2581', 'more than twenty-four letters in a text'] }],
  ['some.floats', { float32s: [1, -2.5] }],
  ['some.ints', { int32s: [-1, 3] }],
  ['some.bytes', { uint8s: [0, 255] }],
]);
const tensors = [
  {
    name: 'matrix',
    type: 'F32' as const,
    shape: [2, 3],
    bytes: () => new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer),
  },
  { name: 'blocks', type: 'Q8_0' as const, shape: [2, 32], bytes: () => new Uint8Array(68).fill(3) },
];
async function ggufBytes(metadata: ReadonlyMap<string, GgufEntry>, tensors: readonly GgufPart[]): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of ggufParts(metadata, tensors)) parts.push(part);
  return new Uint8Array(Buffer.concat(parts));
}

const file = await ggufBytes(metadata, tensors);

it('reads written files', () => {
  const gguf = parseGguf(file);
  expect(gguf.version).toBe(3);
  const values = [...gguf.metadata].map(([name, value]) => [
    name,
    value instanceof GgufTexts ? value.toArray() : value,
  ]);
  expect(Object.fromEntries(values)).toEqual({
    'general.architecture': 'llama',
    'a.number': 7,
    'a.float': 0.5,
    'a.flag': true,
    'some.texts': ['a', '', 'ü\u2581', 'more than twenty-four letters in a text'],
    'some.floats': Float32Array.of(1, -2.5),
    'some.ints': Int32Array.of(-1, 3),
    'some.bytes': Uint8Array.of(0, 255),
  });
  const { position, ...matrix } = gguf.tensors.get('matrix')!;
  expect(matrix).toEqual({ name: 'matrix', type: 'F32', shape: [2, 3], byteLength: 24 });
  expect(new Float32Array(file.slice(position, position + 24).buffer)).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6));
  expect(gguf.tensors.get('blocks')!.byteLength).toBe(68);
});

it('reads a file whose header is longer than the first read', async () => {
  const texts = Array.from({ length: 200_000 }, (_, i) => `token ${i}`);
  const long = await ggufBytes(new Map<string, GgufEntry>([...metadata, ['tokens', { strings: texts }]]), tensors);
  let max = 0;
  const gguf = await readGguf({
    size: long.byteLength,
    read: () => expect.fail('it is asked to block'),
    async readAsync(position, into) {
      max = Math.max(max, into.byteLength);
      into.set(long.subarray(position, position + into.byteLength));
    },
  });
  expect((gguf.metadata.get('tokens') as GgufTexts).toArray()).toEqual(texts);
  expect(max).toBeLessThanOrEqual(long.byteLength);
});

it('reads a Buffer of Node without copies', () => {
  expect(parseGguf(Buffer.from(file)).metadata.get('some.ints')).toEqual(Int32Array.of(-1, 3));
});

it('refuses every file that is cut short', () => {
  for (let length = 0; length < file.byteLength - 32; length++)
    expect(() => parseGguf(file.slice(0, length)), `${length} bytes`).toThrow(FormatError);
});

/** The file with so many bytes of a little-endian number at a place. */
function lying(at: number, value: bigint, bytes: 4 | 8 = 8): Uint8Array {
  const copy = file.slice();
  const view = new DataView(copy.buffer);
  if (bytes === 8) view.setBigUint64(at, value, true);
  else view.setUint32(at, Number(value), true);
  return copy;
}
const placeOf = (text: string) => Buffer.from(file).indexOf(text) + text.length;

const lies: readonly (readonly [what: string, file: Uint8Array, message: RegExp])[] = [
  ['another format', lying(0, 0x04034b50n, 4), /does not begin with GGUF/],
  ['version 1', lying(4, 1n, 4), /version 1, expected 2 or 3/],
  ['big-endian', lying(4, 0x03000000n, 4), /big-endian/],
  ['too many tensors', lying(8, 2n ** 40n), /number of tensors claims 1099511627776 entries/],
  ['more tensors than a number holds', lying(8, 2n ** 63n), /expected less than 2⁵³/],
  ['too many metadata entries', lying(16, 2n ** 40n), /number of metadata entries claims/],
  ['a long name', lying(24, 2n ** 40n), /name of metadata entry 0 claims/],
  ['an unknown type', lying(placeOf('a.number'), 13n, 4), /"a.number" is of type 13/],
  ['a list of lists', lying(placeOf('some.ints') + 4, 9n, 4), /list of lists/],
  ['a long list of numbers', lying(placeOf('some.floats') + 8, 2n ** 50n), /"some.floats" claims/],
  ['a long list of texts', lying(placeOf('some.texts') + 8, 2n ** 50n), /"some.texts" claims/],
  ['a long text in a list', lying(placeOf('some.texts') + 16, 2n ** 50n), /"some.texts" claims/],
  ['neither true nor false', lying(placeOf('a.flag') + 4, 2n, 4), /neither 0 nor 1/],
  ['many dimensions', lying(placeOf('matrix'), 5n, 4), /5 dimensions, expected at most 4/],
  ['a huge shape', lying(placeOf('matrix') + 4, 2n ** 52n), /too large for any file/],
  ['a shape beyond the end', lying(placeOf('matrix') + 4, 2n ** 20n), /ends at byte/],
  ['rows of broken blocks', lying(placeOf('blocks') + 4, 33n), /rows of 33 elements, expected a multiple of 32/],
  ['a type that there is not', lying(placeOf('blocks') + 20, 4n, 4), /type 4, which ggml does not define/],
  ['an odd place', lying(placeOf('blocks') + 24, 7n), /expected a multiple of 32/],
  ['a place beyond the end', lying(placeOf('blocks') + 24, 2n ** 50n), /ends at byte/],
  [
    'a name twice',
    Uint8Array.from(Buffer.from(Buffer.from(file).toString('latin1').replace('blocks', 'matrix'), 'latin1')),
    /has the tensor "matrix" twice/,
  ],
];
/** A file with tensors of 4 PiB each, one for each type. */
const huge = (types: readonly number[]) => {
  const bytes = [Buffer.from('GGUF'), number32(3), number64(BigInt(types.length)), number64(0n)];
  for (const [i, type] of types.entries())
    bytes.push(
      number64(1n),
      Buffer.from(`${i}`),
      number32(2),
      number64(2n ** 25n),
      number64(2n ** 25n),
      number32(type),
      number64(0n),
    );
  return new Uint8Array(Buffer.concat(bytes));
};
const aligned = await ggufBytes(new Map([['general.alignment', { uint32: 32 }]]), tensors);
const withAlignment = (value: number) => {
  const copy = aligned.slice();
  const key = 'general.alignment';
  new DataView(copy.buffer).setUint32(Buffer.from(copy).indexOf(key) + key.length + 4, value, true);
  return copy;
};
const number32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
const number64 = (value: bigint) => Buffer.from(BigUint64Array.of(value).buffer);

/** Patterns of published vulnerabilities of other readers: sums and products that wrap in 64 bits, and an alignment of 0. */
const MAX = 2n ** 64n - 1n;
const wrapping: typeof lies = [
  ['a file of 4 bytes (CVE-2024-39720)', file.slice(0, 4), /bytes/],
  ['2^64 - 1 tensors (CVE-2024-21836)', lying(8, MAX), /expected less than 2⁵³/],
  ['2^64 - 1 metadata entries (CVE-2024-23605)', lying(16, MAX), /expected less than 2⁵³/],
  [
    'a name of 2^64 - 1 bytes, which are 0 with a terminator (CVE-2024-23496)',
    lying(24, MAX),
    /expected less than 2⁵³/,
  ],
  ['a list of 2^64 - 1 texts (CVE-2024-21825)', lying(placeOf('some.texts') + 8, MAX), /expected less than 2⁵³/],
  [
    '2^32 - 1 dimensions (CVE-2024-21802)',
    lying(placeOf('matrix'), 2n ** 32n - 1n, 4),
    /dimensions, expected at most 4/,
  ],
  ['a size that wraps to 0 (CVE-2026-33298)', lying(placeOf('matrix') + 4, 2n ** 63n), /expected less than 2⁵³/],
  ['an offset near 2^64 (CVE-2025-53630)', lying(placeOf('blocks') + 24, 2n ** 64n - 32n), /expected less than 2⁵³/],
  ['sizes that wrap only as a sum (CVE-2026-27940)', huge([0, 0]), /"0" ends at byte/],
  [
    'a tensor that ends after the file, as read by a quantizer (CVE-2026-7482)',
    lying(placeOf('blocks') + 12, 2n ** 20n),
    /ends at byte/,
  ],
  ['a key of 2^32 - 1 bytes (CVE-2024-25664)', lying(24, 2n ** 32n - 1n), /name of metadata entry 0 claims/],
  ['a text of 2^31 bytes (CVE-2024-25665)', lying(placeOf('general.architecture') + 4, 2n ** 31n), /claims/],
  ['a list of 2^32 numbers (CVE-2024-25667)', lying(placeOf('some.ints') + 8, 2n ** 32n), /"some.ints" claims/],
  [
    'a text of 2^63 bytes in a list (CVE-2024-25668)',
    lying(placeOf('some.texts') + 16, 2n ** 63n),
    /"some.texts" claims 9223372036854776000/,
  ],
  ['an unknown type of a list (CVE-2024-32878)', lying(placeOf('some.ints') + 4, 99n, 4), /99/],
  [
    'an alignment that is not a uint32',
    await ggufBytes(new Map([['general.alignment', { string: '32' }]]), []),
    /alignment/,
  ],
  [
    'an alignment that wraps in 32 bits',
    withAlignment(2 ** 31),
    /alignment is 2147483648, expected a power of two up to/,
  ],
  [
    'an alignment of 0 (CVE-2025-0317)',
    await ggufBytes(new Map([['general.alignment', { uint32: 0 }]]), []),
    /alignment is 0, expected a power of two/,
  ],
];
for (const [what, bytes, message] of [...lies, ...wrapping]) {
  it(`refuses ${what}`, () => {
    expect(() => parseGguf(bytes)).toThrow(FormatError);
    expect(() => parseGguf(bytes)).toThrow(message);
  });
}

it('reads a dimension of 0 as an empty tensor, by which nothing is divided', () => {
  expect(parseGguf(lying(placeOf('matrix') + 4, 0n)).tensors.get('matrix')).toMatchObject({ byteLength: 0 });
});

it('refuses an alignment that is not a power of two, and duplicate metadata', async () => {
  const odd = await ggufBytes(new Map([['general.alignment', { uint32: 24 }]]), []);
  expect(() => parseGguf(odd)).toThrow(/alignment is 24, expected a power of two/);
  const two = await ggufBytes(
    new Map([
      ['a', { uint32: 1 }],
      ['b', { uint32: 1 }],
    ]),
    [],
  );
  const twice = two.map((byte, i) => (byte === 0x62 && i > 24 ? 0x61 : byte));
  expect(() => parseGguf(twice)).toThrow(/has the key "a" twice/);
});

it('refuses to write a name twice, and bytes that do not fit a shape', async () => {
  const [matrix] = tensors;
  await expect(async () => ggufBytes(metadata, [matrix!, matrix!])).rejects.toThrow(/given twice/);
  await expect(ggufBytes(metadata, [{ ...matrix!, shape: [3, 3] }])).rejects.toThrow(
    /gives 24 bytes, its shape needs 36/,
  );
});
