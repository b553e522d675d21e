import { checkNumber, checkOptions, isWhole } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { labelsOf } from '../models/labels.js';
import type { ImageInputs } from '../models/towers.js';
import { callOptionKinds } from './batches.js';
import { type ImageInput, imagesOf, processorOf, runOnImages } from './image-inputs.js';
import { largest } from './scores.js';
import { type CallOptions, NO_TEXT, type TextlessTask } from './task.js';
import { type ClassScore, scoresOf } from './text-classification.js';

export interface ImageClassificationOptions extends CallOptions {
  /** Number of classes returned, best first; null or 0 for all. Default: 5. */
  top_k?: number | null | undefined;
  /**
   * Function from logits to scores. Default: none for a regression, the sigmoid for a single class or classes that do
   * not exclude each other, otherwise the softmax.
   */
  function_to_apply?: 'sigmoid' | 'softmax' | 'none' | undefined;
}

/** Returns the classes of an image, the most likely first. An array of images gives an array of such lists. */
export interface ImageClassification {
  (image: ImageInput, options?: ImageClassificationOptions): Promise<ClassScore[]>;
  (images: readonly ImageInput[], options?: ImageClassificationOptions): Promise<ClassScore[][]>;
}

const TASK = 'image-classification';

export const imageClassification: TextlessTask<ImageClassification> = {
  head: 'image-classification',
  needs: NO_TEXT,
  create: (context) => {
    const { model } = context;
    processorOf(context);
    async function call(images: ImageInput | readonly ImageInput[], options: ImageClassificationOptions = {}) {
      const { top_k: count = 5, function_to_apply: how } = checkOptions(TASK, options, {
        top_k: 'any',
        function_to_apply: ['sigmoid', 'softmax', 'none'],
        ...callOptionKinds,
      });
      if (count !== null) checkNumber(TASK, 'top_k', count, isWhole, 'an integer, 0 or more, or null');
      const labels = labelsOf(context.model.config);
      const run = function* (inputs: ImageInputs) {
        return (yield* model.forwardInParts(inputs)).logits as Tensor;
      };
      const results = await runOnImages(context, imagesOf(TASK, images), options, run, (logits) => {
        const scores = scoresOf(context.model, logits, how);
        return largest(scores, count || scores.length).map((id) => ({
          label: labels[id] as string,
          score: scores[id] as number,
        }));
      });
      return Array.isArray(images) ? results : (results[0] as ClassScore[]);
    }
    return call as ImageClassification;
  },
};
