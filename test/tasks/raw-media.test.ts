// Programs of transformers.js that read, change and save images and sounds, with another import. Numbers are those that
// transformers.js 4.3.2 and Pillow give (make_raw_images.mjs, make_raw_images.py).
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp, { type Sharp } from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ArgumentError, ShapeError } from '../../src/index.js';
import { env, load_audio, load_image, pipeline, RawAudio, RawImage, read_audio } from '../../src/tasks/index.js';
import { writeModels } from './program-models.js';
import { rawImagePrograms } from './raw-image-programs.js';
import recorded from './raw-images.json' with { type: 'json' };
import { upscalerFiles } from './upscaler.js';

const folder = mkdtempSync(join(tmpdir(), 'raw-media-'));
const defaults = { ...env };
beforeAll(() => {
  writeModels(folder);
  env.localModelPath = folder;
  env.allowRemoteModels = false;
});
afterAll(() => {
  Object.assign(env, defaults);
  rmSync(folder, { recursive: true });
});

const square = fileURLToPath(new URL('programs/square.png', import.meta.url));
const opened = () => RawImage.read(square);

describe('a RawImage', () => {
  it.each(Object.keys(rawImagePrograms))('%s as transformers.js does', async (name) => {
    const actual = await rawImagePrograms[name]!(RawImage as never, square);
    expect(actual).toEqual((recorded.programs as Record<string, unknown>)[name]);
  });

  it.each(Object.keys(recorded.resized))('is resized as by Pillow: %s', async (key) => {
    const [resample, width, height] = key.split(' ');
    const image = await opened();
    const resized = await image.resize(Number(width), Number(height), { resample: resample as 'box' });
    expect(Array.from(resized.data)).toEqual((recorded.resized as Record<string, number[]>)[key]);
    expect([image.size, resized.size]).toEqual([
      [24, 24],
      [Number(width), Number(height)],
    ]);
  });

  it('is saved in the format of its name', async () => {
    const image = await opened();
    for (const [name, format] of Object.entries({ png: 'png', jpg: 'jpeg', webp: 'webp', tif: 'tiff', avif: 'heif' })) {
      const path = join(folder, `out.${name}`);
      await image.save(path);
      expect((await sharp(path).metadata()).format).toBe(format);
      expect((await RawImage.fromURL(path)).size).toEqual([24, 24]);
    }
    expect(await RawImage.read(join(folder, 'out.png'))).toEqual(image);
    await expect(image.save(join(folder, 'out.svg'))).rejects.toThrow('expected one of png, jpeg');
    const blob = await image.toBlob('image/webp', 0.8);
    expect(blob.type).toBe('image/webp');
    expect((await RawImage.fromBlob(blob)).size).toEqual([24, 24]);
    const bytes = await (image.toSharp() as unknown as Sharp).flip().png().toBuffer();
    expect((await load_image(bytes)).split()[0]!.data.subarray(-24)).toEqual(image.split()[0]!.data.subarray(0, 24));
  });

  it('is an input and a result of pipelines', async () => {
    const remover = await pipeline('background-removal', 'org/segformer-background');
    const image = await opened();
    const cut = await remover(image);
    expect(cut).toEqual(await remover(square));
    expect([cut instanceof RawImage, cut.size, cut.channels]).toEqual([true, [24, 24], 4]);
    expect(image).toEqual(await opened());
    await cut.save(join(folder, 'cut.png'));
    expect(await RawImage.read(join(folder, 'cut.png'))).toEqual(cut);
    expect(await remover(cut)).toEqual(cut); // alpha is dropped
    const canvas = { width: 24, height: 24, getContext: () => ({ getImageData: () => image.clone().rgba() }) };
    expect(await remover(canvas)).toEqual(cut);
    await remover.dispose();

    const estimator = await pipeline('depth-estimation', 'org/depth_anything');
    const { predicted_depth, depth } = await estimator(image);
    expect([predicted_depth.dims, predicted_depth.type]).toEqual([[24, 24], 'float32']);
    expect([depth instanceof RawImage, depth.size, depth.channels]).toEqual([true, [24, 24], 1]);
    await depth.save(join(folder, 'depth.png'));
    expect(Array.from((await RawImage.read(join(folder, 'depth.png'))).data)).toEqual(Array.from(depth.data));
    await estimator.dispose();

    const segmenter = await pipeline('image-segmentation', 'org/segformer');
    for (const { mask } of await segmenter(image)) expect([mask instanceof RawImage, mask.channels]).toEqual([true, 1]);
    await segmenter.dispose();

    const generator = await pipeline('mask-generation', 'org/sam');
    const { masks } = await generator(image, { input_points: [[[5, 9]]], input_labels: [[1]] });
    expect(masks.map((mask) => [mask instanceof RawImage, mask.size])).toEqual(masks.map(() => [true, [24, 24]]));
    await generator.dispose();
  });

  it('is enlarged as by transformers', async () => {
    const upscaler = await pipeline('image-to-image', upscalerFiles());
    const small = await (await opened()).crop([3, 5, 8, 9]);
    const [enlarged, other] = (await upscaler([small, square])) as [RawImage, RawImage];
    expect([enlarged.size, enlarged.channels, other.size]).toEqual([[12, 10], 3, [48, 48]]);
    const odd = enlarged.data.map((value, i) => Math.abs(value - recorded.enlarged[i]!));
    expect(Math.max(...odd)).toBeLessThanOrEqual(1); // halves may be rounded to the other side
    await upscaler.dispose();
  });

  it('refuses wrong values by name', async () => {
    const image = await opened();
    expect(() => new RawImage(new Uint8Array(5), 2, 2, 3)).toThrow(ShapeError);
    await expect(RawImage.read(5 as never)).rejects.toThrow('the image is 5, expected a path');
    await expect(image.resize(0, 5)).rejects.toThrow('resize: the new size is 0 × 5');
    await expect(image.resize(5, 5, { resample: 'cubic' as never })).rejects.toThrow('resample is "cubic"');
    await expect(image.crop([5, 5, 2, 2])).rejects.toThrow('crop: the new size is -2 × -2');
    expect(() => image.convert(2 as never)).toThrow(ArgumentError);
    expect(() => image.putAlpha(image)).toThrow('the mask is 24 × 24 × 3, expected 24 × 24 × 1');
    expect(() => image.toTensor('WHC' as never)).toThrow('the channel format is "WHC"');
    expect(() => image.toCanvas()).toThrow('there is no OffscreenCanvas');
  });
});

describe('a RawAudio', () => {
  it('is made, saved and read', async () => {
    const samples = Float32Array.from({ length: 800 }, (_, i) => Math.sin(i / 9) / 2);
    const audio = new RawAudio([samples.subarray(0, 500), samples.subarray(500)], 16_000);
    expect([audio.data, audio.audio]).toEqual([samples, samples]);
    const path = join(folder, 'output.wav');
    await audio.save(path);
    expect(new Uint8Array(readFileSync(path))).toEqual(audio.toWav());
    expect(new Uint8Array(await audio.toBlob().arrayBuffer())).toEqual(audio.toWav());
    const read = await load_audio(path, 16_000);
    expect(Math.max(...read.map((sample, i) => Math.abs(sample - samples[i]!)))).toBeLessThan(2 ** -15);
    expect(await read_audio(path, 8000)).toHaveLength(400);
  });

  it('is the result of speech', async () => {
    const synthesizer = await pipeline('text-to-audio', 'org/vits');
    const output = await synthesizer('the cat');
    expect([output instanceof RawAudio, output.data]).toEqual([true, output.audio]);
    await synthesizer.dispose();
  });
});
