// Formats of results: text, JSON lines, or a NumPy array.

import { extname } from 'node:path';
import { ArgumentError } from '../core/errors.js';
import type { ResultFormat } from './line-jobs.js';

/** Format of a file by its extension; undefined for other extensions. */
export function formatOf(path: string | undefined): 'npy' | 'jsonl' | undefined {
  const extension = path === undefined ? '' : extname(path).toLowerCase();
  if (extension === '.npy') return 'npy';
  return extension === '.jsonl' || extension === '.ndjson' ? 'jsonl' : undefined;
}

/** One line of text per result. */
export function textLines<Result>(lineOf: (result: Result) => string): ResultFormat<Result> {
  const encoder = new TextEncoder();
  return { encode: (results) => encoder.encode(results.map((result) => `${lineOf(result)}\n`).join('')) };
}

/** One line of JSON per result. */
export function jsonLines<Result>(shown: (result: Result) => unknown): ResultFormat<Result> {
  return textLines((result) => JSON.stringify(shown(result)));
}

/** Length of the header in bytes. NumPy requires a multiple of 64. */
const HEADER = 128;

/**
 * An array of float32 with one row per result, readable by `numpy.load`. Format:
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, version 1.0.
 */
export function npyRows<Result>(rowOf: (result: Result) => Float32Array): ResultFormat<Result> {
  let columns = 0;
  return {
    encode(results) {
      const rows = results.map(rowOf);
      columns ||= rows[0]?.length ?? 0;
      const odd = rows.find(({ length }) => length !== columns);
      if (odd)
        throw new ArgumentError(`a result has ${odd.length} numbers, expected ${columns} as in the results before it`);
      const bytes = new Uint8Array(rows.length * columns * 4);
      const view = new DataView(bytes.buffer);
      let index = 0;
      for (const row of rows) for (const value of row) view.setFloat32(4 * index++, value, true);
      return bytes;
    },
    header(count) {
      const dictionary = `{'descr': '<f4', 'fortran_order': False, 'shape': (${count}, ${columns}), }`;
      const bytes = new Uint8Array(HEADER).fill(0x20);
      bytes.set([0x93, ...new TextEncoder().encode('NUMPY'), 1, 0, HEADER - 10, 0]);
      bytes.set(new TextEncoder().encode(dictionary), 10);
      bytes[HEADER - 1] = 0x0a;
      return bytes;
    },
  };
}
