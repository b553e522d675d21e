// Examples out of files, one after another, whatever their size.

import { nodeModule } from '../backend/node.js';
import { isObject } from '../core/check.js';
import { ArgumentError, FormatError } from '../core/errors.js';

/** Named so that bundlers for pages, which have no files, do not look for it. */
const CSV_PARSE = 'csv-parse';

/** A row of a file: columns by name. */
export type FileRow = Record<string, unknown>;

/**
 * The rows of a file, read as they are asked for, by its extension: `.jsonl` (or `.ndjson`) has an object of JSON in each
 * line, `.json` a list of them, `.csv` and `.tsv` columns under a first line of names, `.parquet` columns by name, `.txt`
 * a label, a space and a text in each line; all but Parquet may be packed, as `.jsonl.gz`. A `.tsv` whose first line has
 * no known name has a text and its label in each line, or two texts and their score. Columns called as in GLUE
 * (`sentence`, `sentence1`, `sentence2`) are the `text` and `pair` of rows. Throws FormatError, naming file and line, for
 * what is damaged, and the file system's errors.
 */
export async function* readRows(path: string): AsyncGenerator<FileRow, void> {
  const kind = /\.([a-z]+)(\.gz)?$/i.exec(path)?.[1]?.toLowerCase();
  switch (kind) {
    case 'jsonl':
    case 'ndjson':
      return yield* jsonLines(path);
    case 'json':
      return yield* jsonList(path);
    case 'csv':
      return yield* columns(path, ',');
    case 'tsv':
      return yield* columns(path, '\t');
    case 'parquet':
      return yield* parquet(path);
    case 'txt':
      return yield* labelledLines(path);
    default:
      throw new ArgumentError(`${path}: expected a file of rows: .jsonl, .json, .csv, .tsv, .parquet or .txt`);
  }
}

async function* jsonLines(path: string): AsyncGenerator<FileRow, void> {
  for await (const [line, number] of lines(path)) {
    if (line.trim() !== '') yield rowOf(parse(path, line, number), path, number);
  }
}

async function* jsonList(path: string): AsyncGenerator<FileRow, void> {
  let text = '';
  for await (const [line] of lines(path)) text += `${line}\n`;
  const list = parse(path, text, 1);
  if (!Array.isArray(list)) throw new FormatError(`${path}: expected a list of rows`);
  for (const [i, row] of list.entries()) yield rowOf(row, path, i + 1);
}

async function* labelledLines(path: string): AsyncGenerator<FileRow, void> {
  for await (const [line, number] of lines(path)) {
    if (line.trim() === '') continue;
    const [, label, text] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    if (text === undefined) throw new FormatError(`${path}: line ${number} is no label, a space and a text`);
    yield { text, label };
  }
}

async function* columns(path: string, delimiter: string): AsyncGenerator<FileRow, void> {
  const loading: Promise<typeof import('csv-parse')> = import(/* @vite-ignore */ /* webpackIgnore: true */ CSV_PARSE);
  const { parse: parser } = await loading.catch((cause) => {
    throw new ArgumentError(`${path}: files of columns need the package csv-parse: npm install csv-parse`, { cause });
  });
  // Quotes of a TSV are characters, as in GLUE's files.
  const quoted = delimiter === ',' ? {} : ({ quote: false } as const);
  const options = { delimiter, bom: true, skip_empty_lines: true, relax_column_count: true, ...quoted };
  const records = (await open(path)).pipe(parser(options));
  let names: readonly string[] | undefined;
  let number = 0;
  try {
    for await (const record of records as AsyncIterable<string[]>) {
      number++;
      if (names === undefined) {
        const isHeader = record.some((name) => KNOWN.has(name.trim()));
        names = isHeader ? record.map((name) => name.trim()) : namesOf(record.length);
        if (isHeader) continue;
      }
      const entries = names.flatMap((name, i) => (record[i] === undefined ? [] : [[name, record[i]] as const]));
      yield rowOf(Object.fromEntries(entries), path, number);
    }
  } catch (cause) {
    if (!String((cause as { code?: unknown }).code).startsWith('CSV_')) throw cause;
    throw new FormatError(`${path}: row ${number + 1}: ${(cause as Error).message}`, { cause });
  }
}

/** Names by which a first line is known to be one of names. */
const KNOWN = new Set(
  'text,pair,label,labels,score,sentence,sentence1,sentence2,text1,text2,source,target,anchor,positive,negative,prompt,chosen,rejected'.split(
    ',',
  ),
);

function namesOf(count: number): readonly string[] {
  return count > 2 ? ['text', 'pair', 'score'] : ['text', 'label'];
}

async function* parquet(path: string): AsyncGenerator<FileRow, void> {
  const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } = await import('hyparquet').catch((cause) => {
    throw new ArgumentError(`${path}: Parquet needs the package hyparquet: npm install hyparquet`, { cause });
  });
  const file = await asyncBufferFromFile(path);
  const damaged = (cause: Error) => {
    throw new FormatError(`${path} cannot be read: ${cause.message}`, { cause });
  };
  const metadata = await parquetMetadataAsync(file).catch(damaged);
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    const rows = await parquetReadObjects({ file, metadata, rowStart, rowEnd }).catch(damaged);
    for (const [i, row] of rows.entries()) yield rowOf(row, path, rowStart + i + 1);
    rowStart = rowEnd;
  }
}

/** Columns of GLUE's files by what rows call them. */
const RENAMED: Readonly<Record<string, string>> = {
  sentence: 'text',
  sentence1: 'text',
  sentence2: 'pair',
  text1: 'text',
  text2: 'pair',
};

function rowOf(value: unknown, path: string, number: number): FileRow {
  if (!isObject(value)) throw new FormatError(`${path}: row ${number} is no object`);
  const row: FileRow = {};
  for (const [name, column] of Object.entries(value)) {
    const known = RENAMED[name];
    row[known !== undefined && !(known in value) ? known : name] = typeof column === 'bigint' ? Number(column) : column;
  }
  return row;
}

function parse(path: string, text: string, number: number): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`${path}: line ${number} is no JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Lines with their numbers, from 1 on. */
async function* lines(path: string): AsyncGenerator<readonly [line: string, number: number], void> {
  const { createInterface } = await nodeModule<typeof import('node:readline')>('readline');
  const input = await open(path);
  let number = 0;
  const reader = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  for await (const line of reader) yield [number === 0 ? line.replace(/^\uFEFF/, '') : line, ++number];
}

/** A file's bytes, unpacked if its name ends in .gz. Throws the file system's errors. */
async function open(path: string): Promise<NodeJS.ReadableStream> {
  const { open: openFile } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
  const bytes = (await openFile(path)).createReadStream();
  if (!path.endsWith('.gz')) return bytes;
  const { createGunzip } = await nodeModule<typeof import('node:zlib')>('zlib');
  return bytes.pipe(createGunzip());
}
