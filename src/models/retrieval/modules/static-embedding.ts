import type { Tensor } from '../../../core/tensor.js';
import { mul } from '../../../ops/binary.js';
import type { EncodedTexts, TextFeatures, TextTask } from '../features.js';
import { Pooling } from './pooling.js';
import { Transformer } from './transformer.js';

/** The mean of table rows: sentence-transformers' StaticEmbedding, and model2vec. */
export class StaticEmbedding extends Transformer {
  override *readInParts(encoded: EncodedTexts, task: TextTask): Generator<unknown, TextFeatures> {
    // No batch has empty rows: the first row of the table stands for a text without tokens.
    const inputIds = encoded.inputIds.map((row) => (row.length === 0 ? [0] : row));
    return { ...(yield* super.readInParts({ ...encoded, inputIds }, task)), encoded };
  }

  override forward(input: TextFeatures): TextFeatures {
    const features = new Pooling(['mean']).forward(input);
    const sentence = features.sentence as Tensor;
    const rows = input.encoded?.inputIds ?? [];
    if (rows.every(({ length }) => length > 0)) return features;
    // A text without tokens is 0.
    return {
      ...features,
      sentence: mul(sentence, sentence.device.tensor(rows.map(({ length }) => [Math.min(1, length)]))),
    };
  }
}
