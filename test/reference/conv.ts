import { build, type Reals } from './reals.js';

interface Geometry {
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
}

/**
 * torch.nn.functional.conv2d as its documentation writes it: x [B, C, H, W], w [out, C / groups, kh, kw], bias [out] or
 * null.
 */
export function conv2d(x: Reals, w: Reals, bias: Reals | null, { stride, padding, dilation, groups }: Geometry): Reals {
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  const [out, each, kh, kw] = w.shape as [number, number, number, number];
  const sizeOut = (size: number, kernel: number, d: 0 | 1) =>
    Math.floor((size + 2 * padding[d] - dilation[d] * (kernel - 1) - 1) / stride[d]) + 1;
  const [rows, cols] = [sizeOut(height, kh, 0), sizeOut(width, kw, 1)];
  return build([batch, out, rows, cols], (index) => {
    const [ox, oy] = [index % cols, Math.floor(index / cols) % rows];
    const [o, b] = [Math.floor(index / cols / rows) % out, Math.floor(index / cols / rows / out)];
    const first = Math.floor(o / (out / groups)) * each;
    let sum = bias?.data[o] ?? 0;
    for (let c = 0; c < each; c++) {
      for (let i = 0; i < kh; i++) {
        for (let j = 0; j < kw; j++) {
          const [y, z] = [oy * stride[0] + i * dilation[0] - padding[0], ox * stride[1] + j * dilation[1] - padding[1]];
          if (y < 0 || y >= height || z < 0 || z >= width) continue;
          const at = ((b * channels + first + c) * height + y) * width + z;
          sum += x.data[at]! * w.data[((o * each + c) * kh + i) * kw + j]!;
        }
      }
    }
    return sum;
  });
}
