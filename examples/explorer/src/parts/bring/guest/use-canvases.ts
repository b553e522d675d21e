import { useMemo } from 'preact/hooks';
import type { ImageBytes } from 'simdformer/pretrained';

/** Pictures on canvases, to be drawn below others. */
export function useCanvases(pictures: readonly ImageBytes[]): readonly HTMLCanvasElement[] {
  return useMemo(() => pictures.map(canvasOf), [pictures]);
}

function canvasOf({ width, height, data }: ImageBytes): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width, height });
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  const pixels = context.createImageData(width, height);
  const channels = data.length / (width * height);
  for (let i = 0; i < width * height; i++)
    pixels.data.set([...data.subarray(i * channels, i * channels + 3), 255], 4 * i);
  context.putImageData(pixels, 0, 0);
  return canvas;
}
