// Models with settings that test/data/reference does not have, and what transformers computes for them.
import { readdirSync } from 'node:fs';
import { describe } from 'vitest';
import { isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { testCheckpoint } from './reference.js';

const switches = testData('switches');
const names = readdirSync(switches.path).filter((name) => !name.includes('.'));

// One instruction set for each model in turn. The tests of ops compare the sets with one another.
describe.each(names.map((name, i) => [name, isas[i % isas.length] as string]))('%s on %s', (name, isa) =>
  testCheckpoint(switches, name, isa, { writes: true }),
);
