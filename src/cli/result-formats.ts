// How results are written: as text, as JSON lines, or as an array of NumPy's.

import { extname } from 'node:path';
import { ArgumentError } from '../core/errors.js';
import type { ResultFormat } from './line-jobs.js';

/** The format of a file by the end of its name; undefined if that says nothing. */
export function formatOf(path: string | undefined): 'npy' | 'jsonl' | undefined {
  const extension = path === undefined ? '' : extname(path).toLowerCase();
  if (extension === '.npy') return 'npy';
  return extension === '.jsonl' || extension === '.ndjson' ? 'jsonl' : undefined;
}

/** A line for each result. */
export function textLines<Result>(lineOf: (result: Result) => string): ResultFormat<Result> {
  const encoder = new TextEncoder();
  return { encode: (results) => encoder.encode(results.map((result) => `${lineOf(result)}\n`).join('')) };
}

/** A line of JSON for each result. */
export function jsonLines<Result>(shown: (result: Result) => unknown): ResultFormat<Result> {
  return textLines((result) => JSON.stringify(shown(result)));
}

/** Bytes of a header; NumPy wants a multiple of 64. */
const HEADER = 128;

/**
 * A row of as many float32 numbers for each result, as `numpy.load` reads it. Its format is
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, version 1.0.
 */
export function npyRows<Result>(rowOf: (result: Result) => Float32Array): ResultFormat<Result> {
  let columns = 0;
  return {
    encode(results) {
      const rows = results.map(rowOf);
      columns ||= rows[0]?.length ?? 0;
      const odd = rows.find(({ length }) => length !== columns);
      if (odd) throw new ArgumentError(`a result has ${odd.length} numbers, those before it have ${columns}`);
      const bytes = new Uint8Array(rows.length * columns * 4);
      const view = new DataView(bytes.buffer);
      let at = 0;
      for (const row of rows) for (const value of row) view.setFloat32(4 * at++, value, true);
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
