/**
 * Reads zip archives with uncompressed records, as torch.save writes them. A file is untrusted input: its whole
 * directory is checked before any record is read.
 */

import { FormatError } from '../core/errors.js';
import { type ByteSource, bytesOf } from './byte-source.js';
import { quote } from './dtypes.js';

/** The directory's description of a record. */
export interface ZipRecord {
  readonly name: string;
  readonly byteLength: number;
  readonly crc: number;
  /** Position of the local header, which lies before the data. */
  readonly header: number;
}

const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const ENTRY = 0x02014b50;
const LOCAL = 0x04034b50;

const END_BYTES = 22;
const END_64_BYTES = 56;
const LOCATOR_64_BYTES = 20;
const ENTRY_BYTES = 46;
const LOCAL_BYTES = 30;
const MAX_COMMENT = 0xffff;
/** Maximum size of a directory. */
const MAX_DIRECTORY = 1 << 28;

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Reads the directory of an archive as records by name. Throws FormatError if it does not fit the file. */
export async function readZip(source: ByteSource): Promise<Map<string, ZipRecord>> {
  const { count, position, size } = await endOf(source);
  if (size > MAX_DIRECTORY || count * ENTRY_BYTES > size)
    throw new FormatError(`the zip archive claims ${count} records in a directory of ${size} bytes`);
  const directory = await bytesOf(source, position, size);
  const view = viewOf(directory);
  const records = new Map<string, ZipRecord>();
  let offset = 0;
  for (let i = 0; i < count; i++) {
    if (offset + ENTRY_BYTES > size || view.getUint32(offset, true) !== ENTRY)
      throw new FormatError(`the directory of the zip archive has ${i} records, expected ${count}`);
    const { record, end } = recordAt(directory, view, offset);
    if (record.header + LOCAL_BYTES + record.byteLength > position)
      throw new FormatError(`record ${quote(record.name)} lies beyond the end of the file`);
    if (records.has(record.name)) throw new FormatError(`record ${quote(record.name)} is in the archive twice`);
    records.set(record.name, record);
    offset = end;
  }
  if (offset !== size) throw new FormatError(`the directory of the zip archive has ${size - offset} bytes too many`);
  return records;
}

/**
 * Returns the position of a record's data, given its local header. Throws FormatError if the header belongs to another
 * record.
 */
function dataPosition(local: Uint8Array, { name, header, byteLength }: ZipRecord, fileBytes: number): number {
  const view = viewOf(local);
  const position = header + LOCAL_BYTES + view.getUint16(26, true) + view.getUint16(28, true);
  if (view.getUint32(0, true) !== LOCAL || position + byteLength > fileBytes)
    throw new FormatError(`record ${quote(name)} is not where the directory of the zip archive says`);
  return position;
}

/**
 * The data of a record, beginning at position 0. The first read checks the local header and the CRC-32 of all data. It
 * throws FormatError if one of them is wrong. A CRC of 0 is not checked: torch writes it with
 * `set_crc32_options(False)`.
 */
export class ZipData implements ByteSource {
  readonly size: number;
  readonly readAsync?: (position: number, into: Uint8Array) => Promise<void>;
  readonly view?: (position: number, length: number) => Uint8Array;
  /** The position of the data in the archive; null before they are checked. */
  #start: number | null = null;

  constructor(
    private readonly source: ByteSource,
    private readonly record: ZipRecord,
  ) {
    this.size = record.byteLength;
    const { readAsync, view } = source;
    if (readAsync)
      this.readAsync = async (position, into) => {
        await source.readAsync?.((await this.#checkedStart()) + position, into);
      };
    if (view) this.view = (position, length) => view(this.#checkedStartNow() + position, length);
  }

  read(position: number, into: Uint8Array): void {
    this.source.read(this.#checkedStartNow() + position, into);
  }

  #checkedStartNow(): number {
    if (this.#start === null) for (const [position, part] of this.#parts()) this.source.read(position, part);
    return this.#start as unknown as number;
  }

  async #checkedStart(): Promise<number> {
    if (this.#start === null)
      for (const [position, part] of this.#parts()) await this.source.readAsync?.(position, part);
    return this.#start as unknown as number;
  }

  /** Yields parts that the caller fills before it requests the next one. */
  *#parts(): Generator<[position: number, part: Uint8Array]> {
    const { name, crc, header } = this.record;
    const local = new Uint8Array(LOCAL_BYTES);
    yield [header, local];
    const start = dataPosition(local, this.record, this.source.size);
    const buffer = new Uint8Array(Math.min(PART, this.size));
    let sum = 0;
    for (let offset = 0; crc !== 0 && offset < this.size; offset += PART) {
      const part = buffer.subarray(0, Math.min(PART, this.size - offset));
      yield [start + offset, part];
      sum = crc32(sum, part);
    }
    if (sum !== crc) throw new FormatError(`record ${quote(name)} is damaged: its CRC-32 is ${sum}, expected ${crc}`);
    this.#start = start;
  }
}

/** Number of bytes that are checked at once. */
const PART = 1 << 20;

interface DirectoryLocation {
  readonly count: number;
  readonly position: number;
  readonly size: number;
}

/** Finds the directory with the help of the record at the end of the archive. */
async function endOf(source: ByteSource): Promise<DirectoryLocation> {
  const length = Math.min(source.size, END_BYTES + MAX_COMMENT);
  const start = source.size - length;
  const view = viewOf(await bytesOf(source, start, length));
  let offset = length - END_BYTES;
  // The end record is followed by a comment up to the end of the file.
  while (
    offset >= 0 &&
    !(view.getUint32(offset, true) === END && offset + END_BYTES + view.getUint16(offset + 20, true) === length)
  )
    offset--;
  if (offset < 0) throw new FormatError('the zip archive is cut off: the directory at its end is missing');
  const directory = (await endOf64(source, start + offset)) ?? {
    count: view.getUint16(offset + 10, true),
    size: view.getUint32(offset + 12, true),
    position: view.getUint32(offset + 16, true),
  };
  if (!(directory.position + directory.size <= start + offset))
    throw new FormatError(
      `the directory of the zip archive lies beyond its end: ${directory.size} bytes at ${directory.position}`,
    );
  return directory;
}

/**
 * Finds the directory of an archive with more than 4 GiB or 65,535 records (zip64). Returns null if there is no zip64
 * record.
 */
async function endOf64(source: ByteSource, end: number): Promise<DirectoryLocation | null> {
  const offset = end - LOCATOR_64_BYTES;
  if (offset < 0) return null;
  const locator = viewOf(await bytesOf(source, offset, LOCATOR_64_BYTES));
  if (locator.getUint32(0, true) !== LOCATOR_64) return null;
  const position = uint64(locator, 8);
  if (!(position + END_64_BYTES <= offset)) throw new FormatError('the zip64 record lies past the end of the archive');
  const view = viewOf(await bytesOf(source, position, END_64_BYTES));
  if (view.getUint32(0, true) !== END_64) throw new FormatError('the zip64 record is not where the archive says');
  return { count: uint64(view, 32), size: uint64(view, 40), position: uint64(view, 48) };
}

/** A 64-bit integer. It is inexact beyond 2⁵³, which exceeds any file. */
const uint64 = (view: DataView, offset: number) => Number(view.getBigUint64(offset, true));

const ENCRYPTED = 1;
const STORED = 0;

function recordAt(directory: Uint8Array, view: DataView, position: number): { record: ZipRecord; end: number } {
  const [nameLength, extraLength, commentLength] = [28, 30, 32].map((offset) =>
    view.getUint16(position + offset, true),
  );
  const extra = position + ENTRY_BYTES + (nameLength as number);
  const end = extra + (extraLength as number) + (commentLength as number);
  if (end > directory.byteLength) throw new FormatError('a record of the zip archive has a name past the directory');
  const name = new TextDecoder().decode(directory.subarray(position + ENTRY_BYTES, extra));
  const refuse = (why: string): never => {
    throw new FormatError(`record ${quote(name)} ${why}`);
  };
  const method = view.getUint16(position + 10, true);
  if ((view.getUint16(position + 8, true) & ENCRYPTED) !== 0) refuse('is encrypted, which is not read');
  if (method !== STORED)
    refuse(
      `has compression method ${method}, which is not read: torch.save stores data as they are. Zip it again with zip -0`,
    );
  let [packed, size, header] = [20, 24, 42].map((offset) => view.getUint32(position + offset, true)) as [
    number,
    number,
    number,
  ];
  // Numbers of more than 32 bits are in an extra field, in this order.
  let wide = wideField(view, extra, extra + (extraLength as number));
  const widened = (value: number): number => {
    if (value !== 0xffffffff) return value;
    if (wide === null || wide.position + 8 > wide.end) return refuse('lacks its length of 64 bits');
    wide = { position: wide.position + 8, end: wide.end };
    return uint64(view, wide.position - 8);
  };
  size = widened(size);
  packed = widened(packed);
  header = widened(header);
  if (packed !== size) refuse(`has ${packed} bytes that become ${size}, but is not compressed`);
  return { record: { name, byteLength: size, crc: view.getUint32(position + 16, true), header }, end };
}

/** Returns the position of the zip64 field among the extra fields; null if there is none. */
function wideField(view: DataView, start: number, end: number): { position: number; end: number } | null {
  for (let position = start; position + 4 <= end; ) {
    const next = position + 4 + view.getUint16(position + 2, true);
    if (view.getUint16(position, true) === 1) return { position: position + 4, end: Math.min(next, end) };
    position = next;
  }
  return null;
}

/** Table k has the CRC of each byte followed by k zero bytes, so that four bytes can be processed at once. */
const tables = [0, 1, 2, 3].map(() => new Int32Array(256)) as [Int32Array, Int32Array, Int32Array, Int32Array];
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  tables[0][byte] = crc;
}
for (const [k, table] of tables.slice(1).entries())
  for (const [byte, crc] of (tables[k] as Int32Array).entries())
    table[byte] = (crc >>> 8) ^ (tables[0][crc & 255] as number);

/** Continues the CRC-32 `before` over `bytes`. */
function crc32(before: number, bytes: Uint8Array): number {
  const [t0, t1, t2, t3] = tables;
  let crc = ~before;
  let i = 0;
  for (; i + 4 <= bytes.length; i += 4) {
    crc ^=
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24);
    crc =
      (t3[crc & 255] as number) ^
      (t2[(crc >>> 8) & 255] as number) ^
      (t1[(crc >>> 16) & 255] as number) ^
      (t0[crc >>> 24] as number);
  }
  for (; i < bytes.length; i++) crc = (crc >>> 8) ^ (t0[(crc ^ (bytes[i] as number)) & 255] as number);
  return ~crc >>> 0;
}
