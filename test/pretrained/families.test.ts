// The small checkpoints of test/data/families, compared with transformers in float64. It compares each output, hidden
// state and attention map, the gradient of each parameter, and generated tokens.
import { describe } from 'vitest';
import { isas } from '../describe-op.js';
import conditions from './conditions.json' with { type: 'json' };
import { families, familyCases } from './family-cases.js';
import { testCheckpoint } from './reference.js';

/** A transducer, which has no loss and no tokens of `generate`: transducer.test.ts. */
const elsewhere = ['parakeet_tdt'];
const cases = familyCases.filter((name) => !elsewhere.includes(name));

describe.each(isas)('%s', (isa) => {
  describe.each(cases)('%s', (name) => testCheckpoint(families, name, isa, conditions));
});
