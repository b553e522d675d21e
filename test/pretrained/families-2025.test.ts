// Families of 2025 and 2026, and older ones that were added with them: small random checkpoints and what transformers
// computes for them in float64. test/data/reference3/SOURCE.txt explains the files.
import { describe } from 'vitest';
import { isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { testCheckpoint } from './reference.js';
import lists from './reference3.json' with { type: 'json' };

const data = testData('reference3');
const { encoders, decoders, encoderDecoders, images, sounds, listeners, speakers } = lists;
const silent = [...encoders, ...images, ...sounds, ...listeners, ...speakers];

// One instruction set for each model in turn. The tests of ops compare the sets with one another.
const names = [...silent, ...decoders, ...encoderDecoders];
describe.each(names.map((name, i) => [name, isas[i % isas.length] as string]))('%s on %s', (name, isa) =>
  testCheckpoint(data, name, isa, { writes: !silent.includes(name) }),
);
