// Boxes that detectors find in images, as transformers.js returns them.

import { afterEvents } from '../backend/after-events.js';
import { FormatError } from '../core/errors.js';
import { inSlices } from '../core/slices.js';
import { Tensor } from '../core/tensor.js';
import type { DetectedBox } from '../metrics/detection.js';
import type { ModelOutput } from '../models/inputs.js';
import { PretrainedModel } from '../models/pretrained-model.js';
import { inferenceAsync } from '../nn/inference-async.js';
import { ImageProcessor } from '../pretrained/processors/image.js';
import { inBatches } from './batches.js';
import { decoded, type ImageInput } from './image-inputs.js';
import type { CallOptions, TaskContext } from './task.js';

/** Predictions for one image, on the host. */
export interface Predictions {
  /** [queries · classes] */
  readonly logits: Float32Array;
  readonly queries: number;
  readonly classes: number;
  /** The box of a query. */
  boxOf(query: number): DetectedBox;
}

/**
 * Returns the detector of a task. Throws FormatError for a model that does not detect objects, or that has no processor
 * for images.
 */
export function detectorOf({ task, model }: TaskContext): { model: PretrainedModel; processor: ImageProcessor } {
  const { processor, config } = model;
  if (!(model instanceof PretrainedModel && model.headKind === 'object-detection'))
    throw new FormatError(`${task}: the model is ${config.model_type}, expected one that detects objects`);
  if (processor instanceof ImageProcessor) return { model, processor };
  throw new FormatError(
    `${task}: the model's folder has no preprocessor_config.json, which says how images are resized`,
  );
}

/**
 * Applies `run`, which yields after each layer, to the pixels of each image, float32 [1, 3, height, width], and `read`
 * to its predictions.
 */
export function detect<Result>(
  context: TaskContext,
  images: readonly ImageInput[],
  { percentage, ...options }: CallOptions & { percentage: boolean },
  run: (pixelValues: Tensor) => Generator<unknown, ModelOutput>,
  read: (predictions: Predictions) => Result,
): Promise<Result[]> {
  const { model, processor } = detectorOf(context);
  const detectIn = async (image: ImageInput): Promise<Result> => {
    const raw = await decoded(context.task, image, options.signal);
    const { data, shape } = await inSlices(processor.processInParts([raw]));
    await new Promise<void>((resolve) => afterEvents(resolve));
    const { logits, predBoxes } = await inferenceAsync(model, function* () {
      const output = yield* run(model.device.tensor(data, shape));
      return { logits: output.logits as Tensor, predBoxes: output.predBoxes as Tensor };
    });
    try {
      const [scores, boxes] = (await Tensor.dataOf([logits, predBoxes])) as [Float32Array, Float32Array];
      const [, queries, classes] = logits.shape as [number, number, number];
      const boxOf = boxReader(boxes, raw, { percentage, square: processor.padsToSquare });
      return read({ logits: scores, queries, classes, boxOf });
    } finally {
      logits.dispose();
      predBoxes.dispose();
    }
  };
  return inBatches(
    images,
    () => 1,
    async (batch) => {
      const results: Result[] = [];
      for (const image of batch) results.push(await detectIn(image)); // images differ in size
      return results;
    },
    options,
  );
}

/** Predicted boxes are fractions of the image, or of the square to which it was padded. */
function boxReader(
  boxes: Float32Array,
  { width, height }: { readonly width: number; readonly height: number },
  { percentage, square }: { percentage: boolean; square: boolean },
): (query: number) => DetectedBox {
  const side = Math.max(width, height);
  const [across, down] = square ? [side, side] : [width, height];
  const units = percentage ? [across / width, down / height] : [across, down];
  const whole = (value: number) => (percentage ? value : Math.trunc(value) + 0); // no -0
  return (query) => {
    const [x, y, w, h] = boxes.subarray(query * 4, query * 4 + 4) as unknown as [number, number, number, number];
    const [wide, tall] = units as [number, number];
    return {
      xmin: whole((x - w / 2) * wide),
      ymin: whole((y - h / 2) * tall),
      xmax: whole((x + w / 2) * wide),
      ymax: whole((y + h / 2) * tall),
    };
  };
}
