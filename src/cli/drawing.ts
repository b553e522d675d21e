// Boxes and masks on images.

import { atOnce } from '../core/slices.js';
import { type ImageBytes, rgbOf } from '../pretrained/processors/image.js';
import type { DetectedObject } from '../tasks/index.js';
import { colorOf } from './colors.js';

/** Returns the image with a colored frame around each object. Frames of objects with higher scores cover others. */
export function withBoxes(image: ImageBytes, objects: readonly Pick<DetectedObject, 'box'>[]): ImageBytes {
  const { width, height, data } = atOnce(rgbOf(image));
  const drawn = Uint8Array.from(data);
  const thickness = Math.max(1, Math.round(Math.max(width, height) / 400));
  const fill = (left: number, top: number, right: number, bottom: number, color: readonly number[]) => {
    for (let y = Math.max(0, top); y < Math.min(height, bottom); y++)
      for (let x = Math.max(0, left); x < Math.min(width, right); x++) drawn.set(color, (y * width + x) * 3);
  };
  for (let i = objects.length - 1; i >= 0; i--) {
    const { xmin, ymin, xmax, ymax } = (objects[i] as DetectedObject).box;
    const color = colorOf(i);
    fill(xmin, ymin, xmax, ymin + thickness, color);
    fill(xmin, ymax - thickness, xmax, ymax, color);
    fill(xmin, ymin, xmin + thickness, ymax, color);
    fill(xmax - thickness, ymin, xmax, ymax, color);
  }
  return { width, height, data: drawn };
}

/** Returns the image, half covered by the color of each mask. The first mask covers others. */
export function withMasks(image: ImageBytes, masks: readonly ImageBytes[]): ImageBytes {
  const { width, height, data } = atOnce(rgbOf(image));
  const drawn = Uint8Array.from(data);
  for (let i = masks.length - 1; i >= 0; i--) {
    const color = colorOf(i);
    const mask = masks[i] as ImageBytes;
    for (let index = 0; index < mask.data.length; index++)
      if (mask.data[index] === 255)
        for (const [c, value] of color.entries()) drawn[index * 3 + c] = ((data[index * 3 + c] as number) + value) >> 1;
  }
  return { width, height, data: drawn };
}
