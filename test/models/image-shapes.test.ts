// Images of a wrong shape are refused by name, before anything is computed.

import { afterAll, expect, it } from 'vitest';
import { createDevice, ShapeError } from '../../src/index.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { filesOf } from '../pretrained/reference.js';
import { testData } from '../test-data.js';

const device = await createDevice({ threads: 2 });
afterAll(() => device.dispose());

it.each(['beit', 'convnext', 'depth_anything', 'detr', 'dinov3_vit', 'rf_detr', 'rt_detr', 'segformer', 'swin'])(
  '%s',
  async (name) => {
    const model = await loadModel(device, await filesOf(testData('families'), name));
    for (const shape of [
      [3, 64, 64],
      [1, 3, 64],
      [1, 4, 64, 64],
    ]) {
      const forward = () => model.forward({ pixelValues: device.full(shape, 0.5) });
      expect(forward).toThrow(ShapeError);
      expect(forward).toThrow(/the images are|pixelValues (is|have)/);
    }
    model.dispose();
  },
);
