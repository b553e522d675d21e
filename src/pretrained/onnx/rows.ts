// Weights that are rows of another weight, and concatenations of rows.

import type { Device } from '../../core/device.js';
import type { StoredBlocks, WeightEntry } from '../../models/weight-entry.js';
import { blockRowBytes, formatOf } from '../../ops/packed.js';
import { ComputedWeight } from '../computed-weight.js';

const columnsOf = ({ shape }: WeightEntry) => shape.slice(1).reduce((product, n) => product * n, 1);

/** Returns rows `first` to `end` of a matrix or a vector. */
export function rowsOf(weight: WeightEntry, first: number, end: number): WeightEntry {
  const columns = columnsOf(weight);
  const values = async () => ((await weight.data()) as Float32Array).slice(first * columns, end * columns);
  const blocks = (device: Device): StoredBlocks | undefined => {
    const weightBlocks = weight.blocks?.(device);
    if (weightBlocks === undefined) return undefined;
    const width = rowBytesOf(device, weightBlocks);
    let open: StoredBlocks | undefined = weightBlocks;
    const read = async (buffer: Uint8Array, from: number) => {
      open ??= weight.blocks?.(device) as StoredBlocks;
      await open.read(buffer, from + first * width);
      if (from + buffer.length === (end - first) * width) open = undefined; // it may hold the whole matrix
    };
    return { ...weightBlocks, shape: [end - first, weightBlocks.shape[1]], read };
  };
  return new ComputedWeight([end - first, ...weight.shape.slice(1)], values, blocks, weight.dtype);
}

/** Concatenates the rows of weights. */
export function joinedRows(weights: readonly WeightEntry[]): WeightEntry {
  const [first] = weights as [WeightEntry];
  const rows = weights.reduce((sum, { shape }) => sum + (shape[0] as number), 0);
  const values = async () => {
    const all = new Float32Array(rows * columnsOf(first));
    let offset = 0;
    for (const weight of weights) {
      all.set((await weight.data()) as Float32Array, offset);
      offset += weight.size;
    }
    return all;
  };
  const blocks = (device: Device): StoredBlocks | undefined => {
    const parts = weights.map((weight) => weight.blocks?.(device));
    const [firstPart] = parts;
    if (firstPart === undefined || parts.some((part) => part?.format !== firstPart.format)) return undefined;
    const width = rowBytesOf(device, firstPart);
    const read = async (buffer: Uint8Array, from: number) => {
      let start = 0;
      for (const part of parts as StoredBlocks[]) {
        const end = start + part.shape[0] * width;
        const [a, b] = [Math.max(from, start), Math.min(from + buffer.length, end)];
        if (a < b) await part.read(buffer.subarray(a - from, b - from), a - start);
        start = end;
      }
    };
    return { ...firstPart, shape: [rows, firstPart.shape[1]], read };
  };
  const dtype = weights.every((weight) => weight.dtype === first.dtype) ? first.dtype : 'F32';
  return new ComputedWeight([rows, ...first.shape.slice(1)], values, blocks, dtype);
}

function rowBytesOf(device: Device, { format, shape, padded }: StoredBlocks): number {
  return blockRowBytes(formatOf(device, format), shape[1], padded);
}
