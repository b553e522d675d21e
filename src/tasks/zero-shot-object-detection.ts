import { checkNumber, checkOptions, isWhole } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { DetectedObject } from '../metrics/detection.js';
import { callOptionKinds } from './batches.js';
import { detect, detectorOf } from './detections.js';
import { type ImageInput, imagesOf } from './image-inputs.js';
import { sigmoid } from './scores.js';
import { type CallOptions, NO_INPUT_IDS, type Task } from './task.js';
import { checkCandidateLabels, tokenizerOf } from './text-inputs.js';

/** Score that objects exceed by default. */
export const ZERO_SHOT_THRESHOLD = 0.1;

export interface ZeroShotObjectDetectionOptions extends CallOptions {
  /** Objects with a greater score are returned. Default: 0.1. */
  threshold?: number | undefined;
  /** Maximum number of objects; null or 0 for all. Default: null. */
  top_k?: number | null | undefined;
  /** True for boxes in fractions of the image's width and height, false for whole pixels. Default: false. */
  percentage?: boolean | undefined;
}

/**
 * Finds objects in an image that match texts, the best first. Each text is scored independently, so several texts may
 * match a box. An array of images gives an array of such lists.
 */
export interface ZeroShotObjectDetection {
  (
    image: ImageInput,
    candidate_labels: readonly string[],
    options?: ZeroShotObjectDetectionOptions,
  ): Promise<DetectedObject[]>;
  (
    images: readonly ImageInput[],
    candidate_labels: readonly string[],
    options?: ZeroShotObjectDetectionOptions,
  ): Promise<DetectedObject[][]>;
}

const TASK = 'zero-shot-object-detection';

export const zeroShotObjectDetection: Task<ZeroShotObjectDetection> = {
  head: 'object-detection',
  needs: NO_INPUT_IDS,
  create: (context) => {
    const { model } = detectorOf(context);
    if (!model.takes('inputIds'))
      throw new FormatError(
        `${TASK}: the model is ${model.config.model_type}, which reads no texts: use object-detection`,
      );
    const tokenizer = tokenizerOf(context);
    async function call(
      images: ImageInput | readonly ImageInput[],
      labels: readonly string[],
      options: ZeroShotObjectDetectionOptions = {},
    ) {
      const kinds = { threshold: 'share', top_k: 'any', percentage: 'boolean', ...callOptionKinds } as const;
      const checked = checkOptions(TASK, options, kinds);
      const { threshold = ZERO_SHOT_THRESHOLD, top_k: count = null, percentage = false, ...rest } = checked;
      if (count !== null) checkNumber(TASK, 'top_k', count, isWhole, 'an integer, 0 or more, or null');
      checkCandidateLabels(TASK, labels);
      const { inputIds } = tokenizer.encodeBatch(labels, { truncation: true, maxLength: model.maxLength });
      const results = await detect(
        context,
        imagesOf(TASK, images),
        { ...rest, percentage },
        (pixelValues: Tensor) => model.forwardInParts({ inputIds, pixelValues }),
        ({ logits, classes, boxOf }) => {
          const found = Array.from(logits, (logit, index) => ({ at: index, score: sigmoid(logit) }));
          const best = found
            .filter(({ score }) => score > threshold)
            .sort((a, b) => b.score - a.score || a.at - b.at)
            .slice(0, count || undefined);
          return best.map(({ at: index, score }): DetectedObject => {
            return { score, label: labels[index % classes] as string, box: boxOf(Math.floor(index / classes)) };
          });
        },
      );
      return Array.isArray(images) ? results : (results[0] as DetectedObject[]);
    }
    return call as ZeroShotObjectDetection;
  },
};
