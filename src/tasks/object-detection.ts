import { argmax } from '../core/argmax.js';
import { checkOptions } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { DetectedObject } from '../metrics/detection.js';
import { labelsOf } from '../models/labels.js';
import { callOptionKinds } from './batches.js';
import { detect, detectorOf, type Predictions } from './detections.js';
import { type ImageInput, imagesOf } from './image-inputs.js';
import { largest, sigmoid, softmax } from './scores.js';
import { type CallOptions, NO_TEXT, type TaskContext, type TextlessTask } from './task.js';

export interface ObjectDetectionOptions extends CallOptions {
  /** Objects with a greater score are returned. Default: 0.9. */
  threshold?: number | undefined;
  /** True for boxes in fractions of the image's width and height, false for whole pixels. Default: false. */
  percentage?: boolean | undefined;
}

/** Finds objects in an image: label, score and box of each. An array of images gives an array of such lists. */
export interface ObjectDetection {
  (image: ImageInput, options?: ObjectDetectionOptions): Promise<DetectedObject[]>;
  (images: readonly ImageInput[], options?: ObjectDetectionOptions): Promise<DetectedObject[][]>;
}

const TASK = 'object-detection';

/** Score that objects exceed by default. */
export const DETECTION_THRESHOLD = 0.9;

/** Detectors whose last class means "no object". */
const REJECTING: readonly string[] = ['detr', 'table-transformer', 'yolos'];

export const objectDetection: TextlessTask<ObjectDetection> = {
  head: 'object-detection',
  needs: NO_TEXT,
  create: (context) => {
    const { model } = detectorOf(context);
    if (model.takes('inputIds'))
      throw new FormatError(
        `${TASK}: ${model.config.model_type} looks for given texts: use zero-shot-object-detection`,
      );
    async function call(images: ImageInput | readonly ImageInput[], options: ObjectDetectionOptions = {}) {
      const kinds = { threshold: 'share', percentage: 'boolean', ...callOptionKinds } as const;
      const { threshold = DETECTION_THRESHOLD, percentage = false, ...rest } = checkOptions(TASK, options, kinds);
      const results = await detect(
        context,
        imagesOf(TASK, images),
        { ...rest, percentage },
        (pixelValues: Tensor) => model.forwardInParts({ pixelValues }),
        (predictions) => objectsOf(context, predictions, threshold),
      );
      return Array.isArray(images) ? results : (results[0] as DetectedObject[]);
    }
    return call as ObjectDetection;
  },
};

/**
 * Returns the objects. The last class of some detectors means "no object", so each query has one class. Other detectors
 * score each class separately. There, the best pairs of a query and a class are returned, as many as there are queries.
 */
function objectsOf({ model }: TaskContext, predictions: Predictions, threshold: number): DetectedObject[] {
  const { logits, queries, classes, boxOf } = predictions;
  const found = REJECTING.includes(String(model.config.model_type))
    ? Array.from({ length: queries }, (_, query) => {
        const shares = softmax(logits.subarray(query * classes, (query + 1) * classes)).slice(0, -1);
        const id = argmax(shares);
        return { query, id, score: shares[id] as number };
      })
    : largest(logits, queries).map((index) => {
        return { query: Math.floor(index / classes), id: index % classes, score: sigmoid(logits[index] as number) };
      });
  const labels = labelsOf(model.config);
  return found
    .filter(({ score }) => score > threshold)
    .map(({ query, id, score }) => ({ label: labels[id] as string, score, box: boxOf(query) }));
}
