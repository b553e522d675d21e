// Detectors by their pipelines, and their processors, beside what transformers makes of the same images
// (make_detections.py): odd sizes, grey ones and one with alpha.

import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice } from '../../src/index.js';
import { ImageProcessor } from '../../src/pretrained/processors/image.js';
import { Owlv2ImageProcessor } from '../../src/pretrained/processors/owlv2.js';
import { RfDetrImageProcessor } from '../../src/pretrained/processors/rf-detr-images.js';
import { type DetectedObject, pipeline } from '../../src/tasks/index.js';
import { largest } from '../tolerance.js';
import { imageOf, tensors } from './detection-images.js';
import content from './detections.json' with { type: 'json' };

const device = await createDevice({ threads: 2 });
afterAll(() => device.dispose());

const imageNames = [...tensors.keys()].flatMap((name) =>
  name.startsWith('image.') ? [name.slice('image.'.length)] : [],
);

type Kind = keyof typeof content.processors;
const processorOf = (kind: Kind) => {
  const config = content.processors[kind];
  if (kind === 'owlv2') return new Owlv2ImageProcessor(config);
  return kind === 'rf_detr' ? new RfDetrImageProcessor(config) : new ImageProcessor(config, kind);
};

describe.each(Object.keys(content.processors) as Kind[])('the processor of %s', (kind) => {
  it.each(imageNames)('makes the pixels of an image: %s', (name) => {
    const expected = tensors.get(`${kind}.${name}`)!;
    const { shape, data } = processorOf(kind).process([imageOf(name)]);
    expect(shape).toEqual(expected.shape);
    const values = expected.data() as Float32Array;
    // Pillow 13 resizes rows before columns in some shapes, which can round to a neighbouring byte. 0.224 is the
    // smallest standard deviation. OWLv2 adds floats in another order than scipy, and
    // RF-DETR in another one than torch.
    const isExact = kind === 'owlv2' || kind === 'rf_detr';
    const allowed = isExact ? 2 ** -18 * largest(values) : 1.01 / 255 / 0.224;
    expect(largest(data.map((value, i) => value - values[i]!))).toBeLessThan(allowed);
  });
});

/** The files of a detector, with its processor. */
function filesOf(kind: 'detr' | 'rf_detr' | 'rt_detr' | 'owlv2'): Record<string, Uint8Array> {
  const folder = new URL(`../data/families/${kind}/`, import.meta.url);
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const read = (file: string) => [file, new Uint8Array(readFileSync(new URL(file, folder)))] as const;
  return {
    ...Object.fromEntries(['config.json', 'model.safetensors'].map(read)),
    'preprocessor_config.json': json(content.processors[kind]),
    ...(kind === 'owlv2' ? { 'tokenizer.json': json(content.tokenizer), 'tokenizer_config.json': json({}) } : {}),
  };
}

/** Scores may differ by float32's roundings; a side of a box that is nearly a whole number by one pixel. */
function compare(
  found: readonly DetectedObject[],
  expected: readonly { label: string; score: number; box: number[] }[],
) {
  expect(found.map(({ label }) => label)).toEqual(expected.map(({ label }) => label));
  found.forEach(({ score, box: { xmin, ymin, xmax, ymax } }, i) => {
    const { score: wanted, box } = expected[i]!;
    expect(Math.abs(score - wanted)).toBeLessThan(1e-4);
    [xmin, ymin, xmax, ymax].forEach((side, k) => {
      expect(Math.abs(side - box[k]!), `${i}: ${k}`).toBeLessThanOrEqual(1);
    });
  });
}

describe.each(['detr', 'rf_detr', 'rt_detr'] as const)('object-detection by %s', async (kind) => {
  const { threshold, images } = content.found[kind];
  const detect = await pipeline('object-detection', filesOf(kind), { device });
  it.each(Object.entries(images))('finds the objects of an image: %s', async (name, expected) => {
    compare(await detect(imageOf(name), { threshold }), expected);
  });

  it('accepts several images, and returns relative boxes', async () => {
    const [wide, tall] = await detect([imageOf('wide'), imageOf('tall')], { threshold });
    compare(wide!, images.wide);
    compare(tall!, images.tall);
    const [first] = await detect(imageOf('wide'), { threshold, percentage: true });
    const { width, height } = imageOf('wide');
    expect(Math.trunc(first!.box.xmin * width)).toBe(wide![0]!.box.xmin);
    expect(Math.trunc(first!.box.ymax * height)).toBe(wide![0]!.box.ymax);
    expect(await detect(imageOf('wide'), { threshold: 1 })).toEqual([]);
  });

  it('refuses wrong arguments', async () => {
    await expect(detect(3 as never)).rejects.toThrow('object-detection: the image is 3');
    await expect(detect(imageOf('wide'), { threshold: 2 })).rejects.toThrow(
      'threshold is 2, expected a number from 0 to 1',
    );
    await expect(pipeline('zero-shot-object-detection', filesOf(kind), { device })).rejects.toThrow('no tokenizer');
  });
});

describe('zero-shot-object-detection by OWLv2', async () => {
  const { threshold, labels, images } = content.found.owlv2;
  const detect = await pipeline('zero-shot-object-detection', filesOf('owlv2'), { device });
  it.each(Object.entries(images))('finds the objects that texts name: %s', async (name, expected) => {
    compare(await detect(imageOf(name), labels, { threshold }), expected);
  });

  it('gives the best ones', async () => {
    const [both, best] = [await detect(imageOf('wide'), labels), await detect(imageOf('wide'), labels, { top_k: 2 })];
    expect(best).toEqual(both.slice(0, 2));
    await expect(detect(imageOf('wide'), [])).rejects.toThrow('candidate_labels is []');
    await expect(pipeline('object-detection', filesOf('owlv2'), { device })).rejects.toThrow(
      'use zero-shot-object-detection',
    );
  });
});
