// The masks of SAM by its pipeline, beside those of transformers' pipeline (make_masks.py).
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice } from '../../src/index.js';
import type { ImageBytes } from '../../src/pretrained/processors/image.js';
import { type GeneratedMasks, pipeline } from '../../src/tasks/index.js';
import content from './masks.json' with { type: 'json' };

const device = await createDevice({ threads: 2 });
const read = (file: string) => new Uint8Array(readFileSync(new URL(`../data/families/sam/${file}`, import.meta.url)));
const generate = await pipeline(
  'mask-generation',
  {
    ...Object.fromEntries(['config.json', 'model.safetensors'].map((file) => [file, read(file)])),
    'preprocessor_config.json': new TextEncoder().encode(JSON.stringify(content.processor)),
  },
  { device },
);
afterAll(async () => {
  await generate.dispose();
  device.dispose();
});

const [width, height] = content.size as [number, number];
const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7 + ((i * i) % 97)) % 256);
const image: ImageBytes = { width, height, data };
/** Pixels whose logits are within rounding of the threshold. A resized byte can differ by one, too. */
const ODD = 3;

function compareScores(found: GeneratedMasks, scores: readonly number[]) {
  expect(found.scores.length).toBe(scores.length);
  for (const [i, score] of found.scores.entries()) expect(score).toBeCloseTo(scores[i] as number, 3);
}

describe('of a grid of points', () => {
  it.each(content.generated)('$options', async ({ options, scores, boxes, rle }) => {
    const found = await generate(image, { ...options, output_rle_mask: true, output_bboxes_mask: true });
    compareScores(found, scores);
    expect(found.rle_mask?.map(({ size }) => size)).toEqual(rle.map(({ size }) => size));
    for (const [i, mask] of found.masks.entries()) {
      const wanted = fromRuns(rle[i]!.counts);
      expect(odd(mask, wanted), `mask ${i}`).toBeLessThanOrEqual(ODD);
      if (odd(mask, wanted) > 0) continue;
      expect(found.bounding_boxes?.[i]).toEqual(boxes[i]);
      expect(found.rle_mask?.[i]?.counts).toEqual(rle[i]?.counts);
    }
  });
});

/** A byte for each pixel, row by row. */
function fromRuns(counts: readonly number[]): Uint8Array {
  const columns = counts.flatMap((count, i) => Array<number>(count).fill(i % 2 === 0 ? 0 : 255));
  return Uint8Array.from(columns, (_, i) => columns[(i % width) * height + Math.floor(i / width)] as number);
}

function odd({ data }: ImageBytes, wanted: Uint8Array): number {
  return Array.from(data).filter((byte, i) => byte !== wanted[i]).length;
}

describe('of points and boxes', () => {
  it.each(content.prompted)('$options', async ({ options, scores, rows }) => {
    const found = await generate(image, options as object);
    compareScores(found, scores);
    for (const [i, { data }] of found.masks.entries()) {
      const counts = rows[i]!.map((_, y) => data.slice(y * width, (y + 1) * width).filter((byte) => byte > 0).length);
      const wrong = counts.reduce((sum, count, y) => sum + Math.abs(count - (rows[i]![y] as number)), 0);
      expect(wrong, `mask ${i}`).toBeLessThanOrEqual(ODD);
    }
  });
});

describe('refuses', () => {
  it.each([
    [{ input_points: [[[1, 2, 3]]] }, /input_points/],
    [
      {
        input_points: [
          [[1, 2]],
          [
            [1, 2],
            [3, 4],
          ],
        ],
      },
      /input_points/,
    ],
    [{ input_points: [[[1, Number.NaN]]] }, /input_points has NaN/],
    [{ input_labels: [[1]] }, /without input_points/],
    [{ input_points: [[[1, 2]]], input_labels: [[1, 1]] }, /input_labels/],
    [{ input_boxes: [[1, 2, 3]] }, /input_boxes/],
    [{ points_per_crop: 5000 }, /points_per_crop/],
    [{ pred_iou_tresh: 0.5 }, /pred_iou_tresh/],
  ])('%j', async (options, message) => {
    await expect(generate(image, options as object)).rejects.toThrow(message);
  });

  it('refuses another model', async () => {
    const bytes = (file: string) => new Uint8Array(readFileSync(`test/data/families/detr/${file}`));
    const files = { 'config.json': bytes('config.json'), 'model.safetensors': bytes('model.safetensors') };
    await expect(pipeline('mask-generation', files, { device })).rejects.toThrow(/the model is detr, expected SAM/);
  });
});
