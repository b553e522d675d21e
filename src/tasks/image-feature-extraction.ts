import { checkOptions } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { TowerModel } from '../models/tower-model.js';
import type { ImageInputs } from '../models/towers.js';
import { unpack } from '../ops/move.js';
import { callOptionKinds } from './batches.js';
import { HostTensor } from './host-tensor.js';
import { type ImageInput, imagesOf, processorOf, runOnImages } from './image-inputs.js';
import { type CallOptions, NO_TEXT, type TextlessTask } from './task.js';

export interface ImageFeatureExtractionOptions extends CallOptions {
  /** True returns the model's pooled vector of an image, if the model has one. Default: false. */
  pool?: boolean | null | undefined;
}

/**
 * Returns vectors of images. Models that compare images with texts give float32 [images, features]; so does `pool`.
 * Other models give a vector for the class token and for each patch, [images, 1 + patches, features]. Models
 * of stages, such as ConvNeXt, give maps, [images, features, height, width].
 */
export type ImageFeatureExtraction = (
  images: ImageInput | readonly ImageInput[],
  options?: ImageFeatureExtractionOptions,
) => Promise<HostTensor>;

const TASK = 'image-feature-extraction';

export const imageFeatureExtraction: TextlessTask<ImageFeatureExtraction> = {
  needs: { ...NO_TEXT, body: true },
  create: (context) => {
    const { model } = context;
    processorOf(context);
    return async (images, options = {}) => {
      const { pool } = checkOptions(TASK, options, { pool: [true, false, null], ...callOptionKinds });
      const run = function* (inputs: ImageInputs): Generator<unknown, Tensor> {
        if (!(model instanceof TowerModel)) {
          const { lastHiddenState, poolerOutput } = yield* model.forwardInParts(inputs);
          return (pool ? poolerOutput : lastHiddenState) ?? missing('one vector of an image');
        }
        const tower = yield* model.vision?.forwardInParts(inputs) ?? missing('images');
        if (!pool && !model.visualProjection) return unpack(tower.features, tower.batch.lengths, tower.batch.longest);
        const pooler = model.lacksPooler ? null : model.vision?.pooler;
        const pooled = pooler?.forward(tower.features, tower.batch) ?? missing('one vector of an image');
        return pool ? pooled : (model.visualProjection?.forward(pooled) ?? pooled);
      };
      const rows = await runOnImages(context, imagesOf(TASK, images), options, run, (values, shape) => ({
        values,
        shape,
      }));
      const size = rows[0]?.values.length ?? 0;
      const all = new Float32Array(rows.length * size);
      for (const [i, { values }] of rows.entries()) all.set(values, i * size);
      return new HostTensor(all, [rows.length, ...(rows[0]?.shape ?? [])]);
    };
  },
};

function missing(what: string): never {
  throw new FormatError(`${TASK}: the model has nothing for ${what}: give loadModel(…, { head: 'none' })`);
}
