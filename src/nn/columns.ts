import type { Tensor } from '../core/tensor.js';
import { contiguous } from '../ops/contiguous.js';
import { gather, slice, transpose } from '../ops/move.js';

/** Returns columns `from` … `to` − 1 of x, [B, T, n]. */
export function columns(x: Tensor, from: number, to: number): Tensor {
  return contiguous(slice(x, 2, from, to));
}

/** Reverses the channels of x, [B, T, channels]. */
export function flipped(x: Tensor): Tensor {
  const channels = x.shape[2] as number;
  const order = Int32Array.from({ length: channels }, (_, i) => channels - 1 - i);
  const rows = transpose(x.reshape(-1, channels)); // [channels, B·T]
  return contiguous(transpose(gather(contiguous(rows), x.device.tensor(order)))).reshape(x.shape);
}
