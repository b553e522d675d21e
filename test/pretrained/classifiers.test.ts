// Classifiers of causal models read the last token that is not the padding id, even if the mask hides it. transformers
// made the numbers (make_classifiers.py).
import { afterAll, describe, it } from 'vitest';
import { createDevice } from '../../src/index.js';
import { assertClose } from '../tolerance.js';
import recorded from './classifiers.json' with { type: 'json' };
import { loadVariant, type Variant } from './variant.js';

interface Classifier extends Pick<Variant, 'name' | 'config' | 'shapes'> {
  readonly rows: readonly {
    readonly label: string;
    readonly pad: number | null;
    readonly input_ids: number[][];
    readonly attention_mask?: number[][];
    readonly logits: number[];
  }[];
}

const device = await createDevice({ threads: 1 });
afterAll(() => device.dispose());

describe.each(recorded as unknown as Classifier[])('$name', ({ rows, config, ...each }) => {
  it.each(rows)('$label', async ({ pad, input_ids: inputIds, attention_mask: attentionMask, logits }) => {
    const variant = { ...each, config: { ...config, pad_token_id: pad }, inputs: {}, results: {} };
    using model = await loadVariant(device, variant);
    const output = model.forward({ inputIds, attentionMask });
    assertClose('logits', await output.logits!.data(), logits, () => 2e-5);
  });
});
