import { anyOf, checkOptions, describeValue, type OptionRule } from '../core/check.js';
import { ArgumentError, FormatError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { ModelOutput } from '../models/inputs.js';
import { labelsOf } from '../models/labels.js';
import type { HeadKind } from '../models/prediction-head.js';
import { PretrainedModel } from '../models/pretrained-model.js';
import { callOptionKinds } from './batches.js';
import { type ImageInput, imagesOf, processorOf } from './image-inputs.js';
import { classMap, eachImage, type MapSize, targetSizes } from './image-maps.js';
import { classesOf, type SegmentLimits, segmentsOf } from './segments.js';
import { type CallOptions, NO_TEXT, type TaskContext, type TextlessTask } from './task.js';
import { RawImage } from './transformers/raw-image.js';

/**
 * Kinds of segmentation. 'semantic' gives a mask for each class that occurs. 'panoptic' and 'instance' give one for
 * each object, with a score.
 */
export type SegmentationSubtask = 'panoptic' | 'instance' | 'semantic';

/** Score that segments exceed by default. */
export const SEGMENT_THRESHOLD = 0.5;

export interface ImageSegmentationOptions extends CallOptions {
  /**
   * Kind of the segmentation. Default: 'panoptic' for models such as DETR, which do all three. Other models do
   * 'semantic'.
   */
  subtask?: SegmentationSubtask | null | undefined;
  /** Segments with a greater score are returned. Default: 0.5. 'semantic' uses neither this nor the next options. */
  threshold?: number | undefined;
  /** Probability, times the score, from which a pixel belongs to the whole mask of a segment. Default: 0.5. */
  mask_threshold?: number | undefined;
  /** Segments are returned that show more than this share of their whole mask. Default: 0.8. */
  overlap_mask_area_threshold?: number | undefined;
  /** For 'panoptic': ids of classes whose segments share one mask, such as that of the sky. Default: none. */
  label_ids_to_fuse?: ReadonlySet<number> | readonly number[] | null | undefined;
  /** Height and width of the masks of each image. Default: those of the image. */
  target_sizes?: readonly MapSize[] | null | undefined;
}

/** The pixels of an object, or of a class. */
export interface Segment {
  /** Probability of the class. Null in semantic segmentation, which gives none. */
  readonly score: number | null;
  readonly label: string;
  /** A byte for each pixel: 255 in the segment, 0 elsewhere. */
  readonly mask: RawImage;
}

/** Finds the objects or the classes in an image, with their masks. An array of images gives an array of such lists. */
export interface ImageSegmentation {
  (image: ImageInput, options?: ImageSegmentationOptions): Promise<Segment[]>;
  (images: readonly ImageInput[], options?: ImageSegmentationOptions): Promise<Segment[][]>;
}

const TASK = 'image-segmentation';

/** Subtasks of each kind of head, the default first. */
const SUBTASKS: Partial<Record<HeadKind, readonly SegmentationSubtask[]>> = {
  'panoptic-segmentation': ['panoptic', 'instance', 'semantic'],
  'semantic-segmentation': ['semantic'],
};

const labelIds: OptionRule = {
  accepts: (value) =>
    (Array.isArray(value) || value instanceof Set) && [...value].every((id) => Number.isInteger(id) && id >= 0),
  expected: 'a Set or an array of integers',
};

const KINDS = {
  subtask: ['panoptic', 'instance', 'semantic', null],
  threshold: 'share',
  mask_threshold: 'share',
  overlap_mask_area_threshold: 'share',
  label_ids_to_fuse: anyOf(labelIds, [null]),
  target_sizes: 'any',
  ...callOptionKinds,
} as const;

export const imageSegmentation: TextlessTask<ImageSegmentation> = {
  needs: NO_TEXT,
  // No `head` is set, because there are two kinds.
  create: (context) => {
    const subtasks = subtasksOf(context);
    processorOf(context);
    async function call(images: ImageInput | readonly ImageInput[], options: ImageSegmentationOptions = {}) {
      const { target_sizes, subtask, ...segmentOptions } = checkOptions(TASK, options, KINDS);
      const chosen = subtask ?? (subtasks[0] as SegmentationSubtask);
      if (!subtasks.includes(chosen))
        throw new ArgumentError(
          `${TASK}: subtask is ${describeValue(chosen)}, which ${context.model.config.model_type} does not do: expected one of ${subtasks.join(', ')}`,
        );
      const list = imagesOf(TASK, images);
      const sizes = targetSizes(TASK, target_sizes, list.length);
      const limits: SegmentLimits = {
        threshold: segmentOptions.threshold ?? SEGMENT_THRESHOLD,
        mask_threshold: segmentOptions.mask_threshold ?? 0.5,
        overlap_mask_area_threshold: segmentOptions.overlap_mask_area_threshold ?? 0.8,
        label_ids_to_fuse: new Set(chosen === 'panoptic' ? segmentOptions.label_ids_to_fuse : null),
      };
      const labels = labelsOf(context.model.config);
      let index = 0;
      const results = await eachImage(context, list, options, async (output, { width, height }) => {
        const size = sizes?.[index++] ?? ([height, width] as const);
        if (chosen === 'semantic') return ofClasses(context, output, size);
        const { map, segments } = await segmentsOf(output, size, limits);
        return segments.map(
          ({ id, labelId, score }): Segment => ({
            score,
            label: labels[labelId] as string,
            mask: maskOf(map, id, size),
          }),
        );
      });
      return Array.isArray(images) ? results : (results[0] as Segment[]);
    }
    return call as ImageSegmentation;
  },
};

/** Returns what the model can do. Throws FormatError for a model that makes no masks of classes or objects. */
function subtasksOf({ model }: TaskContext): readonly SegmentationSubtask[] {
  const subtasks = model instanceof PretrainedModel ? SUBTASKS[model.headKind] : undefined;
  if (subtasks) return subtasks;
  throw new FormatError(
    `${TASK}: the model is ${model.config.model_type} without a head for it, expected one such as DetrForSegmentation or SegformerForSemanticSegmentation`,
  );
}

/** Returns a segment for each class that occurs, in the order of their ids. */
async function ofClasses({ model }: TaskContext, output: ModelOutput, size: MapSize): Promise<Segment[]> {
  const classes = await (output.predMasks ? classesOf(output, size) : classMap(output.logits as Tensor, size));
  const ids = [...new Set(classes)].sort((a, b) => a - b);
  const labels = labelsOf(model.config);
  return ids.map((id) => ({ score: null, label: labels[id] as string, mask: maskOf(classes, id, size) }));
}

/** 255 where a map is `id`, 0 elsewhere. */
function maskOf(map: Int32Array, id: number, [height, width]: MapSize): RawImage {
  return new RawImage(
    Uint8Array.from(map, (value) => (value === id ? 255 : 0)),
    width,
    height,
    1,
  );
}

/**
 * Makes the background of an image transparent. Returns 4 bytes per pixel (RGBA). An array of images gives an array.
 */
export interface BackgroundRemoval {
  (image: ImageInput, options?: CallOptions): Promise<RawImage>;
  (images: readonly ImageInput[], options?: CallOptions): Promise<RawImage[]>;
}

export const backgroundRemoval: TextlessTask<BackgroundRemoval> = {
  head: 'semantic-segmentation',
  needs: NO_TEXT,
  create: (context) => {
    const { task } = context;
    processorOf(context);
    const background = backgroundOf(context);
    async function call(images: ImageInput | readonly ImageInput[], options: CallOptions = {}) {
      checkOptions(task, options, callOptionKinds);
      const results = await eachImage(context, imagesOf(task, images), options, async ({ logits }, image) => {
        const { width, height, data } = image;
        const classes = await classMap(logits as Tensor, [height, width]);
        const mask = Uint8Array.from(classes, (value) => (value === background ? 0 : 255));
        const channels = (data.length / (width * height)) as 1 | 3 | 4;
        return new RawImage(data, width, height, channels).clone().putAlpha(new RawImage(mask, width, height, 1));
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
