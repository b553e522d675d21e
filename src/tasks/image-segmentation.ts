import { checkOptions } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { RawImage } from '../pretrained/processors/image.js';
import { callOptionKinds, checkCallOptions } from './batches.js';
import { type ImageInput, imagesOf, processorOf } from './image-inputs.js';
import { classMap, eachImage, type MapSize, targetSizes } from './image-maps.js';
import { labelOf } from './labels.js';
import type { CallOptions, Task, TaskContext } from './task.js';

export interface ImageSegmentationOptions extends CallOptions {
  /** Kind of the segmentation. The families here have one. Default: 'semantic'. */
  subtask?: 'semantic' | null | undefined;
  /** Height and width of the masks of each image. Default: those of the image. */
  target_sizes?: readonly MapSize[] | null | undefined;
}

/** The pixels of a class. */
export interface Segment {
  /** Null, because semantic segmentation gives no score per class. */
  readonly score: number | null;
  readonly label: string;
  /** A byte for each pixel: 255 in the segment, 0 elsewhere. */
  readonly mask: RawImage;
}

/** Finds the classes in an image, with their masks. An array of images gives an array of such lists. */
export interface ImageSegmentation {
  (image: ImageInput, options?: ImageSegmentationOptions): Promise<Segment[]>;
  (images: readonly ImageInput[], options?: ImageSegmentationOptions): Promise<Segment[][]>;
}

const TASK = 'image-segmentation';

export const imageSegmentation: Task<ImageSegmentation> = {
  head: 'semantic-segmentation',
  create: (context) => {
    processorOf(context);
    async function call(images: ImageInput | readonly ImageInput[], options: ImageSegmentationOptions = {}) {
      checkCallOptions(TASK, options);
      const kinds = { subtask: ['semantic', null], target_sizes: 'any', ...callOptionKinds } as const;
      const { target_sizes } = checkOptions(TASK, options, kinds);
      const list = imagesOf(TASK, images);
      const sizes = targetSizes(TASK, target_sizes, list.length);
      let at = 0;
      const results = await eachImage(context, list, options, async ({ logits }, { width, height }) => {
        const size = sizes?.[at++] ?? ([height, width] as const);
        return segmentsOf(context, await classMap(logits as Tensor, size), size);
      });
      return Array.isArray(images) ? results : (results[0] as Segment[]);
    }
    return call as ImageSegmentation;
  },
};

/** Returns a segment for each class that occurs, in the order of their ids. */
function segmentsOf({ model }: TaskContext, classes: Int32Array, [height, width]: MapSize): Segment[] {
  const ids = [...new Set(classes)].sort((a, b) => a - b);
  return ids.map((id) => {
    const data = Uint8Array.from(classes, (each) => (each === id ? 255 : 0));
    return { score: null, label: labelOf(model, id), mask: { width, height, data, channels: 1 } };
  });
}

/**
 * Makes the background of an image transparent. Returns 4 bytes per pixel (RGBA). An array of images gives an array.
 */
export interface BackgroundRemoval {
  (image: ImageInput, options?: CallOptions): Promise<RawImage>;
  (images: readonly ImageInput[], options?: CallOptions): Promise<RawImage[]>;
}

export const backgroundRemoval: Task<BackgroundRemoval> = {
  head: 'semantic-segmentation',
  create: (context) => {
    const { task } = context;
    processorOf(context);
    const background = backgroundOf(context);
    async function call(images: ImageInput | readonly ImageInput[], options: CallOptions = {}) {
      checkCallOptions(task, options);
      checkOptions(task, options, callOptionKinds);
      const results = await eachImage(context, imagesOf(task, images), options, async ({ logits }, image) => {
        const classes = await classMap(logits as Tensor, [image.height, image.width]);
        return withAlpha(image, (pixel) => (classes[pixel] === background ? 0 : 255));
      });
      return Array.isArray(images) ? results : (results[0] as RawImage);
    }
    return call as BackgroundRemoval;
  },
};

/** Returns the id of the class `background`. Throws FormatError for a model without it. */
function backgroundOf({ task, model }: TaskContext): number {
  const { id2label } = model.config;
  const labels = Object.values((id2label ?? {}) as Record<string, string>);
  const id = labels.findIndex((label) => /^background$/i.test(String(label)));
  if (id >= 0) return id;
  const some = labels.slice(0, 5).join(', ');
  throw new FormatError(
    `${task}: the labels of the model are ${some || 'none'}, expected a label 'background' among them`,
  );
}

function withAlpha({ width, height, data }: RawImage, alpha: (pixel: number) => number): RawImage {
  const channels = data.length / (width * height);
  const rgba = new Uint8Array(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) rgba[i * 4 + c] = data[i * channels + (channels < 3 ? 0 : c)] as number;
    rgba[i * 4 + 3] = alpha(i);
  }
  return { width, height, data: rgba, channels: 4 };
}
