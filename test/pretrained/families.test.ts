// The small checkpoints of test/data/reference, compared with transformers in float64. It compares each output, hidden
// state and attention map, the gradient of each parameter, and generated tokens.
import { describe } from 'vitest';
import { isNode } from '../../src/backend/node.js';
import { isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import conditions from './conditions.json' with { type: 'json' };
import lists from './families.json' with { type: 'json' };
import { testCheckpoint } from './reference.js';

const { encoders, decoders, encoderDecoders, speechAndVision } = lists;
const all = [...encoders, ...decoders, ...encoderDecoders, ...speechAndVision];
/** In a page one of each kind: WebAssembly in Node has all. */
const families = isNode ? all : ['bert-sequence', 'llama', 't5', 'whisper', 'vit-image'];
/** Models that generate. */
const writers = [...decoders, ...encoderDecoders];

describe('reference checkpoints', () => {
  const data = testData('reference');
  describe.each(isas)('%s', (isa) => {
    describe.each(families)('%s', (name) =>
      testCheckpoint(data, name, isa, { writes: writers.includes(name), conditions }),
    );
  });
});
