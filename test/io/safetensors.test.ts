import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ArgumentError, DisposedError, DTypeError, FormatError, ShapeError } from '../../src/core/errors.js';
import { openSafetensors, saveSafetensors } from '../../src/io/file.js';
import { parseSafetensors, type SafetensorsArray, serializeSafetensors } from '../../src/io/safetensors.js';

/** A file with any header, right or wrong; `length` lies about the header's. */
function fileOf(header: unknown, dataBytes = 0, length?: number | bigint): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + json.byteLength + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(length ?? json.byteLength), true);
  file.set(json, 8);
  return file;
}

const f32 = (shape: unknown, begin: unknown, end: unknown) => ({ dtype: 'F32', shape, data_offsets: [begin, end] });

/** One stored tensor, decoded. */
function decoded(dtype: SafetensorsArray['dtype'], data: ArrayBufferView & { length: number }) {
  const file = serializeSafetensors({ x: { dtype, shape: [data.length], data } });
  return parseSafetensors(file).tensors.get('x')!.data();
}

describe('parseSafetensors', () => {
  it('gives names, dtypes, shapes, data and metadata, in the order of the data', () => {
    const header = { b: f32([2], 4, 12), a: f32([], 0, 4), none: f32([3, 0], 12, 12), __metadata__: { format: 'pt' } };
    const file = fileOf(`${JSON.stringify(header)}  `, 12);
    new DataView(file.buffer).setFloat32(file.byteLength - 4, 1.5, true);
    const { tensors, metadata } = parseSafetensors(file);
    expect([...tensors.keys()]).toEqual(['a', 'b', 'none']);
    expect([...metadata]).toEqual([['format', 'pt']]);
    expect([...parseSafetensors(fileOf({ __metadata__: null })).metadata]).toEqual([]);
    expect(tensors.get('a')).toMatchObject({ name: 'a', dtype: 'F32', shape: [], size: 1, byteLength: 4 });
    expect(tensors.get('b')!.data()).toEqual(Float32Array.of(0, 1.5));
    expect(tensors.get('none')!.data()).toEqual(new Float32Array(0));
  });

  it('views aligned data, and copies other data', () => {
    const file = serializeSafetensors({ x: { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) } });
    expect(parseSafetensors(file).tensors.get('x')!.data().buffer).toBe(file.buffer);
    for (let shift = 0; shift < 8; shift++) {
      const shifted = new Uint8Array(shift + file.byteLength);
      shifted.set(file, shift);
      const { tensors } = parseSafetensors(shifted.subarray(shift));
      expect(tensors.get('x')!.data()).toEqual(Float32Array.of(1, 2));
      expect(parseSafetensors(Buffer.from(shifted.buffer, shift)).tensors.get('x')!.data()).toEqual(
        Float32Array.of(1, 2),
      );
    }
  });

  it('decodes floats of 8 and 16 bits, doubles, integers and booleans', () => {
    const halves = Uint16Array.of(
      0x0000,
      0x8000,
      0x3c00,
      0xc000,
      0x3555,
      0x7bff,
      0x0400,
      0x03ff,
      0x8001,
      0x7c00,
      0xfc00,
    );
    const values = [0, -0, 1, -2, 0.333251953125, 65504, 2 ** -14, 1023 * 2 ** -24, -(2 ** -24), Infinity, -Infinity];
    expect(decoded('F16', halves)).toEqual(Float32Array.from(values));
    expect(decoded('F16', Uint16Array.of(0x7e00, 0xfc01))).toEqual(Float32Array.of(Number.NaN, Number.NaN));
    expect(decoded('BF16', Uint16Array.of(0x3f80, 0xc040, 0x0001, 0x7f80))).toEqual(
      Float32Array.of(1, -3, 2 ** -133, Infinity),
    );
    expect(decoded('F8_E4M3', Uint8Array.of(0x00, 0x80, 0x01, 0x87, 0x08, 0x38, 0xc1, 0x7e, 0x7f, 0xff))).toEqual(
      Float32Array.of(0, -0, 2 ** -9, -7 * 2 ** -9, 2 ** -6, 1, -2.25, 448, Number.NaN, Number.NaN),
    );
    expect(decoded('F8_E5M2', Uint8Array.of(0x00, 0x80, 0x01, 0x3c, 0xc1, 0x7b, 0x7c, 0xfc, 0x7e))).toEqual(
      Float32Array.of(0, -0, 2 ** -16, 1, -2.5, 57344, Infinity, -Infinity, Number.NaN),
    );
    expect(decoded('F64', Float64Array.of(0.1, 1e300))).toEqual(Float32Array.of(0.1, Infinity));
    expect(decoded('I64', BigInt64Array.of(-(2n ** 31n), 7n))).toEqual(Int32Array.of(-(2 ** 31), 7));
    expect(decoded('I32', Int32Array.of(-5))).toEqual(Int32Array.of(-5));
    expect(decoded('U32', Uint32Array.of(2 ** 31 - 1))).toEqual(Int32Array.of(2 ** 31 - 1));
    expect(decoded('I16', Int16Array.of(-3))).toEqual(Int32Array.of(-3));
    expect(decoded('U16', Uint16Array.of(65535))).toEqual(Int32Array.of(65535));
    expect(decoded('I8', Int8Array.of(-128))).toEqual(Int32Array.of(-128));
    expect(decoded('U8', Uint8Array.of(255))).toEqual(Int32Array.of(255));
    expect(decoded('BOOL', Uint8Array.of(0, 1))).toEqual(Int32Array.of(0, 1));
  });

  it('refuses integers that do not fit an int32, and names tensor and value', () => {
    expect(() => decoded('I64', BigInt64Array.of(2n ** 31n))).toThrow(/"x": 2147483648 does not fit/);
    expect(() => decoded('I64', BigInt64Array.of(-(2n ** 53n) - 1n))).toThrow(FormatError);
    expect(() => decoded('U64', BigUint64Array.of(2n ** 63n))).toThrow(FormatError);
    expect(() => decoded('U32', Uint32Array.of(2 ** 31))).toThrow(FormatError);
  });

  it('keeps __proto__ and other names of Object.prototype as plain names', () => {
    const header =
      '{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"toString":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}';
    const { tensors } = parseSafetensors(fileOf(header, 2));
    expect([...tensors.keys()]).toEqual(['__proto__', 'toString']);
    expect(Object.prototype).not.toHaveProperty('dtype');
    expect(() => parseSafetensors(fileOf('{"__proto__":{"dtype":"F32"}}'))).toThrow(FormatError);
  });

  const bad: [why: string, file: Uint8Array, message: RegExp][] = [
    ['an empty file', new Uint8Array(0), /0 bytes: expected at least 8/],
    ['a truncated length', new Uint8Array(7), /7 bytes: expected at least 8/],
    ['a header longer than the file', fileOf('{}', 0, 3), /claims 3 bytes: the file has 2/],
    ['a header longer than allowed', fileOf('{}', 0, 100_000_001), /at most 100000000/],
    ['a header of 2^64 - 1 bytes', fileOf('{}', 0, 2n ** 64n - 1n), /at most 100000000/],
    ['an empty header', fileOf('{}', 0, 0), /begin with {/],
    ['a cut header', fileOf('{"a": {}', 0), /not JSON/],
    ['an array', fileOf([]), /begin with {/],
    ['a space before the header', fileOf(' {}'), /begin with {/],
    ['more than one value', fileOf('{}{}'), /not JSON/],
    ['bytes that are not UTF-8', fileOf('{"\u00e9":1}').map((byte) => (byte === 0xa9 ? 0x28 : byte)), /UTF-8/],
    ['metadata that is a list', fileOf({ __metadata__: [] }), /__metadata__ is not an object/],
    ['metadata that is not text', fileOf({ __metadata__: { a: 1 } }), /"a" is not a string/],
    ['a tensor that is not an object', fileOf({ a: 3 }), /"a": expected an object/],
    ['an unknown dtype', fileOf({ a: { ...f32([1], 0, 4), dtype: 'F31' } }, 4), /"a": unknown dtype "F31": .*F64/],
    ['a dtype from Object.prototype', fileOf({ a: { ...f32([1], 0, 4), dtype: 'toString' } }, 4), /unknown dtype/],
    ['no dtype', fileOf({ a: { shape: [1], data_offsets: [0, 4] } }, 4), /unknown dtype undefined/],
    ['a shape that is not a list', fileOf({ a: f32(1, 0, 4) }, 4), /"a": expected a shape/],
    ['a negative dimension', fileOf({ a: f32([-1, -1], 0, 4) }, 4), /"a": expected a shape/],
    ['a fractional dimension', fileOf({ a: f32([0.5, 2], 0, 4) }, 4), /"a": expected a shape/],
    ['a dimension in quotes', fileOf({ a: f32(['1'], 0, 4) }, 4), /"a": expected a shape/],
    ['a product that wraps in 64 bits', fileOf({ a: f32([2 ** 32, 2 ** 32], 0, 0) }), /too many elements/],
    ['a product that wraps before a zero', fileOf({ a: f32([2 ** 40, 2 ** 40, 0], 0, 0) }), /too many elements/],
    ['one offset', fileOf({ a: { ...f32([1], 0, 4), data_offsets: [0] } }, 4), /two non-negative/],
    ['a negative offset', fileOf({ a: f32([1], -4, 0) }), /two non-negative/],
    ['offsets in reverse', fileOf({ a: f32([1], 4, 0) }, 4), /"a": its data ends at byte 0, before/],
    ['a size that is not the shape’s', fileOf({ a: f32([2], 0, 4) }, 4), /F32 of shape \[2\] takes 8 bytes.* hold 4/],
    ['data beyond the file', fileOf({ a: f32([2], 0, 8) }, 4), /"a" ends at byte 8 of the data: the file has only 4/],
    [
      'overlapping data',
      fileOf({ a: f32([2], 0, 8), b: f32([2], 4, 12) }, 12),
      /"b" begins at byte 4 .*"a" ends at byte 8/,
    ],
    ['the same data twice', fileOf({ a: f32([1], 0, 4), b: f32([1], 0, 4) }, 4), /"b" begins at byte 0/],
    ['a hole at the start', fileOf({ a: f32([1], 4, 8) }, 8), /"a" begins at byte 4 .*expected 0, holes/],
    [
      'a hole in the middle',
      fileOf({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12),
      /"b" begins at byte 8 .*expected 4/,
    ],
    ['trailing bytes', fileOf({ a: f32([1], 0, 4) }, 5), /1 bytes after its last tensor/],
    ['data without tensors', fileOf({}, 1), /1 bytes after its last tensor/],
    ['a deeply nested header', fileOf(`{"a":${'['.repeat(1e6)}`), /JSON|nest|deep/],
    [
      'a deeply nested shape',
      fileOf(`{"a":{"dtype":"U8","shape":${'['.repeat(2e5)}${']'.repeat(2e5)},"data_offsets":[0,0]}}`),
      /./,
    ],
    [
      'an offset that rounds to 2^53',
      fileOf('{"a":{"dtype":"U8","shape":[1],"data_offsets":[9007199254740992,9007199254740993]}}'),
      /./,
    ],
    ['an infinite offset', fileOf('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1e999]}}'), /two non-negative/],
    [
      'a dimension that is not a safe integer',
      fileOf('{"a":{"dtype":"U8","shape":[1e300],"data_offsets":[0,0]}}'),
      /./,
    ],
    ['a tensor twice', fileOf('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}, "\\u0061" :{}}'), /"a" twice/],
    ['a field twice', fileOf('{"a":{"dtype":"U8","shape":[0],"dtype":"I8","data_offsets":[0,0]}}'), /"dtype" twice/],
  ];
  it.each(bad)('refuses %s', (_, file, message) => {
    expect(() => parseSafetensors(file)).toThrow(FormatError);
    expect(() => parseSafetensors(file)).toThrow(message);
  });

  it('does not mistake text in strings for keys', () => {
    const { metadata } = parseSafetensors(fileOf({ __metadata__: { 'a"{': '{"a":1,"a":2}', a: '\\', b: '"a":' } }));
    expect(metadata.size).toBe(3);
  });

  it("reads raw bytes into the caller's memory, and nothing beyond the tensor", () => {
    const entry = parseSafetensors(
      serializeSafetensors({
        x: { dtype: 'U8', shape: [4], data: Uint8Array.of(1, 2, 3, 4) },
        y: { dtype: 'U8', shape: [1], data: Uint8Array.of(9) },
      }),
    ).tensors.get('x')!;
    const into = new Uint8Array(2);
    entry.read(into, 2);
    expect(into).toEqual(Uint8Array.of(3, 4));
    for (const start of [3, -1, 0.5, Number.NaN]) expect(() => entry.read(into, start)).toThrow(ShapeError);
  });
});

describe('serializeSafetensors', () => {
  it('aligns all data, for any names and dtypes', () => {
    const file = serializeSafetensors(
      {
        a: { dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) },
        b: { dtype: 'F64', shape: [1], data: Float64Array.of(4) },
        c: { dtype: 'F16', shape: [1], data: Uint16Array.of(0x3c00) },
      },
      { note: 'ä"\n' },
    );
    const { tensors, metadata } = parseSafetensors(file);
    expect([...tensors.keys()]).toEqual(['b', 'c', 'a']);
    for (const { data, bytes } of [...tensors.values()].map((entry) => ({
      data: entry.data(),
      bytes: entry.bytes(),
    }))) {
      expect(bytes.byteOffset % (bytes.byteLength / data.length)).toBe(0);
    }
    expect(new DataView(file.buffer).getUint32(0, true) % 8).toBe(0);
    expect(metadata.get('note')).toBe('ä"\n');
  });

  it('refuses data that does not fit its header', () => {
    const data = Float32Array.of(1, 2);
    expect(() => serializeSafetensors({ x: { dtype: 'F32', shape: [3], data } })).toThrow(ShapeError);
    expect(() => serializeSafetensors({ x: { dtype: 'I32', shape: [2], data } })).toThrow(DTypeError);
    expect(() => serializeSafetensors({ x: { dtype: 'F31' as 'F32', shape: [2], data } })).toThrow(DTypeError);
    expect(() => serializeSafetensors({ x: { dtype: 'F32', shape: [-2], data } })).toThrow(ShapeError);
    expect(() => serializeSafetensors({ __metadata__: { dtype: 'F32', shape: [2], data } })).toThrow(FormatError);
    expect(() => serializeSafetensors({ x: undefined as never })).toThrow(ArgumentError);
    expect(() => serializeSafetensors({ x: undefined as never })).toThrow('tensor "x" is undefined, expected');
  });
});

describe('files', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'simdformer-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const one = { x: { dtype: 'F32' as const, shape: [2], data: Float32Array.of(1, 2) } };

  it('are read tensor by tensor, and equal the output of serializeSafetensors', async () => {
    const path = join(folder, 'a.safetensors');
    await saveSafetensors(path, one, { step: '3' });
    expect(new Uint8Array(readFileSync(path))).toEqual(serializeSafetensors(one, { step: '3' }));
    const file = await openSafetensors(path);
    expect(file.tensors.get('x')!.data()).toEqual(Float32Array.of(1, 2));
    file.close();
    expect(() => file.tensors.get('x')!.data()).toThrow();
  });

  it('may be given by their URL', async () => {
    const url = pathToFileURL(join(folder, 'of a URL.safetensors'));
    await saveSafetensors(url, one);
    const file = await openSafetensors(url);
    expect(file.tensors.get('x')!.data()).toEqual(one.x.data);
    file.close();
    for (const other of [new URL('https://example.com/x'), 5 as never]) {
      await expect(openSafetensors(other)).rejects.toThrow(
        /^openSafetensors: the path is (https:.*|5), expected a string/,
      );
      await expect(saveSafetensors(other, one)).rejects.toThrow(ArgumentError);
    }
  });

  it('accept URLs and data of another realm, as in tests with a separate DOM', async () => {
    const url = pathToFileURL(join(folder, 'of a realm.safetensors'));
    vi.stubGlobal('URL', class extends URL {}); // jsdom does the same; Node's own functions return theirs
    try {
      const data: Float32Array = runInNewContext('Float32Array.of(1, 2)');
      await saveSafetensors(url, { x: { shape: [2], dtype: 'F32', data } });
      const file = await openSafetensors(url);
      expect(file.tensors.get('x')!.data()).toEqual(Float32Array.of(1, 2));
      file.close();
    } finally {
      vi.unstubAllGlobals();
    }
  });

  it('are refused by name if they are folders', async () => {
    await expect(openSafetensors(folder)).rejects.toMatchObject({ code: 'EISDIR', path: folder });
  });

  it.skipIf(process.platform === 'win32')(
    'that are pipes or devices are named, without waiting for a writer',
    async () => {
      const pipe = join(folder, 'pipe');
      execFileSync('mkfifo', [pipe]);
      const writer = spawn('sh', ['-c', 'sleep 2; : > "$0"', pipe]); // ends the waiting, were there any
      for (const path of [pipe, '/dev/null']) {
        const refused = openSafetensors(path);
        await expect(refused).rejects.toThrow(FormatError);
        await expect(refused).rejects.toThrow(`${path} is a pipe or a device, expected a file`);
      }
      writer.kill();
    },
  );

  it('give FormatErrors if they shrink while open or have a wrong size', async () => {
    const path = join(folder, 'lie.safetensors');
    writeFileSync(path, fileOf({ a: f32([2], 0, 8) }, 4));
    await expect(openSafetensors(path)).rejects.toThrow(FormatError);
    await expect(openSafetensors(path)).rejects.toThrow(`openSafetensors: ${path}: tensor "a" ends at byte 8`);
    await saveSafetensors(path, one);
    const file = await openSafetensors(path);
    truncateSync(path, 40);
    expect(() => file.tensors.get('x')!.data()).toThrow(FormatError);
    file.close();
  });

  it('cannot be read after closing, even if another file has the descriptor', async () => {
    const paths = ['first', 'second'].map((name) => join(folder, `${name}.safetensors`));
    for (const [i, path] of paths.entries())
      await saveSafetensors(path, { x: { dtype: 'F32', shape: [1], data: Float32Array.of(i) } });
    const first = await openSafetensors(paths[0]!);
    const entry = first.tensors.get('x')!;
    first.close();
    const second = await openSafetensors(paths[1]!); // gets the file descriptor that the first had
    expect(() => entry.data()).toThrow(/first\.safetensors has already been closed$/);
    expect(() => entry.data()).toThrow(DisposedError);
    first.close();
    expect(second.tensors.get('x')!.data()).toEqual(Float32Array.of(1));
    second.close();
  });

  it('stay unchanged when writing fails, without a temporary file', async () => {
    const path = join(folder, 'kept.safetensors');
    await saveSafetensors(path, one);
    const before = readFileSync(path);
    const failing = {
      dtype: 'float32' as const,
      shape: [2],
      dataSync: () => one.x.data,
      data: () => Promise.reject(new Error('gone')),
    };
    await expect(saveSafetensors(path, { ...one, y: failing })).rejects.toThrow('gone');
    expect(readFileSync(path)).toEqual(before);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it.skipIf(process.platform === 'win32')('are left as they were when the disk is full', () => {
    const path = join(folder, 'full.safetensors');
    closeSync(openSync(path, 'w'));
    const script = `import('${new URL('../../src/io/file.ts', import.meta.url)}').then(({ saveSafetensors }) =>
      saveSafetensors(${JSON.stringify(path)}, { x: { dtype: 'U8', shape: [1e6], data: new Uint8Array(1e6) } }))
      .then(() => process.exit(0), (error) => { console.log(error.code); process.exit(3); });`;
    const node = [process.execPath, '--import', 'tsx', '-e', script].map(
      (word) => `'${word.replaceAll("'", "'\\''")}'`,
    );
    const { status, stdout } = spawnSync('sh', ['-c', `ulimit -f 64; exec ${node.join(' ')}`], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 3, stdout: 'EFBIG\n' });
    expect(readFileSync(path).byteLength).toBe(0);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

it.each<[string, number[], RegExp]>([
  ['zip archive', [0x50, 0x4b, 3, 4, 0, 0, 0, 0], /zip archive, as torch.save writes .*, which loadModel reads/],
  ['pickle', [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46], /pickle, .*, which loadModel reads/],
  ['GGUF file', [0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0], /a GGUF file, expected a safetensors file/],
  ['Git LFS pointer', [...new TextEncoder().encode('version https://git-lfs')], /Git LFS pointer: .*git lfs pull/],
])('a %s is refused by name, with a remedy', (_, bytes, message) => {
  expect(() => parseSafetensors(Uint8Array.from(bytes))).toThrow(FormatError);
  expect(() => parseSafetensors(Uint8Array.from(bytes))).toThrow(message);
});

it.each([0x280, 0x580])('a header of %i bytes, whose length begins as a pickle does, is read', (length) => {
  const header = new TextEncoder().encode('{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.padEnd(length));
  const file = new Uint8Array(8 + length + 4);
  new DataView(file.buffer).setBigUint64(0, BigInt(length), true);
  file.set(header, 8);
  expect(parseSafetensors(file).tensors.get('x')?.shape).toEqual([1]);
});
