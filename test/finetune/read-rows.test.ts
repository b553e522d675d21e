import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { readRows } from '../../src/finetune/index.js';
import { ArgumentError, FormatError } from '../../src/index.js';

const folder = mkdtempSync(join(tmpdir(), 'simdformer-rows-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function rowsOf(name: string, content: string | Uint8Array): Promise<unknown[]> {
  writeFileSync(join(folder, name), content);
  const rows = [];
  for await (const row of readRows(join(folder, name))) rows.push(row);
  return rows;
}

describe('rows of files', () => {
  it('JSON lines, packed or not, and lists', async () => {
    const rows = [
      { text: 'a "b"', label: 1 },
      { text: 'ü\n', label: 0 },
    ];
    const lines = `\uFEFF${rows.map((row) => JSON.stringify(row)).join('\r\n')}\n\n`;
    expect(await rowsOf('a.jsonl', lines)).toEqual(rows);
    expect(await rowsOf('a.jsonl.gz', gzipSync(lines))).toEqual(rows);
    expect(await rowsOf('a.json', JSON.stringify(rows))).toEqual(rows);
  });

  it('columns, with names or without, and those of GLUE', async () => {
    expect(await rowsOf('a.csv', 'text,label\n"one, ""two""",x\nthree,y\n')).toEqual([
      { text: 'one, "two"', label: 'x' },
      { text: 'three', label: 'y' },
    ]);
    expect(await rowsOf('a.tsv', 'sentence1\tsentence2\tscore\nhe said "\tno\t2.5\n')).toEqual([
      { text: 'he said "', pair: 'no', score: '2.5' },
    ]);
    expect(await rowsOf('b.tsv', 'good film\t1\nbad\t0\n')).toEqual([
      { text: 'good film', label: '1' },
      { text: 'bad', label: '0' },
    ]);
  });

  it('lines of a label and a text', async () => {
    expect(await rowsOf('a.txt', '1 good film .\n0 bad\n')).toEqual([
      { text: 'good film .', label: '1' },
      { text: 'bad', label: '0' },
    ]);
  });

  it('Parquet, group after group (make_rows.py)', async () => {
    const rows = [];
    for await (const row of readRows('test/finetune/rows.parquet')) rows.push(row);
    expect(rows).toEqual([
      { text: 'good film', label: 1, labels: ['a'], score: 0.5 },
      { text: 'bad', label: 0, labels: ['a', 'b'], score: 1.25 },
      { text: 'ü “so”', label: 1, labels: [], score: -3 },
      { text: null, label: 0, labels: ['b'], score: 0 },
      { text: 'the last', label: 1, labels: ['c'], score: 2 },
    ]);
    const first = async (path: string) => (await readRows(path).next()).value;
    await expect(first('test/finetune/packed.parquet')).rejects.toThrow(/packed.parquet cannot be read: .*ZSTD/);
    writeFileSync(join(folder, 'bad.parquet'), 'PAR1 is no file');
    await expect(first(join(folder, 'bad.parquet'))).rejects.toThrow(FormatError);
    await expect(first(join(folder, 'none.parquet'))).rejects.toThrow('ENOENT');
  });

  it('says where they are damaged', async () => {
    await expect(rowsOf('bad.jsonl', '{"text": "a"}\n{"text"')).rejects.toThrow(/bad.jsonl: line 2/);
    await expect(rowsOf('number.jsonl', '3\n')).rejects.toThrow(FormatError);
    await expect(rowsOf('bad.csv', 'text,label\n"a,b\n')).rejects.toThrow(FormatError);
    await expect(rowsOf('a.xlsx', '')).rejects.toThrow(ArgumentError);
  });
});
