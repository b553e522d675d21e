// Fuzzes the safetensors reader with arbitrary bytes. It must throw a FormatError, or return entries in bounds that are
// equal after writing and reading them again. The index of a file in shards gives a FormatError, or files of the same
// folder with the tensors of the index. To run it for 30 seconds (jazzer asks for the file by its compiled name):
//
//   NODE_OPTIONS="--import tsx" npx jazzer --sync test/fuzz/safetensors.fuzz.js -- -max_total_time=30
import assert from 'node:assert';
import { FuzzedDataProvider } from '@jazzer.js/core';
import { FormatError } from '../../src/core/errors.js';
import {
  parseSafetensors,
  type Safetensors,
  type SafetensorsArray,
  serializeSafetensors,
} from '../../src/io/safetensors.js';
import { merged, parseWeightIndex } from '../../src/pretrained/weights.js';

export function fuzz(bytes: Buffer): void {
  for (const file of [bytes, nearlyRight(new FuzzedDataProvider(bytes))]) {
    const parsed = orFormatError(() => parseSafetensors(file));
    if (parsed !== undefined) checkParsed(parsed, file.byteLength);
  }
  for (const index of [bytes, nearlyIndex(new FuzzedDataProvider(bytes))]) checkIndex(index);
}

/** Makes a valid index except for a few wrong values. */
function nearlyIndex(random: FuzzedDataProvider): Uint8Array {
  const lie = () => random.consumeIntegralInRange(0, 15) === 15;
  const fields: string[] = [];
  while (random.remainingBytes > 0 && fields.length < 6) {
    const tensor = lie() ? random.consumeString(8) : random.pickValue(['a', 'b', 'c', 'd', '__proto__', '']);
    const file = lie()
      ? random.pickValue<unknown>([
          '../x.safetensors',
          '/x.safetensors',
          'C:x.safetensors',
          'x.bin',
          '',
          null,
          1,
          ['a'],
        ])
      : random.pickValue(['1.safetensors', '2.safetensors', '__proto__.safetensors']);
    fields.push(`${JSON.stringify(tensor)}: ${JSON.stringify(lie() ? random.consumeString(20) : file)}`);
  }
  const map = `{${fields.join(', ')}}`;
  return new TextEncoder().encode(lie() ? `{"weight_map": [${map}]}` : `{"metadata": {}, "weight_map": ${map}}`);
}

const shard = (names: readonly string[]): Safetensors =>
  parseSafetensors(
    serializeSafetensors(new Map(names.map((name) => [name, { dtype: 'U8', shape: [1], data: Uint8Array.of(1) }]))),
  );
const shards = new Map([
  ['1.safetensors', shard(['a', 'b', '__proto__', 'twice'])],
  ['2.safetensors', shard(['b', 'c', '', 'twice'])],
]);

function checkIndex(bytes: Uint8Array): void {
  const index = orFormatError(() => parseWeightIndex(bytes));
  if (index === undefined) return;
  for (const file of index.values()) assert.match(file, /^(?!\.*[/\\:])[^/\\:]+\.safetensors$/);
  const all = orFormatError(() => merged('fuzz', index, shards));
  if (all === undefined) return;
  for (const [name, file] of index) assert.equal(all.tensors.get(name), shards.get(file)?.tensors.get(name));
  for (const [name, entry] of all.tensors) assert.equal(entry.name, name);
}

/** Bytes of an element by the name of its dtype. */
const bytesOf = (dtype: string) => Number(/64|32|16/.exec(dtype)?.[0] ?? 8) / 8;

/** Makes a valid file except for a few wrong values. Mutations of bytes alone seldom reach code behind the first checks. */
function nearlyRight(random: FuzzedDataProvider): Uint8Array {
  const lie = () => random.consumeIntegralInRange(0, 15) === 15;
  const dimension = () =>
    lie()
      ? random.pickValue<unknown>([-0, -1, 1.5, 2 ** 53, 1e300, null, '2', [2]])
      : random.consumeIntegralInRange(0, 3);
  const fields: string[] = [];
  let end = 0;
  const field = () => {
    const name = lie()
      ? random.consumeString(8)
      : random.pickValue(['a', 'b', 'c', '', '__proto__', '__metadata__', '\ud800']);
    const dtype = random.pickValue(['F64', 'I64', 'F32', 'I32', 'U32', 'F16', 'BF16', 'I8', 'BOOL', 'F3', 'toString']);
    const shape = Array.from({ length: random.consumeIntegralInRange(0, 3) }, dimension);
    const elements = shape.reduce<number>((product, n) => product * Number(n), 1);
    const begin = lie() ? random.consumeIntegralInRange(-9, 9) : end;
    end += elements * bytesOf(dtype);
    const offsets = [begin, lie() ? random.consumeIntegralInRange(-9, 99) : end];
    const info = name === '__metadata__' ? { note: lie() ? elements : dtype } : { dtype, shape, data_offsets: offsets };
    return `${JSON.stringify(name)}: ${JSON.stringify(lie() ? [info] : info)}`;
  };
  while (random.remainingBytes > 0 && fields.length < 5) fields.push(field());
  const header = new TextEncoder().encode(`{${fields.join(', ')}}${' '.repeat(random.consumeIntegralInRange(0, 7))}`);
  const dataBytes =
    lie() || !(Number.isInteger(end) && end >= 0 && end < 1e4) ? random.consumeIntegralInRange(0, 99) : end;
  const file = new Uint8Array(8 + header.byteLength + dataBytes);
  const length = header.byteLength + (lie() ? random.consumeIntegralInRange(-99, 99) : 0);
  new DataView(file.buffer).setBigUint64(0, BigInt(length), true);
  file.set(header, 8);
  file.set(random.consumeBytes(dataBytes), 8 + header.byteLength);
  return file;
}

function orFormatError<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return undefined;
  }
}

function checkParsed({ tensors, metadata }: Safetensors, fileBytes: number): void {
  let total = 0;
  for (const entry of tensors.values()) {
    const stored = entry.bytes();
    assert.equal(stored.byteLength, entry.byteLength);
    assert.ok(stored.byteOffset + stored.byteLength <= stored.buffer.byteLength);
    assert.equal(
      entry.shape.reduce((product, n) => product * n, 1),
      entry.size,
    );
    const data = orFormatError(() => entry.data());
    if (data !== undefined) assert.equal(data.length, entry.size);
    total += entry.byteLength;
  }
  assert.ok(total <= fileBytes);

  const copies = new Map<string, SafetensorsArray>();
  for (const [name, entry] of tensors)
    copies.set(name, { dtype: entry.dtype, shape: entry.shape, data: entry.bytes() });
  const again = parseSafetensors(serializeSafetensors(copies, metadata));
  assert.deepEqual([...again.metadata], [...metadata]);
  assert.equal(again.tensors.size, tensors.size);
  for (const [name, entry] of tensors) {
    const copy = again.tensors.get(name);
    assert.ok(copy, `${name} is missing`);
    assert.equal(copy.dtype, entry.dtype);
    assert.equal(String(copy.shape), String(entry.shape.map(Math.abs))); // -0 is written as 0
    assert.deepEqual(copy.bytes(), entry.bytes());
  }
}
