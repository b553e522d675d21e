import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ArgumentError, FormatError } from '../../src/core/errors.js';
import { parseSafetensors } from '../../src/io/safetensors.js';
import { openSource } from '../../src/pretrained/open-source.js';
import { decodeImage } from '../../src/pretrained/processors/decode-image.js';
import { Fft } from '../../src/pretrained/processors/fft.js';
import { ImageProcessor, type RawImage } from '../../src/pretrained/processors/image.js';
import { imageTextProcessor } from '../../src/pretrained/processors/image-text.js';
import { imageProcessor, loadProcessor } from '../../src/pretrained/processors/load-processor.js';
import { resample } from '../../src/pretrained/processors/resample.js';
import { resize } from '../../src/pretrained/processors/resize.js';
import { mixDown, readWav } from '../../src/pretrained/processors/wav.js';
import { WhisperFeatureExtractor } from '../../src/pretrained/processors/whisper.js';
import { testData } from '../test-data.js';

// Results recorded by make_processors.py, for images and audio that it and these functions generate alike.
const recorded = parseSafetensors(readFileSync(new URL('processors.safetensors', import.meta.url))).tensors;

function* wordsOf(seed: number): Generator<number, never> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state >>> 16;
  }
}

function pictureOf(width: number, height: number, channels: number, seed: number): RawImage {
  const words = wordsOf(seed);
  const data = new Uint8Array(width * height * channels);
  for (let y = 0, at = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < channels; c++) data[at++] = ((x * 7 + y * 3 + c * 50) % 171) + (words.next().value % 85);
  return { width, height, data };
}

function soundOf(count: number, seed: number): Float32Array {
  const words = wordsOf(seed);
  const silent = Math.floor(count / 2);
  return Float32Array.from({ length: count }, (_, t) => {
    const sample = 0.5 * Math.sin(0.05 * t + 1e-6 * t * t) + (words.next().value - 32768) / 65536 / 2;
    return t >= silent && t < silent + Math.floor(count / 10) ? 0 : sample;
  });
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return largest;
}

describe('Fft', () => {
  it.each([1, 2, 3, 8, 30, 49, 97, 400])('is the sum of its definition for %i numbers', (n) => {
    const words = wordsOf(n);
    const random = () => Float64Array.from({ length: n }, () => words.next().value / 32768 - 1);
    const [re, im] = [random(), random()];
    const expected = { re: new Float64Array(n), im: new Float64Array(n) };
    for (let k = 0; k < n; k++) {
      for (let j = 0; j < n; j++) {
        const [c, s] = [Math.cos((2 * Math.PI * ((j * k) % n)) / n), -Math.sin((2 * Math.PI * ((j * k) % n)) / n)];
        expected.re[k]! += re[j]! * c - im[j]! * s;
        expected.im[k]! += re[j]! * s + im[j]! * c;
      }
    }
    new Fft(n).transform(re, im);
    const tolerance = n * Math.sqrt(n) * 2 ** -50; // sums of n products, their angles rounded
    expect(largestDifference(re, expected.re)).toBeLessThan(tolerance);
    expect(largestDifference(im, expected.im)).toBeLessThan(tolerance);
  });
});

describe('WhisperFeatureExtractor', () => {
  const frames = [...Array.from({ length: 50 }, (_, i) => i * 5), ...Array.from({ length: 10 }, (_, i) => 2990 + i)];
  it.each([80, 128])('gives what transformers gives, of %i bins, padded and cut', (bins) => {
    const extractor = new WhisperFeatureExtractor({ feature_size: bins });
    const { data, shape } = extractor.process([soundOf(20011, 5), soundOf(600000, 5)]);
    expect(shape).toEqual([2, bins, 3000]);
    for (const [i, count] of [20011, 600000].entries()) {
      const expected = recorded.get(`whisper.${bins}.${count}`)!.data();
      const found = Array.from({ length: bins }, (_, bin) =>
        frames.map((frame) => data[(i * bins + bin) * 3000 + frame]!),
      );
      expect(largestDifference(found.flat(), expected)).toBeLessThan(1e-4);
    }
  });

  it('gives a recording alone what it gives it beside others', () => {
    const extractor = new WhisperFeatureExtractor();
    const both = extractor.process([soundOf(5000, 1), soundOf(7000, 2)]).data;
    expect(both.slice(both.length / 2)).toEqual(extractor.process([soundOf(7000, 2)]).data);
  });

  it('takes silence, and refuses what is no number', () => {
    const extractor = new WhisperFeatureExtractor({
      feature_extractor_type: 'WhisperFeatureExtractor',
      chunk_length: 1,
    });
    expect(new Set(extractor.process([new Float32Array(0)]).data)).toEqual(new Set([-1.5]));
    for (const sample of [Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => extractor.process([Float32Array.of(0, sample)])).toThrow(/a sample is no finite number/);
    expect(() => extractor.process([[1, 2]] as never)).toThrow(ArgumentError);
    const wrong = [{ n_fft: 401 }, { feature_size: 0 }, { hop_length: '160' }, { dither: 0.1 }, { chunk_length: 1e9 }];
    for (const config of wrong) expect(() => new WhisperFeatureExtractor(config)).toThrow(FormatError);
  });
});

describe('Whisper on a real recording', () => {
  const real = testData('checkpoints/real');
  it('gives the features of transformers', async () => {
    const { samplingRate, channels } = readWav(await real.bytes('jfk-16k.wav'));
    expect(samplingRate).toBe(16000);
    const { data } = new WhisperFeatureExtractor().process(channels);
    const expected = parseSafetensors(await real.bytes('whisper-tiny.en.safetensors')).tensors.get('input_features')!;
    expect(expected.shape).toEqual([80, 3000]);
    expect(largestDifference(data, expected.data())).toBeLessThan(1e-4);
  });
});

describe('resize', () => {
  const filters = ['nearest', 'lanczos', 'bilinear', 'bicubic', 'box', 'hamming'];
  it.each([...filters.entries()])('filter %i, %s, gives the bytes of PIL', (resample, name) => {
    const all = [...recorded.values()].filter((entry) => entry.name.startsWith(`resize.${name}.`));
    expect(all).toHaveLength(4);
    for (const entry of all) {
      const [width, height, toWidth, toHeight] = entry.name.match(/\d+/g)!.map(Number) as [
        number,
        number,
        number,
        number,
      ];
      const image = pictureOf(width, height, 3, 1);
      const { data } = resize({ ...image, channels: 3 }, toWidth, toHeight, resample);
      expect(Array.from(data), entry.name).toEqual(Array.from(entry.data()));
    }
  });
});

describe('ImageProcessor', () => {
  const small = { size: { shortest_edge: 20 }, crop_size: { height: 16, width: 16 } };
  const imagenet = { image_mean: [0.485, 0.456, 0.406], image_std: [0.229, 0.224, 0.225] };
  const configs: Record<string, Record<string, unknown>> = {
    vit: { image_processor_type: 'ViTImageProcessorFast', size: { height: 16, width: 18 } },
    'vit-plain': { image_processor_type: 'ViTImageProcessor', do_resize: false, do_normalize: false },
    'vit-unscaled': {
      feature_extractor_type: 'ViTFeatureExtractor',
      size: 8,
      do_rescale: false,
      do_normalize: false,
      resample: 3,
    },
    clip: { feature_extractor_type: 'CLIPFeatureExtractor', size: 20, crop_size: 16 },
    'clip-odd': {
      image_processor_type: 'CLIPImageProcessor',
      size: { shortest_edge: 19 },
      crop_size: { height: 16, width: 14 },
    },
    'clip-padded': {
      image_processor_type: 'CLIPImageProcessor',
      size: { shortest_edge: 9 },
      crop_size: { height: 16, width: 13 },
    },
    siglip: { image_processor_type: 'SiglipImageProcessor', size: { height: 17, width: 17 } },
    dinov2: { image_processor_type: 'BitImageProcessor', ...small, ...imagenet },
    beit: { image_processor_type: 'BeitImageProcessor', size: { height: 18, width: 12 } },
    deit: {
      image_processor_type: 'DeiTImageProcessor',
      size: { height: 20, width: 20 },
      crop_size: { height: 17, width: 13 },
    },
    segformer: { image_processor_type: 'SegformerImageProcessor', size: { height: 16, width: 20 } },
    convnext: { image_processor_type: 'ConvNextImageProcessor', size: { shortest_edge: 17 } },
    'convnext-share': { feature_extractor_type: 'ConvNextFeatureExtractor', size: 16, crop_pct: 0.7, resample: 2 },
    dpt: {
      image_processor_type: 'DPTImageProcessor',
      size: { height: 20, width: 18 },
      keep_aspect_ratio: true,
      ensure_multiple_of: 7,
    },
    'dpt-plain': {
      image_processor_type: 'DPTImageProcessor',
      size: { height: 21, width: 14 },
      ensure_multiple_of: 6,
      do_rescale: false,
    },
    donut: { feature_extractor_type: 'DonutFeatureExtractor', size: [22, 30] },
    'donut-aligned': {
      image_processor_type: 'DonutImageProcessor',
      size: { height: 30, width: 22 },
      do_align_long_axis: true,
      do_resize: false,
    },
    'donut-unpadded': {
      image_processor_type: 'DonutImageProcessor',
      size: { height: 19, width: 23 },
      do_pad: false,
      do_align_long_axis: true,
    },
    siglip2: { image_processor_type: 'Siglip2ImageProcessor', patch_size: 4, max_num_patches: 15 },
  };
  const sizes = [
    [37, 53],
    [41, 12],
  ] as const;
  for (const [name, config] of Object.entries(configs)) {
    it.each(sizes)(`${name} gives what transformers gives of %i × %i`, (width, height) => {
      const expected = recorded.get(`image.${name}.${width}x${height}`)!;
      const processor = imageProcessor(config, 'vit', 'preprocessor_config.json');
      const { data, shape, spatialShapes } = processor.process([pictureOf(width, height, 3, 2)]);
      expect(shape).toEqual(expected.shape);
      const grids = recorded.get(`shapes.${name}.${width}x${height}`);
      if (grids) expect(spatialShapes?.flat()).toEqual(Array.from(grids.data()));
      // float32 roundings of transformers' steps, relative to the largest value
      const greatest = config.do_rescale === false && config.do_normalize !== false ? 1200 : 1;
      expect(largestDifference(data, expected.data())).toBeLessThan(1e-6 * greatest);
    });
  }

  it.each([
    ['rgba', 4, 3],
    ['grey', 1, 4],
  ] as const)('converts %s', (name, channels, seed) => {
    const { data } = new ImageProcessor(configs.clip!).process([pictureOf(23, 31, channels, seed)]);
    expect(largestDifference(data, recorded.get(`image.clip.${name}`)!.data())).toBeLessThan(1e-6);
  });

  it('makes one batch of images of several sizes, if they become one', () => {
    const images = [pictureOf(37, 53, 3, 2), pictureOf(41, 12, 3, 2)];
    const { data, shape } = new ImageProcessor(configs.clip!).process(images);
    expect(shape).toEqual([2, 3, 16, 16]);
    const expected = recorded.get('image.clip.41x12')!.data();
    expect(largestDifference(data.subarray(data.length / 2), expected)).toBeLessThan(1e-6);
    expect(() => new ImageProcessor(configs['vit-plain']!).process(images)).toThrow(/37 × 53 and 41 × 12/);
  });

  it('goes by the model where the file names no processor', () => {
    const by = (modelType: string) =>
      new ImageProcessor({ ...small, ...imagenet }, modelType).process([pictureOf(37, 53, 3, 2)]);
    expect(largestDifference(by('dinov2').data, recorded.get('image.dinov2.37x53')!.data())).toBeLessThan(1e-6);
    expect(() => by('bert')).toThrow(/image_processor_type is undefined, expected one of ViTImageProcessor, CLIP/);
  });

  it('refuses what it has not', () => {
    const vit = { image_processor_type: 'ViTImageProcessor' };
    const wrong = [
      { image_processor_type: 'Mask2FormerImageProcessor' },
      { ...vit, size: { longest_edge: 3 } },
      { ...vit, size: 1e9 },
      { ...vit, resample: 7 },
      { ...vit, do_resize: 'yes' },
      { ...vit, image_mean: [1, 2] },
      { ...vit, image_std: [1, 0, 1] },
      { ...vit, do_center_crop: true, crop_size: { shortest_edge: 3 } },
      { ...vit, do_pad: true },
    ];
    for (const config of wrong) expect(() => new ImageProcessor(config), JSON.stringify(config)).toThrow(FormatError);
    const processor = new ImageProcessor(vit);
    const bytes = new Uint8Array(12);
    const images = [
      undefined,
      {},
      { width: 2, height: 3, data: bytes },
      { width: 0, height: 2, data: bytes },
      { width: 2, height: 2, data: [1] },
    ];
    for (const image of images) expect(() => processor.process([image as RawImage])).toThrow(ArgumentError);
    expect(() => processor.process([])).toThrow(ArgumentError);
    const line = { width: 1, height: 60000, data: new Uint8Array(180000) };
    expect(() => new ImageProcessor(configs.clip!).process([line])).toThrow(/would become 1200000 pixels long/);
  });
});

describe('loadProcessor', () => {
  const file = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const vit = { image_processor_type: 'ViTImageProcessor', size: { height: 16, width: 16 } };
  const load = async (files: Record<string, unknown>, modelType: string) =>
    loadProcessor(
      await openSource({
        'config.json': file({}),
        ...Object.fromEntries(Object.entries(files).map(([name, value]) => [name, file(value)])),
      }),
      modelType,
    );
  it('takes either file, and none', async () => {
    expect(await load({}, 'bert')).toBeNull();
    expect(await load({ 'processor_config.json': { processor_class: 'X' } }, 'bert')).toBeNull();
    expect(await load({ 'preprocessor_config.json': { feature_size: 80 } }, 'whisper')).toBeInstanceOf(
      WhisperFeatureExtractor,
    );
    const nested = { 'processor_config.json': { feature_extractor: { feature_size: 128 } } };
    expect(await load(nested, 'whisper')).toMatchObject({ featureSize: 128 });
    expect(await load({ 'preprocessor_config.json': vit }, 'vit')).toBeInstanceOf(ImageProcessor);
    expect(await load({ 'processor_config.json': { image_processor: vit } }, 'clip')).toBeInstanceOf(ImageProcessor);
    const bad = load({ 'preprocessor_config.json': { size: 'large' } }, 'vit');
    await expect(bad).rejects.toThrow(/the given files: preprocessor_config.json: size is "\\"large\\""/);
  });
});

describe('decodeImage', async () => {
  // 2 × 1, red and half transparent blue
  const png = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAYAAAD0In+KAAAAEUlEQVR4nGP4z8Dwn4HhfwMAD3oDfgvLLrEAAAAASUVORK5CYII=',
    'base64',
  );
  const hasSharp = await import('sharp' as string).then(
    () => true,
    () => false,
  );
  it('says what to install where sharp is not', async () => {
    if (hasSharp) await expect(decodeImage(png.subarray(0, 20))).rejects.toThrow(FormatError);
    else await expect(decodeImage(png)).rejects.toThrow(/npm install sharp/);
    await expect(decodeImage('image.png' as never)).rejects.toThrow(ArgumentError);
  });
  it.skipIf(!hasSharp)(
    `reads pixels${hasSharp ? '' : ': not tested, sharp is missing (npm install sharp)'}`,
    async () => {
      const expected = { width: 2, height: 1, data: Uint8Array.of(255, 0, 0, 255, 0, 0, 255, 128) };
      for (const file of [png, new Blob([png])]) {
        const { width, height, data } = await decodeImage(file);
        expect({ width, height, data: Uint8Array.from(data) }).toEqual(expected);
      }
    },
  );
});

describe('readWav', () => {
  /** A file with chunks of these names. */
  function riff(...chunks: [string, Uint8Array][]): Uint8Array {
    const body = chunks.map(([name, data]) => [
      ...Buffer.from(name),
      ...le(data.length, 4),
      ...data,
      ...(data.length % 2 ? [0] : []),
    ]);
    return Uint8Array.from([
      ...Buffer.from('RIFF'),
      ...le(4 + body.flat().length, 4),
      ...Buffer.from('WAVE'),
      ...body.flat(),
    ]);
  }
  const le = (value: number, bytes: number) =>
    Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** i) & 255);
  const format = (kind: number, channels: number, bits: number, rate = 8000) =>
    Uint8Array.from([...le(kind, 2), ...le(channels, 2), ...le(rate, 4), ...le(0, 4), ...le(0, 2), ...le(bits, 2)]);
  const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

  const files: [string, number, number, Uint8Array, number[]][] = [
    ['8-bit', 1, 8, Uint8Array.of(0, 128, 255, 64), [-1, 0, 127 / 128, -0.5]],
    ['16-bit', 1, 16, bytesOf(Int16Array.of(-32768, 0, 16384, -1)), [-1, 0, 0.5, -(2 ** -15)]],
    [
      '24-bit',
      1,
      24,
      Uint8Array.of(0, 0, 0x80, 0, 0, 0, 1, 0, 0x40, 0xff, 0xff, 0xff),
      [-1, 0, 0.5 + 2 ** -23, -(2 ** -23)],
    ],
    ['32-bit', 1, 32, bytesOf(Int32Array.of(-(2 ** 31), 0, 2 ** 30, -(2 ** 8))), [-1, 0, 0.5, -(2 ** -23)]],
    ['float', 3, 32, bytesOf(Float32Array.of(-1, 0.25, 1.5, 0)), [-1, 0.25, 1.5, 0]],
    ['double', 3, 64, bytesOf(Float64Array.of(-1, 0.25, 1.5, 0)), [-1, 0.25, 1.5, 0]],
  ];
  it.each(files)('reads %s samples, of one channel and of two', (_, kind, bits, data, expected) => {
    const mono = readWav(riff(['LIST', Uint8Array.of(1, 2, 3)], ['fmt ', format(kind, 1, bits)], ['data', data]));
    expect(mono).toEqual({ samplingRate: 8000, channels: [Float32Array.from(expected)] });
    expect(mixDown(mono)).toEqual(Float32Array.from(expected));
    const stereo = readWav(riff(['fmt ', format(kind, 2, bits)], ['data', data]));
    const channel = (first: number) => Float32Array.of(expected[first]!, expected[first + 2]!);
    expect(stereo.channels).toEqual([channel(0), channel(1)]);
    const mean = (i: number) => (channel(0)[i]! + channel(1)[i]!) / 2;
    expect(mixDown(stereo)).toEqual(Float32Array.of(mean(0), mean(1)));
  });

  it('reads extensible formats, and files that end early', () => {
    const extensible = Uint8Array.from([
      ...format(0xfffe, 1, 16),
      ...le(22, 2),
      ...le(16, 2),
      ...le(4, 4),
      ...le(1, 2),
      ...new Uint8Array(14),
    ]);
    const file = riff(['fmt ', extensible], ['data', bytesOf(Int16Array.of(1, 2, 3))]);
    expect(readWav(file).channels[0]!.length).toBe(3);
    expect(readWav(file.subarray(0, -3)).channels[0]!.length).toBe(1);
  });

  it('refuses everything else', () => {
    const data: [string, Uint8Array] = ['data', new Uint8Array(4)];
    const wrong = [
      new Uint8Array(0),
      Uint8Array.from(Buffer.from('RIFX....WAVE')),
      riff(data),
      riff(['fmt ', format(1, 1, 16)]),
      riff(['fmt ', format(1, 1, 16).subarray(0, 8)], data),
      riff(['fmt ', format(6, 1, 8)], data),
      riff(['fmt ', format(1, 1, 12)], data),
      riff(['fmt ', format(1, 0, 16)], data),
      riff(['fmt ', format(1, 1, 16, 0)], data),
    ];
    for (const file of wrong) expect(() => readWav(file)).toThrow(FormatError);
    expect(() => readWav('file.wav' as never)).toThrow(ArgumentError);
  });
});

describe('resample', () => {
  const tone = (hertz: number, rate: number, count: number) =>
    Float32Array.from({ length: count }, (_, i) => Math.sin((2 * Math.PI * hertz * i) / rate + 1));
  const rates = [
    [8000, 16000],
    [11025, 16000],
    [22050, 16000],
    [44100, 16000],
    [48000, 16000],
    [16000, 44100],
    [47999, 16000],
  ] as const;
  it.each(rates)('keeps low tones and removes those that would fold, from %i to %i Hz', (from, to) => {
    const half = Math.min(from, to) / 2;
    const inner = (samples: Float32Array) => samples.subarray(200, -200); // both ends hear the silence beyond them
    for (const hertz of [0, 0.1 * half, 0.5 * half, 0.9 * half]) {
      const found = resample(tone(hertz, from, from / 10), from, to);
      expect(found.length).toBe(Math.ceil(((from / 10) * to) / from));
      // 100 dB of the window, and float32's rounding
      expect(largestDifference(inner(found), inner(tone(hertz, to, found.length)))).toBeLessThan(3e-5);
    }
    if (from < to) return;
    for (const hertz of [1.001 * half, Math.min(1.5 * half, from / 2)]) {
      const found = resample(tone(hertz, from, from / 10), from, to);
      expect(largestDifference(inner(found), new Float32Array(inner(found).length))).toBeLessThan(3e-5);
    }
  });

  it('gives what it got at the same rate, and nothing of nothing', () => {
    const samples = soundOf(10, 1);
    expect(resample(samples, 16000, 16000)).toBe(samples);
    expect(resample(new Float32Array(0), 8000, 16000).length).toBe(0);
    expect(resample(Float32Array.of(1), 8000, 16000).length).toBe(2);
    for (const rate of [0, -1, 1.5, Number.NaN, 2e6, '8000'])
      expect(() => resample(samples, rate as number, 16000)).toThrow(ArgumentError);
    expect(() => resample([1] as never, 8000, 16000)).toThrow(ArgumentError);
  });
});

describe('ImageTextProcessor', () => {
  const config = (type: string, vision: object = {}) => ({ model_type: type, vision_config: vision });
  const tiles = { max_image_size: { longest_edge: 24 } };
  const lfm2 = { encoder_patch_size: 4, tile_size: 24, min_image_tokens: 4, max_image_tokens: 16 };
  const readers: Record<string, readonly [model: Record<string, unknown>, settings: Record<string, unknown>]> = {
    gemma3: [{ ...config('gemma3'), mm_tokens_per_image: 4 }, { size: { height: 18, width: 18 } }],
    'gemma3-crops': [
      { ...config('gemma3'), mm_tokens_per_image: 4 },
      {
        ...{ size: { height: 12, width: 12 }, do_pan_and_scan: true, pan_and_scan_min_crop_size: 9 },
        ...{ pan_and_scan_max_num_crops: 4, pan_and_scan_min_ratio_to_activate: 1.2 },
      },
    ],
    smolvlm: [config('smolvlm'), { size: { longest_edge: 64 }, ...tiles }],
    'smolvlm-whole': [config('idefics3'), { size: { longest_edge: 64 }, ...tiles, do_image_splitting: false }],
    'smolvlm-small': [config('smolvlm'), { size: { longest_edge: 20 }, ...tiles }],
    paligemma: [config('paligemma'), { size: { height: 16, width: 16 } }],
    qwen: [config('qwen3_vl'), { size: { shortest_edge: 256, longest_edge: 1600 }, patch_size: 4 }],
    'qwen-small': [config('qwen3_5'), { min_pixels: 4900, max_pixels: 6400, patch_size: 6 }],
    lfm2: [config('lfm2_vl'), lfm2],
    'lfm2-large': [config('lfm2_vl'), { ...lfm2, tile_size: 16, max_image_tokens: 9, max_tiles: 6 }],
  };
  const sizes = [
    [37, 53],
    [61, 12],
    [23, 23],
  ] as const;

  describe.each(Object.keys(readers))('%s', (name) => {
    const [model, settings] = readers[name] as (typeof readers)[string];
    const processor = imageTextProcessor(settings, model, 'preprocessor_config.json');

    it.each(sizes)('gives what transformers gives of an image of %i × %i', (width, height) => {
      const { pixelValues, imageGridThw, spatialShapes, pieces } = processor.process(pictureOf(width, height, 3, 7));
      const expected = (key: string) => recorded.get(`reader.${name}.${width}x${height}.${key}`);
      const pixels = expected('pixel_values')!;
      expect(pixelValues.data.length).toBe(pixels.size);
      // LFM2-VL's processor resizes by torchvision, which rounds some bytes by one to the other side than PIL.
      const limit = name.startsWith('lfm2') ? 2.01 / 255 : 1e-6;
      expect(largestDifference(pixelValues.data, pixels.data())).toBeLessThan(limit);
      const [grid, shapes] = [expected('image_grid_thw'), expected('spatial_shapes')];
      expect(imageGridThw?.flat()).toEqual(grid && Array.from(grid.data()));
      expect(spatialShapes?.flat()).toEqual(shapes && Array.from(shapes.data()));
      const rows = pieces.filter((piece) => typeof piece === 'object' && 'rows' in piece);
      expect(rows.length).toBe(grid ? 1 : (shapes?.shape[0] ?? pixelValues.shape[0]));
    });
  });

  it('blends transparent images with white, and reads grey ones', () => {
    const [model, settings] = readers.gemma3 as (typeof readers)[string];
    const processor = imageTextProcessor(settings, model, 'preprocessor_config.json');
    const grey = processor.process(pictureOf(23, 31, 1, 4)).pixelValues.data;
    expect(largestDifference(grey, recorded.get('reader.gemma3.grey')!.data())).toBeLessThan(1e-6);
    const blended = processor.process(pictureOf(23, 31, 4, 3)).pixelValues.data;
    expect(largestDifference(blended, recorded.get('reader.gemma3.rgba')!.data())).toBeLessThan(1e-6);
  });

  it('gives the text of an image as transformers expands it', () => {
    const text = (name: string, width: number, height: number) => {
      const [model, settings] = readers[name] as (typeof readers)[string];
      const sized = { ...model, vision_config: { image_size: 24, patch_size: 12 } };
      const { pieces } = imageTextProcessor(settings, sized, 'x').process(pictureOf(width, height, 3, 7));
      return pieces
        .map((piece) => (typeof piece === 'string' ? piece : 'rows' in piece ? `[${piece.rows}]` : `{${piece.token}}`))
        .join('');
    };
    const fake = '<fake_token_around_image>';
    expect(text('smolvlm', 61, 12)).toBe(
      `${fake}<row_1_col_1>[1]${fake}<row_1_col_2>[1]${fake}<row_1_col_3>[1]\n\n${fake}<global-img>[1]${fake}`,
    );
    expect(text('smolvlm-small', 23, 23)).toBe(`${fake}<global-img>[1]${fake}`);
    const whole = '\n\n{255999}[4]{256000}\n\n';
    expect(text('gemma3', 23, 23)).toBe(whole);
    expect(text('gemma3-crops', 61, 12)).toBe(
      `Here is the original image ${whole} and here are some crops to help you see better ${whole} ${whole} ${whole} ${whole}`,
    );
    expect(text('qwen', 23, 23)).toBe('[9]');
    expect(text('lfm2', 23, 23)).toBe('<|image_start|>[9]<|image_end|>');
  });

  it('refuses settings and images that it does not support', () => {
    const [model, settings] = readers.qwen as (typeof readers)[string];
    expect(() => imageTextProcessor({ ...settings, resample: 9 }, model, 'x')).toThrow(FormatError);
    const processor = imageTextProcessor(settings, model, 'x');
    expect(() => processor.process(pictureOf(401, 2, 3, 1))).toThrow(/factor of at most 200/);
    expect(() => processor.process({ width: 60000, height: 60000, data: new Uint8Array(3) })).toThrow(ArgumentError);
  });
});
