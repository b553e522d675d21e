// The features of images that models with heads give, beside transformers' pipeline (make_image_features.py).
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice } from '../../src/index.js';
import type { LoadedModel } from '../../src/pretrained/load-later.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { pipeline } from '../../src/tasks/index.js';
import { weightsFile } from '../pretrained/variant.js';
import { assertClose, largest } from '../tolerance.js';
import recorded from './image-features.json' with { type: 'json' };

interface Features {
  readonly shape: number[];
  readonly values: number[];
}
interface Recorded {
  readonly config: { readonly architectures: string[] };
  readonly shapes: Readonly<Record<string, number[]>>;
  readonly processor: object;
  readonly features: Features;
  readonly pooled?: Features;
}

const device = await createDevice({ threads: 1 });
afterAll(() => device.dispose());

const encoded = (json: object) => new TextEncoder().encode(JSON.stringify(json));
const picture = readFileSync(new URL('programs/square.png', import.meta.url));

describe.each(recorded as unknown as Recorded[])(
  '$config.architectures',
  ({ config, shapes, processor, ...expected }) => {
    it('gives the features of its body', async () => {
      const model = await loadModel<LoadedModel>(
        device,
        {
          'config.json': encoded(config),
          'preprocessor_config.json': encoded(processor),
          'model.safetensors': weightsFile(shapes),
        },
        { onWarning: (message) => expect(message).toBe('') },
      );
      const read = await pipeline('image-feature-extraction', model);
      for (const [pool, wanted] of [
        [false, expected.features],
        [true, expected.pooled],
      ] as const) {
        if (!wanted) continue;
        const { data, dims } = await read(picture, { pool });
        expect(dims).toEqual(wanted.shape);
        assertClose(pool ? 'pooled' : 'features', data, wanted.values, () => 2e-4 * largest(wanted.values));
      }
      await read.dispose();
      model.dispose();
    });
  },
);
