// Panoptic, instance and semantic segmentation beside transformers' processor (make_segments.py).
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice } from '../../src/index.js';
import { type ImageSegmentationOptions, pipeline, type Segment } from '../../src/tasks/index.js';
import { classesOf, segmentsOf } from '../../src/tasks/segments.js';
import { imageOf } from './detection-images.js';
import content from './segments.json' with { type: 'json' };

const device = await createDevice({ threads: 2 });
const bytes = (path: string) => new Uint8Array(readFileSync(new URL(path, import.meta.url)));
const panoptic = '../data/families/detr-panoptic';
const segment = await pipeline(
  'image-segmentation',
  {
    'config.json': bytes(`${panoptic}/config.json`),
    'model.safetensors': bytes(`${panoptic}/model.safetensors`),
    'preprocessor_config.json': new TextEncoder().encode(JSON.stringify(content.processor)),
  },
  { device },
);
afterAll(async () => {
  await segment.dispose();
  device.dispose();
});

interface Expected {
  readonly score: number | null;
  readonly label: number;
  /** Pixels in each row. */
  readonly rows: readonly number[];
}

/** Pixels whose probabilities differ by rounding. */
const ODD = 3;

function compare(found: readonly Segment[], expected: readonly Expected[]) {
  expect(found.map(({ label }) => label)).toEqual(expected.map(({ label }) => `LABEL_${label}`));
  for (const [i, { score, mask }] of found.entries()) {
    const { score: wanted, rows } = expected[i]!;
    if (wanted === null) expect(score).toBeNull();
    else expect(score).toBeCloseTo(wanted, 3);
    compareRows(mask.data as Uint8Array, mask.width, rows);
  }
}

function compareRows(mask: ArrayLike<number>, width: number, rows: readonly number[]) {
  expect(mask.length).toBe(width * rows.length);
  const counts = rows.map(
    (_, y) => Array.from({ length: width }, (_, x) => mask[y * width + x]).filter(Boolean).length,
  );
  expect(counts.reduce((sum, count, y) => sum + Math.abs(count - rows[y]!), 0)).toBeLessThanOrEqual(ODD);
}

describe('image-segmentation by DETR', () => {
  it.each(content.images)('finds the segments of $image with $options', async ({ image, options, segments }) => {
    compare(await segment(imageOf(image), options as ImageSegmentationOptions), segments);
  });

  it('takes several images, of which each has a target size', async () => {
    const images = [imageOf('wide'), imageOf('tall')];
    const options = { threshold: 0.3, mask_threshold: 0.1, overlap_mask_area_threshold: 0 };
    const sizes = [[5, 7] as const, [6, 4] as const];
    const found = await segment(images, { ...options, target_sizes: sizes });
    expect(found.map((each) => each.map(({ mask: { width, height } }) => [height, width]))).toEqual(
      sizes.map((size) => [size]),
    );
    expect(await segment(images, { threshold: 1 })).toEqual([[], []]);
  });

  it('refuses wrong arguments', async () => {
    const image = imageOf('wide');
    await expect(segment(image, { subtask: 'all' as never })).rejects.toThrow(
      'subtask is "all", expected one of panoptic',
    );
    await expect(segment(image, { mask_threshold: 2 })).rejects.toThrow('mask_threshold is 2');
    await expect(segment(image, { label_ids_to_fuse: [0.5] })).rejects.toThrow('a Set or an array of integers');
  });

  it('refuses models without such a head, and subtasks that a model does not do', async () => {
    const files = (folder: string) => ({
      'config.json': bytes(`../data/${folder}/config.json`),
      'model.safetensors': bytes(`../data/${folder}/model.safetensors`),
      'preprocessor_config.json': new TextEncoder().encode('{}'),
    });
    await expect(pipeline('image-segmentation', files('families/detr'), { device })).rejects.toThrow(
      'the model is detr without a head for it, expected one such as DetrForSegmentation',
    );
    const label = await pipeline('image-segmentation', files('families/segformer'), { device });
    await expect(label(imageOf('wide'), { subtask: 'instance' })).rejects.toThrow(
      'subtask is "instance", which segformer does not do: expected one of semantic',
    );
    await label.dispose();
  });
});

describe('segments of waves', () => {
  const [height, width] = content.waves.size as [number, number];
  /** Logits of 14 queries, for 5 classes and none, and of their masks. */
  const logits = device.tensor(
    Float32Array.from({ length: 14 * 6 }, (_, i) => {
      const [query, label] = [Math.floor(i / 6), i % 6];
      return 3 * Math.sin(query * 2.3 + label * 1.9 + 0.4 * query * label);
    }),
    [1, 14, 6],
  );
  const predMasks = device.tensor(
    Float32Array.from({ length: 14 * 13 * 17 }, (_, i) => {
      const [query, y, x] = [Math.floor(i / 221), Math.floor(i / 17) % 13, i % 17];
      return 5 * Math.sin(y / 3 + query * 1.3) * Math.cos(x / (2 + query / 4) - query) - 1;
    }),
    [1, 14, 13, 17],
  );
  const find = (options: { readonly [name: string]: unknown }) =>
    segmentsOf({ logits, predMasks }, [height, width], {
      threshold: 0.5,
      mask_threshold: 0.5,
      overlap_mask_area_threshold: 0.8,
      ...options,
      label_ids_to_fuse: new Set(options.label_ids_to_fuse as number[] | undefined),
    });

  it.each(content.waves.cases)('$options', async ({ options, segments: expected }) => {
    if (options.subtask === 'semantic') {
      const map = await classesOf({ logits, predMasks }, [height, width]);
      const ids = [...new Set(map)].sort((a, b) => a - b);
      expect(ids).toEqual(expected.map(({ label }) => label));
      for (const [i, id] of ids.entries())
        compareRows(
          map.map((each) => Number(each === id)),
          width,
          expected[i]!.rows,
        );
      return;
    }
    const { map, segments } = await find(options);
    expect(segments.map(({ labelId }) => labelId)).toEqual(expected.map(({ label }) => label));
    for (const [i, { id, score }] of segments.entries()) {
      expect(score).toBeCloseTo(expected[i]!.score as number, 5);
      compareRows(
        map.map((each) => Number(each === id)),
        width,
        expected[i]!.rows,
      );
    }
  });

  it('have ids of their own, except those that are joined', async () => {
    const { segments } = await find({
      threshold: 0.2,
      overlap_mask_area_threshold: 0.1,
      label_ids_to_fuse: [0, 1, 2, 3, 4],
    });
    const labels = segments.map(({ labelId }) => labelId);
    expect(labels.length).toBeGreaterThan(new Set(labels).size);
    expect(new Set(segments.map(({ id }) => id)).size).toBe(new Set(labels).size);
  });
});
