import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { readRows, rowLocation } from '../../src/finetune/index.js';
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
  it('reads JSON lines, gzipped or not, and lists', async () => {
    const rows = [
      { text: 'a "b"', label: 1 },
      { text: 'ü\n', label: 0 },
    ];
    const lines = `\uFEFF${rows.map((row) => JSON.stringify(row)).join('\r\n')}\n\n`;
    expect(await rowsOf('a.jsonl', lines)).toEqual(rows);
    expect(await rowsOf('a.jsonl.gz', gzipSync(lines))).toEqual(rows);
    expect(await rowsOf('a.json', JSON.stringify(rows))).toEqual(rows);
  });

  it('ends lines as Python does', async () => {
    const rows = ['a\u2028b\u2029c\u0085d', 'e'].map((text) => ({ text }));
    for (const end of ['\n', '\r\n', '\r'])
      expect(await rowsOf('ends.jsonl', rows.map((row) => JSON.stringify(row)).join(end))).toEqual(rows);
    // Reads have 64 KiB: the carriage return is the last byte of the first one.
    const long = { text: 'x'.repeat(2 ** 16 - '{"text":""}'.length - 1) };
    const lines = [long, long, { text: 'y' }].map((row) => `${JSON.stringify(row)}\r\n`);
    writeFileSync(join(folder, 'long.jsonl'), lines.join(''));
    const places = [];
    for await (const row of readRows(join(folder, 'long.jsonl'))) places.push(rowLocation(row));
    expect(places).toEqual([1, 2, 3].map((line) => `${join(folder, 'long.jsonl')}: line ${line}`));
  });

  it('refuses damaged compression', async () => {
    const whole = gzipSync('text,label\none,x\n');
    for (const [name, bytes] of [
      ['cut.csv.gz', whole.subarray(0, -12)],
      ['cut.jsonl.gz', gzipSync('{"text": "one"}\n').subarray(0, -9)],
      ['plain.jsonl.gz', Buffer.from('{"text": "one"}')],
    ] as const) {
      const error = await rowsOf(name, bytes).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(FormatError);
      expect((error as Error).message).toContain(`${name} cannot be decompressed: `);
    }
  });

  it('refuses other encodings than UTF-8, and names the line', async () => {
    const latin = (text: string) => Buffer.from(text, 'latin1');
    const refused = async (name: string, content: Uint8Array, line: number) => {
      const error = await rowsOf(name, content).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(FormatError);
      expect((error as Error).message).toBe(`${join(folder, name)}: line ${line} is not text in UTF-8`);
    };
    await refused('l.csv', latin('text,label\nbon,x\ncaf\u00e9,y\n'), 3);
    await refused('l.jsonl', latin('{"text": "bon"}\n{"text": "caf\u00e9"}'), 2);
    await refused('l.jsonl.gz', gzipSync(latin('{"text": "caf\u00e9"}')), 1);
    await refused('l.txt', latin('1 caf\u00e9'), 1); // the file ends in the middle of a character
    await refused('utf16.csv', Buffer.from('\ufefftext,label\n', 'utf16le'), 1);
    // Characters that parts of the file cut.
    const long = `${'\u20ac'.repeat(100_000)}\n`;
    expect(await rowsOf('long.txt', `a ${long}b ${long}`)).toEqual(
      ['a', 'b'].map((label) => ({ text: long.trim(), label })),
    );
    await refused('long.txt', Buffer.concat([Buffer.from(`a ${long}b ${long}`), latin('c \u00e9 e\n')]), 3);
  });

  it('reads columns with and without names, and those of GLUE', async () => {
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

  it('knows the column names of published data sets, and uses the first', async () => {
    expect(await rowsOf('c.tsv', 'Quality\t#1 ID\t#1 String\t#2 String\n1\t7\ta\tb\n')).toEqual([
      { label: '1', '#1 ID': '7', text: 'a', pair: 'b' },
    ]);
    expect(await rowsOf('c.jsonl', '{"question": "a?", "sentence": "b", "label": 0}')).toEqual([
      { text: 'a?', pair: 'b', label: 0 },
    ]);
    expect(await rowsOf('d.jsonl', '{"premise": "a", "hypothesis": "b", "text": "own"}')).toEqual([
      { premise: 'a', pair: 'b', text: 'own' },
    ]);
    expect(await rowsOf('e.jsonl', '{"tokens": ["a"], "ner_tags": [3]}')).toEqual([{ tokens: ['a'], labels: [3] }]);
    const sick = 'pair_ID\tsentence_A\tsentence_B\trelatedness_score\n1\ta b\tc d\t4.5\n';
    expect(await rowsOf('sick.txt', sick)).toEqual([{ pair_ID: '1', text: 'a b', pair: 'c d', score: '4.5' }]);
    expect(await rowsOf('f.tsv', '0\tgood film\n1\tbad\n')).toEqual([
      { text: 'good film', label: '0' },
      { text: 'bad', label: '1' },
    ]);
    expect(await rowsOf('g.tsv', '3.5\ta b\tc d\n')).toEqual([{ score: '3.5', text: 'a b', pair: 'c d' }]);
    expect(await rowsOf('h.tsv', 'a b\tc d\tentailment\n')).toEqual([
      { text: 'a b', pair: 'c d', label: 'entailment' },
    ]);
  });

  it('reads columns by given names, and refuses a CSV with unknown ones', async () => {
    const csv = 'review,sentiment\n"a, b",positive\n';
    await expect(rowsOf('i.csv', csv)).rejects.toThrow(
      /i.csv: the columns are called review, sentiment: expected text/,
    );
    const rows = [];
    for await (const row of readRows(join(folder, 'i.csv'), { columns: { text: 'review', label: 'sentiment' } })) {
      rows.push(row);
    }
    expect(rows).toEqual([{ text: 'a, b', label: 'positive' }]);
    for (const [name, content] of [
      ['j.csv', 'text,label\na,b\n'],
      ['j.jsonl', '{"text": "a", "label": "b"}\n{"text": "c"}'],
    ] as const) {
      writeFileSync(join(folder, name), content);
      const read = async (label: string) => {
        for await (const _ of readRows(join(folder, name), { columns: { label } }));
      };
      await read('label');
      await expect(read('labl')).rejects.toThrow(`${join(folder, name)}: no row has the column labl`);
    }
    await expect(readRows('i.csv', { names: {} } as never).next()).rejects.toThrow(ArgumentError);
  });

  it('reads words and their labels, line by line', async () => {
    const lines = '-DOCSTART- -X- O\n\nAda NNP B-PER\nwrites VBZ O\n\n\nParis NNP B-LOC';
    const rows = (await rowsOf('a.conll', lines)) as Record<string, unknown>[];
    expect(rows).toEqual([
      { tokens: ['Ada', 'writes'], labels: ['B-PER', 'O'] },
      { tokens: ['Paris'], labels: ['B-LOC'] },
    ]);
    expect(rows.map((row) => rowLocation(row)?.split(': ')[1])).toEqual(['line 3', 'line 7']);
    await expect(rowsOf('bad.conll', 'Ada B-PER\nalone\n')).rejects.toThrow(/bad.conll: line 2/);
  });

  it('remembers the line of each row', async () => {
    const place = async (name: string, content: string) =>
      ((await rowsOf(name, content)) as Record<string, unknown>[]).map((row) => rowLocation(row)?.split(': ')[1]);
    expect(await place('j.jsonl', '{"text": "a"}\n\n{"text": "b"}')).toEqual(['line 1', 'line 3']);
    expect(await place('j.csv', 'text,label\n"a\nb",1\n\nc,0\n')).toEqual(['line 3', 'line 5']);
    expect(await place('j.json', '[{"text": "a"}, {"text": "b"}]')).toEqual(['row 1', 'row 2']);
  });

  it('reads lines of a label and a text', async () => {
    expect(await rowsOf('a.txt', '1 good film .\n0 bad\n')).toEqual([
      { text: 'good film .', label: '1' },
      { text: 'bad', label: '0' },
    ]);
  });

  it('reads Parquet, group by group (make_rows.py)', async () => {
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
    writeFileSync(join(folder, 'bad.parquet'), 'PAR1 is not a file');
    await expect(first(join(folder, 'bad.parquet'))).rejects.toThrow(FormatError);
    await expect(first(join(folder, 'none.parquet'))).rejects.toThrow('ENOENT');
  });

  it('names the position of damage', async () => {
    await expect(rowsOf('bad.jsonl', '{"text": "a"}\n{"text"')).rejects.toThrow(/bad.jsonl: line 2/);
    await expect(rowsOf('number.jsonl', '3\n')).rejects.toThrow(FormatError);
    await expect(rowsOf('bad.csv', 'text,label\n"a,b\n')).rejects.toThrow(FormatError);
    await expect(rowsOf('a.xlsx', '')).rejects.toThrow(ArgumentError);
  });
});
