import { checkOptions } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { ImageInputs } from '../models/towers.js';
import { callOptionKinds } from './batches.js';
import { type ImageInput, imagesOf, runOnImages, visionModelOf } from './image-inputs.js';
import { largest, sigmoid, softmax } from './scores.js';
import { type CallOptions, NO_INPUT_IDS, type Task, type TaskContext } from './task.js';
import type { ClassScore } from './text-classification.js';
import { checkCandidateLabels, tokenizerOf } from './text-inputs.js';

export interface ZeroShotImageClassificationOptions extends CallOptions {
  /** The text that is compared with an image, with `{}` for a label. Default: 'This is a photo of {}'. */
  hypothesis_template?: string | undefined;
}

/**
 * Scores the caller's labels for an image, the best first. An array of images gives an array of such lists. Scores of
 * CLIP add up to 1; SigLIP scores each label independently.
 */
export interface ZeroShotImageClassification {
  (
    image: ImageInput,
    candidate_labels: readonly string[],
    options?: ZeroShotImageClassificationOptions,
  ): Promise<ClassScore[]>;
  (
    images: readonly ImageInput[],
    candidate_labels: readonly string[],
    options?: ZeroShotImageClassificationOptions,
  ): Promise<ClassScore[][]>;
}

const TASK = 'zero-shot-image-classification';
/** Number of tokens to which texts are padded for SigLIP, as in its training. */
const SIGLIP_LENGTH = 64;

export const zeroShotImageClassification: Task<ZeroShotImageClassification> = {
  head: 'none',
  needs: NO_INPUT_IDS,
  create: (context) => {
    const { model } = visionModelOf(context);
    const isSiglip = /siglip/.test(String(context.model.config.model_type));
    if (model.text === null)
      throw new FormatError(`${TASK}: the model is ${context.model.config.model_type}, which reads no texts`);
    tokenizerOf(context);
    async function call(
      images: ImageInput | readonly ImageInput[],
      labels: readonly string[],
      options: ZeroShotImageClassificationOptions = {},
    ) {
      const { hypothesis_template: template = 'This is a photo of {}' } = checkOptions(TASK, options, {
        hypothesis_template: 'string',
        ...callOptionKinds,
      });
      checkCandidateLabels(TASK, labels);
      const inputIds = idsOf(
        context,
        labels.map((label) => template.replaceAll('{}', () => label)),
        isSiglip,
      );
      const run = function* (images: ImageInputs) {
        return (yield* model.forwardInParts({ inputIds, ...images })).logitsPerImage as Tensor;
      };
      const results = await runOnImages(context, imagesOf(TASK, images), options, run, (logits) => {
        const scores = isSiglip ? Array.from(logits, sigmoid) : softmax(logits);
        return largest(scores, scores.length).map((i) => ({ label: labels[i] as string, score: scores[i] as number }));
      });
      return Array.isArray(images) ? results : (results[0] as ClassScore[]);
    }
    return call as ZeroShotImageClassification;
  },
};

function idsOf(context: TaskContext, texts: readonly string[], isSiglip: boolean): number[][] {
  const { model } = context;
  const maxLength = isSiglip ? Math.min(SIGLIP_LENGTH, model.maxLength) : model.maxLength;
  const padding = isSiglip ? ('max_length' as const) : false;
  return tokenizerOf(context).encodeBatch(texts, { truncation: true, maxLength, padding }).inputIds;
}
