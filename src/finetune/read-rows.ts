// Reads examples from files of any size, one by one.

import type { Readable } from 'node:stream';
import { nodeModule } from '../backend/node.js';
import { checkOptions, describeValue, isObject } from '../core/check.js';
import { ArgumentError, FormatError } from '../core/errors.js';
import { importPackage, loadOptional } from '../io/optional-package.js';
import { type ColumnNames, isHeader, namesOf, withStandardNames } from './row-columns.js';

/** A row of a file: columns by name. */
export type FileRow = Record<string, unknown>;

/** The file and line of each row. */
const locations = new WeakMap<FileRow, string>();

/** Returns the file of a row from `readRows`, and its line or number in the file. */
export function rowLocation(row: FileRow): string | undefined {
  return locations.get(row);
}

export interface ReadRowsOptions {
  /**
   * Names of columns in the file, by their names in rows: `{ text: 'review', label: 'sentiment' }`. Default: the known
   * names.
   */
  columns?: ColumnNames | undefined;
}

/** A file, and the names of its columns. */
interface TableFile {
  readonly path: string;
  readonly columns: ColumnNames;
  /** Columns that the caller names and that no row had so far. */
  readonly unseen: Set<string>;
}

/**
 * Yields the rows of a file, which are read on demand. The extension decides the format:
 *
 * - `.jsonl`, `.ndjson`: an object of JSON in each line. `.json`: a list of objects.
 * - `.csv`, `.tsv`: columns under a first line of names. `.parquet`: columns by name.
 * - `.tsv` without known names in its first line: a text and its label in each line, or two texts and their score. A
 *   number may come first.
 * - `.txt`: a label, a space and a text in each line.
 * - `.conll`: a word in each line, whose last column is its label, and an empty line after each sentence.
 *
 * All formats except Parquet may be gzipped, as `.jsonl.gz`. Columns with GLUE's names (`sentence`, `sentence1`,
 * `premise` …) become the `text` and `pair` of rows. Throws FormatError, naming file and line, for damaged files. Also
 * throws it at the end if no row had a column of `columns`, and the file system's errors.
 */
export async function* readRows(path: string, options: ReadRowsOptions = {}): AsyncGenerator<FileRow, void> {
  const { columns = {} } = checkOptions('readRows', options, { columns: 'object' });
  for (const [column, name] of Object.entries(columns))
    if (typeof name !== 'string')
      throw new ArgumentError(`readRows: columns.${column} is ${describeValue(name)}, expected the name of a column`);
  const file = { path, columns, unseen: new Set(Object.values(columns)) };
  let count = 0;
  for await (const row of rowsOf(file)) {
    count++;
    yield row;
  }
  const [absent] = file.unseen;
  if (count > 0 && absent !== undefined) throw new FormatError(`${path}: no row has the column ${absent}`);
}

async function* rowsOf(file: TableFile): AsyncGenerator<FileRow, void> {
  const { path } = file;
  const kind = /\.([a-z]+)(\.gz)?$/i.exec(path)?.[1]?.toLowerCase();
  switch (kind) {
    case 'jsonl':
    case 'ndjson':
      return yield* jsonLines(file);
    case 'json':
      return yield* jsonList(file);
    case 'csv':
      return yield* cells(file, ',');
    case 'tsv':
      return yield* cells(file, '\t');
    case 'parquet':
      return yield* parquet(file);
    case 'txt':
      return yield* (await hasColumns(file)) ? cells(file, '\t') : labelledLines(file);
    case 'conll':
      return yield* taggedLines(file);
    default:
      throw new ArgumentError(`${path}: expected a file of rows: .jsonl, .json, .csv, .tsv, .parquet, .txt or .conll`);
  }
}

/** True if the first line of a `.txt` file has names of columns, as in some data sets. */
async function hasColumns({ path, columns }: TableFile): Promise<boolean> {
  for await (const [line] of lines(path)) {
    const names = line.split('\t');
    return names.length > 1 && isHeader(names, columns);
  }
  return false;
}

async function* jsonLines(file: TableFile): AsyncGenerator<FileRow, void> {
  const { path } = file;
  for await (const [line, number] of lines(path)) {
    if (line.trim() !== '') yield rowOf(parse(path, line, number), file, `line ${number}`);
  }
}

async function* jsonList(file: TableFile): AsyncGenerator<FileRow, void> {
  const { path } = file;
  let text = '';
  for await (const [line] of lines(path)) text += `${line}\n`;
  const list = parse(path, text, 1);
  if (!Array.isArray(list)) throw new FormatError(`${path}: expected a list of rows`);
  for (const [i, row] of list.entries()) yield rowOf(row, file, `row ${i + 1}`);
}

async function* labelledLines(file: TableFile): AsyncGenerator<FileRow, void> {
  for await (const [line, number] of lines(file.path)) {
    if (line.trim() === '') continue;
    const [, label, text] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    if (text === undefined) throw new FormatError(`${file.path}: line ${number} is not a label, a space and a text`);
    yield rowOf({ text, label }, file, `line ${number}`);
  }
}

async function* taggedLines(file: TableFile): AsyncGenerator<FileRow, void> {
  let [tokens, labels]: [string[], string[]] = [[], []];
  let first = 1;
  for await (const [line, number] of lines(file.path)) {
    const cells = line.trim().split(/\s+/);
    if (cells.length > 1 && cells[0] !== '-DOCSTART-') {
      if (tokens.length === 0) first = number;
      tokens.push(cells[0] as string);
      labels.push(cells.at(-1) as string);
      continue;
    }
    if (cells.length === 1 && cells[0] !== '')
      throw new FormatError(`${file.path}: line ${number} is not a word and its label`);
    if (tokens.length > 0) yield rowOf({ tokens, labels }, file, `line ${first}`);
    [tokens, labels] = [[], []];
  }
  if (tokens.length > 0) yield rowOf({ tokens, labels }, file, `line ${first}`);
}

async function* cells(file: TableFile, delimiter: string): AsyncGenerator<FileRow, void> {
  const { path, columns } = file;
  const { parse: parser } = await loadOptional('A file of columns (CSV or TSV)', () =>
    importPackage<typeof import('csv-parse')>('csv-parse'),
  );
  // Quotes of a TSV are characters, as in GLUE's files.
  const quoted = delimiter === ',' ? {} : ({ quote: false } as const);
  const options = { delimiter, skip_empty_lines: true, relax_column_count: true, info: true, ...quoted };
  const { pipeline } = await nodeModule<typeof import('node:stream')>('stream');
  const records = pipeline(textOf(path), parser(options), () => {}); // the loop gets the errors
  let names: readonly string[] | undefined;
  let last = 0;
  try {
    for await (const { record, info } of records as AsyncIterable<{ record: string[]; info: { lines: number } }>) {
      last = info.lines;
      if (names === undefined) {
        const isNamed = isHeader(record, columns);
        if (!isNamed && delimiter === ',')
          throw new FormatError(
            `${path}: the columns are called ${record.join(', ')}: expected text, label, pair or score among them, or ` +
              'names for them, such as --columns text=review,label=stars',
          );
        names = isNamed ? record.map((name) => name.trim()) : namesOf(record);
        if (isNamed) continue;
      }
      const entries = names.flatMap((name, i) => (record[i] === undefined ? [] : [[name, record[i]] as const]));
      yield rowOf(Object.fromEntries(entries), file, `line ${last}`);
    }
  } catch (cause) {
    if (!String((cause as { code?: unknown }).code).startsWith('CSV_')) throw cause;
    throw new FormatError(`${path}: line ${last + 1}: ${(cause as Error).message}`, { cause });
  }
}

async function* parquet(table: TableFile): AsyncGenerator<FileRow, void> {
  const { path } = table;
  const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } = await loadOptional('A Parquet file', () =>
    importPackage<typeof import('hyparquet')>('hyparquet'),
  );
  const file = await asyncBufferFromFile(path);
  const damaged = (cause: Error) => {
    throw new FormatError(`${path} cannot be read: ${cause.message}`, { cause });
  };
  const metadata = await parquetMetadataAsync(file).catch(damaged);
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    const rows = await parquetReadObjects({ file, metadata, rowStart, rowEnd }).catch(damaged);
    for (const [i, row] of rows.entries()) yield rowOf(row, table, `row ${rowStart + i + 1}`);
    rowStart = rowEnd;
  }
}

function rowOf(value: unknown, { path, columns, unseen }: TableFile, location: string): FileRow {
  if (!isObject(value)) throw new FormatError(`${path}: ${location} is not an object`);
  for (const column of unseen) if (column in value) unseen.delete(column);
  const row = withStandardNames(value as Record<string, unknown>, columns);
  locations.set(row, `${path}: ${location}`);
  return row;
}

function parse(path: string, text: string, number: number): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`${path}: line ${number} is not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Lines with their numbers, from 1 on. They end as in Python: U+2028 is a character of a line. */
async function* lines(path: string): AsyncGenerator<readonly [line: string, number: number], void> {
  let number = 0;
  let begun: string[] = [];
  let held = ''; // a carriage return whose line feed may follow
  for await (const part of textOf(path)) {
    const text = held + part;
    held = text.endsWith('\r') ? '\r' : '';
    const found = text.slice(0, text.length - held.length).split(/\r\n?|\n/);
    const last = found.pop() as string;
    for (const line of found) {
      yield [begun.join('') + line, ++number];
      begun = [];
    }
    begun.push(last);
  }
  const line = begun.join('');
  if (held !== '' || line !== '') yield [line, ++number];
}

/**
 * Yields the text of a file in parts, decompressed if its name ends in .gz. Throws the file system's errors, and
 * FormatError for damaged files, with the line of the first bytes that are not UTF-8.
 */
async function* textOf(path: string): AsyncGenerator<string, void> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let line = 1;
  const linesIn = (text: string) => text.split('\n').length - 1;
  const decoded = (bytes: Uint8Array, stream: boolean) => {
    try {
      const text = decoder.decode(bytes, { stream });
      line += linesIn(text);
      return text;
    } catch (cause) {
      // Bytes at the start may complete a character of the part before.
      const start = bytes.findIndex((byte) => byte >> 6 !== 2);
      const [valid = ''] = new TextDecoder().decode(bytes.subarray(Math.max(start, 0))).split('\ufffd', 1);
      throw new FormatError(`${path}: line ${line + linesIn(valid)} is not text in UTF-8`, { cause });
    }
  };
  try {
    for await (const bytes of await open(path)) yield decoded(bytes, true);
  } catch (cause) {
    if (!String((cause as { code?: unknown }).code).startsWith('Z_')) throw cause;
    throw new FormatError(`${path} cannot be decompressed: ${(cause as Error).message}`, { cause });
  }
  yield decoded(new Uint8Array(), false);
}

async function open(path: string): Promise<Readable> {
  const { open: openFile } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
  const bytes = (await openFile(path)).createReadStream();
  if (!path.endsWith('.gz')) return bytes;
  const { createGunzip } = await nodeModule<typeof import('node:zlib')>('zlib');
  const { pipeline } = await nodeModule<typeof import('node:stream')>('stream');
  return pipeline(bytes, createGunzip(), () => {}); // the reader gets the errors
}
