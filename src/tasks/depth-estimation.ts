import { checkOptions } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { callOptionKinds } from './batches.js';
import { HostTensor } from './host-tensor.js';
import { type ImageInput, imagesOf, processorOf } from './image-inputs.js';
import { eachImage, resizedMap } from './image-maps.js';
import { type CallOptions, NO_TEXT, type TextlessTask } from './task.js';
import { RawImage } from './transformers/raw-image.js';

/** The depth of an image. */
export interface EstimatedDepth {
  /** float32 [height, width] of the image. Depending on the model, values are relative inverse depths, or metres. */
  readonly predicted_depth: HostTensor;
  /** `predicted_depth` as an image, one byte per pixel: 0 for the smallest value, 255 for the largest. */
  readonly depth: RawImage;
}

/** Estimates the depth of each pixel. An array of images gives an array. */
export interface DepthEstimation {
  (image: ImageInput, options?: CallOptions): Promise<EstimatedDepth>;
  (images: readonly ImageInput[], options?: CallOptions): Promise<EstimatedDepth[]>;
}

const TASK = 'depth-estimation';

export const depthEstimation: TextlessTask<DepthEstimation> = {
  head: 'depth-estimation',
  needs: NO_TEXT,
  create: (context) => {
    processorOf(context);
    async function call(images: ImageInput | readonly ImageInput[], options: CallOptions = {}) {
      checkOptions(TASK, options, callOptionKinds);
      const results = await eachImage(context, imagesOf(TASK, images), options, async ({ predictedDepth }, image) => {
        const { width, height } = image;
        const values = await resizedMap(predictedDepth as Tensor, [height, width]);
        return { predicted_depth: new HostTensor(values, [height, width]), depth: shown(values, width, height) };
      });
      return Array.isArray(images) ? results : (results[0] as EstimatedDepth);
    }
    return call as DepthEstimation;
  },
};

/** Scales values to brightness from 0 to 255. */
function shown(values: Float32Array, width: number, height: number): RawImage {
  const [min, max] = values.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
  const range = (max as number) - (min as number) || 1;
  const data = Uint8Array.from(values, (value) => ((value - (min as number)) / range) * 255);
  return new RawImage(data, width, height, 1);
}
