// The inputs that AutoProcessor makes of texts, images and sounds.

import { checkOptions, describeValue, isObject, orNull } from '../../core/check.js';
import { ArgumentError, FormatError } from '../../core/errors.js';
import { joinFloats } from '../../core/join-floats.js';
import { isTyped } from '../../core/kinds.js';
import { inSlices } from '../../core/slices.js';
import type { Features } from '../../pretrained/processors/features.js';
import type { ImageBytes, ImageProcessor } from '../../pretrained/processors/image.js';
import type { ImageTextProcessor, ReadyImage } from '../../pretrained/processors/image-text/image-text-processor.js';
import type { Processor } from '../../pretrained/processors/load-processor.js';
import { SamImageProcessor } from '../../pretrained/processors/sam-images.js';
import { HostTensor } from '../host-tensor.js';
import { decoded, type ImageInput, isImage } from '../image-inputs.js';
import type { TokenizedTexts, TokenizerCallOptions, TransformersTokenizer } from './auto-tokenizer.js';
import type { ProcessedMedia, TransformersInputs } from './model-inputs.js';

/** Points and boxes for SAM in pixels of the image. */
export interface PromptPoints {
  /** Column and row: [prompts][points][2], or [1][prompts][points][2]. */
  input_points?: readonly unknown[] | null | undefined;
  /** Kind of each point: 1 for the object, 0 for the background. [prompts][points], or [1][prompts][points]. */
  input_labels?: readonly unknown[] | null | undefined;
  /** Two corners: [1][prompts][4]. */
  input_boxes?: readonly unknown[] | null | undefined;
}

export interface ProcessorCallOptions extends TokenizerCallOptions, PromptPoints {}

/** An image, but no path or URL: a string is a text here. `load_image` reads those. */
export type ProcessorImage = Exclude<ImageInput, string | URL>;

export type ProcessorInput =
  | string
  | readonly string[]
  | ProcessorImage
  | readonly (ProcessorImage | readonly ProcessorImage[])[]
  | Float32Array
  | Float64Array
  | ProcessorCallOptions
  | null
  | undefined;

/** The parts of a processor. */
export interface ProcessorParts {
  readonly processor: Processor | null;
  readonly tokenizer: TransformersTokenizer | undefined;
  /** Content of config.json, with defaults. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** The arguments of a call by kind. */
interface Sorted {
  texts: string | readonly string[] | undefined;
  images: readonly ImageInput[] | undefined;
  sound: Float32Array | undefined;
  options: ProcessorCallOptions;
}

const OP = 'processor';

/** See `TransformersProcessor`. */
export async function processed(parts: ProcessorParts, inputs: readonly ProcessorInput[]): Promise<TransformersInputs> {
  const { texts, images, sound, options } = sorted(inputs);
  const { input_points, input_labels, input_boxes, ...tokenizing } = options;
  const { processor, tokenizer } = parts;
  if (texts === undefined && images === undefined && sound === undefined)
    throw new ArgumentError(`${OP}: there is no input, expected texts, images or a sound`);
  const tokens = (list: string | readonly string[], more: TokenizerCallOptions = {}): TokenizedTexts => {
    if (tokenizer) return tokenizer(list, { ...tokenizing, ...more });
    throw new FormatError(`${OP}: a text is given, but the model's folder has no tokenizer`);
  };
  if (images !== undefined && processor && 'mark' in processor)
    return withPrompts(parts, processor, images, texts, tokens);
  const seen = images && (await imageInputs(processor, images, { input_points, input_labels, input_boxes }));
  const heard = sound && (await soundInputs(parts, sound));
  return { ...seen, ...heard, ...(texts !== undefined && tokens(texts)) };
}

function sorted(inputs: readonly ProcessorInput[]): Sorted {
  const found: Sorted = { texts: undefined, images: undefined, sound: undefined, options: {} };
  for (const input of inputs) {
    if (input === null || input === undefined) continue;
    const first: unknown = Array.isArray(input) ? input.flat()[0] : input;
    if (typeof first === 'string') found.texts = input as string | readonly string[];
    else if (isTyped(input, 'Float32Array')) found.sound = input;
    else if (isTyped(input, 'Float64Array')) found.sound = Float32Array.from(input as Float64Array);
    else if (isImage(first)) found.images = [input as ImageInput].flat(2) as readonly ImageInput[];
    else if (isObject(input)) found.options = checkOptions(OP, input as ProcessorCallOptions);
    else
      throw new ArgumentError(
        `${OP}: an input is ${describeValue(input)}, expected texts, images, samples in a Float32Array, or options`,
      );
  }
  return found;
}

const float32 = ({ data, shape }: Features) => new HostTensor(data, shape);

/** An int64 tensor of nested lists that have the same lengths. */
function int64Of(rows: readonly unknown[]): HostTensor<BigInt64Array> {
  const { dims, values } = flattened('rows', rows);
  return new HostTensor(BigInt64Array.from(values, BigInt), dims);
}

/** The shape of nested lists, and their numbers. Throws ArgumentError for lists of different lengths. */
function flattened(name: string, list: readonly unknown[]): { dims: number[]; values: number[] } {
  const dims: number[] = [];
  let level: readonly unknown[] = [list];
  while (Array.isArray(level[0])) {
    const { length } = level[0];
    if (level.some((items) => !Array.isArray(items) || items.length !== length))
      throw new ArgumentError(`${OP}: ${name} is ${describeValue(list)}, expected lists of equal lengths`);
    dims.push(length);
    level = level.flat();
  }
  if (!level.every((value) => Number.isFinite(value)))
    throw new ArgumentError(`${OP}: ${name} is ${describeValue(list)}, expected nested lists of numbers`);
  return { dims, values: level as number[] };
}

async function imageInputs(
  processor: Processor | null,
  images: readonly ImageInput[],
  prompts: PromptPoints,
): Promise<Partial<ProcessedMedia>> {
  if (processor === null || !('padsToSquare' in processor))
    throw new FormatError(
      `${OP}: an image is given, but the model's folder has no preprocessor_config.json for images`,
    );
  const pixels: ImageBytes[] = [];
  for (const image of images) pixels.push(await decoded(OP, image));
  const features = await inSlices((processor as ImageProcessor).processInParts(pixels));
  const media = {
    pixel_values: float32(features),
    ...(features.spatialShapes && { spatial_shapes: int64Of(features.spatialShapes) }),
    original_sizes: pixels.map(({ height, width }) => [height, width] as const),
  };
  if (!(processor instanceof SamImageProcessor)) {
    const wrong = Object.entries(prompts).find(([, value]) => value != null)?.[0];
    if (wrong === undefined) return media;
    throw new ArgumentError(`${OP}: ${wrong} is for SAM, expected none`);
  }
  const sizes = pixels.map((image) => processor.sizeFor(image));
  const scales = sizes.map(({ width, height }, i) => {
    const image = pixels[i] as ImageBytes;
    return [width / image.width, height / image.height] as const;
  });
  return {
    ...media,
    reshaped_input_sizes: sizes.map(({ height, width }) => [height, width] as const),
    ...promptInputs(prompts, scales),
  };
}

/** Points and boxes in pixels of the model's input. */
function promptInputs(
  prompts: PromptPoints,
  scales: readonly (readonly [number, number])[],
): Partial<Pick<ProcessedMedia, 'input_points' | 'input_labels' | 'input_boxes'>> {
  const { input_points, input_labels, input_boxes } = checkOptions(OP, prompts, {
    input_points: orNull('array'),
    input_labels: orNull('array'),
    input_boxes: orNull('array'),
  });
  const shaped = (name: keyof PromptPoints, list: readonly unknown[], depth: number) => {
    const { dims, values } = flattened(name, list);
    const shape = dims.length === depth - 1 && name !== 'input_boxes' ? [1, ...dims] : dims;
    if (shape.length === depth && shape[0] === scales.length) return { shape, values };
    throw new ArgumentError(
      `${OP}: ${name} has ${dims.length} levels of lists, expected ${depth}, the first with one list for each image`,
    );
  };
  const scaled = (name: 'input_points' | 'input_boxes', list: readonly unknown[], depth: number) => {
    const { shape, values } = shaped(name, list, depth);
    const perImage = values.length / scales.length;
    const data = Float32Array.from(
      values,
      (value, i) => value * ((scales[Math.floor(i / perImage)] as readonly number[])[i % 2] as number),
    );
    return new HostTensor(data, shape);
  };
  if (input_labels && !input_points)
    throw new ArgumentError(`${OP}: input_labels are given without input_points, expected both`);
  const labels = input_labels && shaped('input_labels', input_labels, 3);
  return {
    ...(input_points && { input_points: scaled('input_points', input_points, 4) }),
    ...(labels && { input_labels: new HostTensor(BigInt64Array.from(labels.values, BigInt), labels.shape) }),
    ...(input_boxes && { input_boxes: scaled('input_boxes', input_boxes, 3) }),
  };
}

async function soundInputs({ processor, config }: ProcessorParts, sound: Float32Array): Promise<TransformersInputs> {
  if (processor === null || !('samplingRate' in processor))
    throw new FormatError(`${OP}: a sound is given, but the model's folder has no preprocessor_config.json for sounds`);
  const tensor = float32(await inSlices(processor.processInParts([sound])));
  if ('fuses' in processor)
    return { input_features: tensor, ...(processor.fuses && { is_longer: new HostTensor(Uint8Array.of(1), [1, 1]) }) };
  const isSpectrogram = config.model_type === 'audio-spectrogram-transformer'; // has the name of samples in transformers
  if ('hasMask' in processor && !String(config.model_type).startsWith('moonshine')) {
    const ones = new BigInt64Array(tensor.data.length).fill(1n);
    return { input_values: tensor, attention_mask: new HostTensor(ones, tensor.dims) };
  }
  return tensor.dims.length === 2 || isSpectrogram ? { input_values: tensor } : { input_features: tensor };
}

/** Images and the prompts that they are parts of. */
async function withPrompts(
  { tokenizer, config }: ProcessorParts,
  processor: ImageTextProcessor,
  images: readonly ImageInput[],
  texts: string | readonly string[] | undefined,
  tokens: (texts: string | readonly string[], more?: TokenizerCallOptions) => TokenizedTexts,
): Promise<TransformersInputs> {
  const ready: ReadyImage[] = [];
  for (const image of images) ready.push(await inSlices(processor.processInParts(await decoded(OP, image))));
  const media = joined(ready);
  if (texts === undefined) return media;
  // Florence-2's rows have no placeholders.
  if ('taskPrompt' in processor)
    return { ...media, ...tokens([texts].flat().map((text) => (processor as Florence).taskPrompt(text))) };
  const nameOf = (id: unknown) => {
    const name = tokenizer?.tokenizer.idToToken(id as number);
    if (typeof name === 'string') return name;
    throw new FormatError(`${OP}: the tokenizer has no token ${id}, which stands for images by config.json`);
  };
  const textConfig = isObject(config.text_config) ? config.text_config : {};
  const start = config.bos_token_id ?? textConfig.bos_token_id;
  const begin = typeof start === 'number' ? (tokenizer?.tokenizer.idToToken(start) ?? '') : '';
  const mark = typeof processor.mark === 'string' ? processor.mark : nameOf(processor.mark);
  const placeholder = nameOf(config.image_token_id ?? config.image_token_index);
  const written = ready.map(({ pieces }) =>
    pieces.map((piece) => {
      if (typeof piece === 'string') return piece;
      return 'rows' in piece ? placeholder.repeat(piece.rows) : nameOf(piece.token);
    }),
  );
  let next = 0;
  const list = [texts].flat();
  const prompts = list.map((text) => {
    const count = list.length === 1 ? ready.length : text.split(mark).length - 1;
    const [before = '', ...after] = processor.prompt(text, count, mark, begin).split(mark);
    return before + after.map((part) => (written[next++] ?? [mark]).join('') + part).join('');
  });
  if (next !== ready.length)
    throw new ArgumentError(
      `${OP}: the texts have ${next} places for images (${mark}), but there are ${ready.length} images`,
    );
  return {
    ...media,
    ...tokens(prompts, { add_special_tokens: processor.addsSpecial }),
  };
}

interface Florence extends ImageTextProcessor {
  taskPrompt(text: string): string;
}

/** The tensors of images end to end. Throws ArgumentError for images that differ in the size of their patches. */
function joined(ready: readonly ReadyImage[]): Partial<ProcessedMedia> {
  const [, ...size] = ready[0]?.pixelValues.shape ?? [];
  if (ready.some(({ pixelValues: { shape } }) => `${shape.slice(1)}` !== `${size}`))
    throw new ArgumentError(`${OP}: images become tensors of different sizes, expected one size: give them one by one`);
  const all = joinFloats(ready.map(({ pixelValues }) => pixelValues.data));
  const count = ready.reduce((sum, { pixelValues: { shape } }) => sum + (shape[0] as number), 0);
  const rows = (name: 'spatialShapes' | 'pixelAttentionMask' | 'imageGridThw') => {
    const lists = ready.flatMap((image) => image[name] ?? []);
    return lists.length > 0 ? int64Of(lists) : undefined;
  };
  const [spatial_shapes, pixel_attention_mask, image_grid_thw] = [
    rows('spatialShapes'),
    rows('pixelAttentionMask'),
    rows('imageGridThw'),
  ];
  const positions = ready.flatMap(({ imagePositionIds }) => (imagePositionIds ? [imagePositionIds] : []));
  return {
    pixel_values: new HostTensor(all, [count, ...size]),
    ...(spatial_shapes && { spatial_shapes }),
    ...(pixel_attention_mask && { pixel_attention_mask }),
    ...(image_grid_thw && { image_grid_thw }),
    ...(positions.length > 0 && { image_position_ids: int64Of(positions) }),
  };
}
