// Inputs of models by the names of transformers.js, as the model takes them.

import { describeValue } from '../../core/check.js';
import type { Device } from '../../core/device.js';
import { ArgumentError } from '../../core/errors.js';
import { Tensor } from '../../core/tensor.js';
import { atIds } from '../../models/image-tokens.js';
import type { ModelInputs } from '../../models/inputs.js';
import { PromptModel } from '../../models/prompt-model.js';
import type { LoadedModel } from '../../pretrained/load-later.js';
import { HostTensor } from '../host-tensor.js';
import type { TokenizedTexts } from './auto-tokenizer.js';

/** A tensor of a processor. */
export type InputTensor = HostTensor | HostTensor<BigInt64Array> | HostTensor<Uint8Array>;

/** Images and sounds as `AutoProcessor` prepares them. A processor makes those that its model needs. */
export interface ProcessedMedia {
  readonly pixel_values: HostTensor;
  readonly pixel_mask: HostTensor<BigInt64Array>;
  readonly pixel_attention_mask: HostTensor<BigInt64Array>;
  readonly spatial_shapes: HostTensor<BigInt64Array>;
  readonly image_grid_thw: HostTensor<BigInt64Array>;
  readonly image_position_ids: HostTensor<BigInt64Array>;
  /** SAM: points in pixels of `pixel_values`, float32 [1, prompts, points, 2], their kinds, and boxes [1, prompts, 4]. */
  readonly input_points: HostTensor;
  readonly input_labels: HostTensor<BigInt64Array>;
  readonly input_boxes: HostTensor;
  /** Height and width of each image, as it was given, and before padding. */
  readonly original_sizes: readonly (readonly [height: number, width: number])[];
  readonly reshaped_input_sizes: readonly (readonly [height: number, width: number])[];
  readonly input_features: HostTensor;
  readonly is_longer: HostTensor<Uint8Array>;
  readonly input_values: HostTensor;
}

/** Inputs of a model: the results of `AutoTokenizer` and `AutoProcessor`. Those that it does not take are left out. */
export interface TransformersInputs extends Partial<TokenizedTexts>, Partial<ProcessedMedia> {
  readonly decoder_input_ids?: HostTensor<BigInt64Array>;
  readonly decoder_attention_mask?: HostTensor<BigInt64Array>;
  /** SAM: encoded images in place of `pixel_values`. */
  readonly image_embeddings?: HostTensor;
  /** CLIPSeg: images of what to mark, in place of texts. */
  readonly conditional_pixel_values?: HostTensor;
}

/** Names of inputs, and the form that models take them in. */
const INPUTS = {
  input_ids: ['inputIds', 'rows'],
  attention_mask: ['attentionMask', 'rows'],
  token_type_ids: ['tokenTypeIds', 'rows'],
  decoder_input_ids: ['decoderInputIds', 'rows'],
  decoder_attention_mask: ['decoderAttentionMask', 'rows'],
  pixel_values: ['pixelValues', 'float32'],
  conditional_pixel_values: ['conditionalPixelValues', 'float32'],
  pixel_mask: ['pixelMask', 'int32'],
  pixel_attention_mask: ['pixelAttentionMask', 'rowsOrTensor'],
  spatial_shapes: ['spatialShapes', 'rows'],
  image_grid_thw: ['imageGridThw', 'rows'],
  image_position_ids: ['imagePositionIds', 'int32'],
  image_embeddings: ['imageEmbeddings', 'float32'],
  input_points: ['inputPoints', 'float32'],
  input_labels: ['inputLabels', 'int32'],
  input_boxes: ['inputBoxes', 'float32'],
  input_features: ['inputFeatures', 'float32'],
  is_longer: ['isLonger', 'rows'],
  input_values: ['inputValues', 'float32'],
} as const satisfies Readonly<
  Record<string, readonly [keyof ModelInputs, 'rows' | 'rowsOrTensor' | 'float32' | 'int32']>
>;

export type InputName = keyof typeof INPUTS;
/** The inputs of a call that its model takes. */
export type HostInputs = ReadonlyMap<InputName, InputTensor>;
/** Inputs of models that read no text. */
export const MEDIA = ['pixel_values', 'input_features', 'input_values'] as const;

/** The first input of `MEDIA` that the model takes. */
export const mediaInput = (model: LoadedModel) => MEDIA.find((name) => model.takes(INPUTS[name][0]));

/** Results of processors that models do not read. */
const FOR_RESULTS: readonly string[] = ['original_sizes', 'reshaped_input_sizes'];

/** The inputs that the model takes among those of a call. Throws ArgumentError for unknown names and other values. */
export function hostInputs(op: string, model: LoadedModel, inputs: object): HostInputs {
  const known = new Map<InputName, InputTensor>();
  for (const [name, value] of Object.entries(inputs)) {
    if (FOR_RESULTS.includes(name)) {
      checkSizes(name, value);
      continue;
    }
    if (!Object.hasOwn(INPUTS, name))
      throw new ArgumentError(`${op}: there is no input ${name}, expected some of ${Object.keys(INPUTS).join(', ')}`);
    const [own, form] = INPUTS[name as InputName];
    if (value === undefined) continue;
    if (form === 'rows') rowsOf(name, value);
    else if (!(value instanceof HostTensor))
      throw new ArgumentError(`${name} is ${describeValue(value)}, expected a tensor, as a processor makes it`);
    if (model.takes(own)) known.set(name as InputName, value as InputTensor);
  }
  return known;
}

function checkSizes(name: string, value: unknown): void {
  const isSize = (size: unknown) => Array.isArray(size) && size.length === 2 && size.every(Number.isFinite);
  if (value === undefined || (Array.isArray(value) && value.length > 0 && value.every(isSize))) return;
  throw new ArgumentError(`${name} is ${describeValue(value)}, expected [height, width] of each image`);
}

/** True for the name of an input. */
export const isInputName = (name: string): boolean => Object.hasOwn(INPUTS, name) || FOR_RESULTS.includes(name);

/** The model's inputs, with tensors in the current scope. */
export function modelInputs({ device }: { readonly device: Device }, inputs: HostInputs): ModelInputs {
  const entries = [...inputs].map(([name, tensor]): [string, unknown] => {
    const [own, form] = INPUTS[name];
    if (form === 'rows' || (form === 'rowsOrTensor' && tensor.dims.length === 2)) return [own, rowsOf(name, tensor)];
    const data = form === 'float32' ? (tensor.data as Float32Array) : Int32Array.from(tensor.data as never, Number);
    return [own, device.tensor(data, tensor.dims)];
  });
  return Object.fromEntries(entries);
}

/** The rows of a tensor [B, T]. */
export function rowsOf(name: string, tensor: unknown): number[][] {
  if (tensor instanceof HostTensor && tensor.dims.length === 2)
    return Array.from(tensor, (row) => Array.from(row.data as BigInt64Array, Number));
  throw new ArgumentError(`${name} is ${describeValue(tensor)}, expected a tensor [B, T], as a tokenizer makes it`);
}

/** Rows of ids in which images have ids of their own. Call `dispose` when they are no longer used. */
export interface ImagePrompts {
  readonly prompts: number[][];
  dispose(): void;
}

/**
 * Reads the images of prompts. In rows without placeholders, as Florence-2's tokenizer makes them, the images come
 * first, one in each row.
 */
export async function imagePrompts(model: PromptModel, inputs: HostInputs): Promise<ImagePrompts> {
  const images = model.images as NonNullable<PromptModel['images']>;
  const rows = promptRows(inputs);
  const ofImages = new Map([...inputs].filter(([name]) => images.inputNames.includes(INPUTS[name][0])));
  const kept: Tensor[] = [];
  try {
    const tensors = model.device.unscoped(() => modelInputs(model, ofImages));
    for (const value of Object.values(tensors)) if (value instanceof Tensor) kept.push(value);
    const read = await model.readImagesAsync(tensors);
    const dispose = () => read.dispose();
    try {
      const isFirst = rows.length === read.ids.length && !rows.some((row) => row.includes(images.placeholder));
      const prompts = isFirst
        ? rows.map((row, i) => [...(read.ids[i] as readonly number[]), ...row])
        : atIds(rows, images.placeholder, read.ids);
      return { prompts, dispose };
    } catch (error) {
      dispose();
      throw error;
    }
  } finally {
    for (const tensor of kept) tensor.dispose();
  }
}

/** True for inputs with images that are parts of prompts. */
export const hasImagePrompts = (model: object, inputs: HostInputs): model is PromptModel =>
  model instanceof PromptModel && model.images !== null && inputs.has('pixel_values') && inputs.has('input_ids');

/** The rows of `input_ids` without padding. */
export function promptRows(inputs: HostInputs): number[][] {
  const mask = inputs.get('attention_mask');
  const masks = mask && rowsOf('attention_mask', mask);
  return rowsOf('input_ids', inputs.get('input_ids')).map((row, i) => row.filter((_, t) => masks?.[i]?.[t] !== 0));
}
