// Rows with padding before tokens and between them: what transformers makes of them, recorded by make_padding.py.
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice, type Tensor } from '../../src/index.js';
import type { ModelOutput } from '../../src/models/inputs.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { testData } from '../test-data.js';
import { assertClose, largest } from '../tolerance.js';
import recorded from './padding.json' with { type: 'json' };
import { filesOf } from './reference.js';

interface Case {
  readonly name: string;
  readonly input_ids: number[][];
  readonly attention_mask: number[][];
  readonly labels?: number[] | number[][];
  readonly results: Readonly<Record<string, number[]>>;
}

const device = await createDevice({ threads: 1 });
afterAll(() => device.dispose());

describe('padding before tokens', () => {
  const data = testData('families');
  it.each(recorded as unknown as Case[])('$name', async ({ name, results, ...given }) => {
    const model = await loadModel(device, await filesOf(data, name));
    const { input_ids: inputIds, attention_mask: attentionMask, labels } = given;
    const size = model.config.vision_config as { num_channels: number; image_size: number } | undefined;
    const image = size && { pixelValues: device.zeros([1, size.num_channels, size.image_size, size.image_size]) };
    const inputs = { inputIds, attentionMask, ...(labels && { labels }), ...image };
    const output = model.forward(inputs, { hiddenStates: true });
    const marks = attentionMask.flat();
    for (const [key, expected] of Object.entries(results)) {
      const [property, index] = key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()).split('.');
      const value = output[property as keyof ModelOutput] as Tensor | Tensor[];
      const result = Array.isArray(value) ? (value[Number(index)] as Tensor) : value;
      const all = Array.from(await result.data());
      const isOfTokens = result.shape.length > 1 && result.shape[1] === attentionMask[0]?.length;
      const width = all.length / marks.length;
      const ofToken = (i: number) => !isOfTokens || marks[Math.floor(i / width)] === 1;
      assertClose(
        `${name}: ${key}`,
        all.filter((_, i) => ofToken(i)),
        expected,
        () => 2e-4 * largest(expected) + 1e-6,
      );
      expect(all.filter((_, i) => !ofToken(i)).every((x) => x === 0)).toBe(true);
    }
    model.dispose();
  });
});
